"""What is installed is what was looked at: pinned by digest, and started by nobody but us."""

import re
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PINNED = [*ROOT.glob("requirements*.txt"), *ROOT.glob("*/requirements.txt")]
#: Lines of `.pth` files that run code when Python starts: what brings them, and for what.
KNOWN = {
    "a1_coverage.pth": "coverage measures processes that tests start",
    "distutils-precedence.pth": "setuptools puts its distutils before Python's",
}


@pytest.mark.parametrize("path", PINNED, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_package_is_pinned_by_its_digest(path: Path) -> None:
    joined = path.read_text().replace("\\\n", " ")
    packages = [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]
    assert packages
    for line in packages:
        assert re.match(r"[\w.\[\], -]+==\S+ ", line), line
        assert "--hash=sha256:" in line, line


def test_nothing_runs_at_the_start_of_python_by_itself() -> None:
    running = {
        path.name
        for path in Path(sysconfig.get_paths()["purelib"]).glob("*.pth")
        if re.search(r"^import[ \t]", path.read_text(), re.MULTILINE)
    }
    assert running <= set(KNOWN)
