"""What the benchmarks share: a small run that a test waits for, a home, the results."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.infra.embedded.servers import urls_for

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"


def add_options(parser: argparse.ArgumentParser, *, quick: str) -> None:
    """Add ``--quick``, which ``quick`` describes, and ``--output``."""
    parser.add_argument(
        "--quick", action="store_true", help=f"{quick}; writes nothing without --output"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="for the results (docs/benchmarks)"
    )


@contextmanager
def home_of_its_own() -> Iterator[Path]:
    """A folder for embedded servers, whatever this shell points to; it is thrown away at the end.

    Being told to stop is an end as well, with which the child processes go.
    """
    for outside in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(outside, None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    home = Path(tempfile.mkdtemp(prefix="docent-benchmark-"))
    try:
        yield home
    finally:
        sockets = Path(urls_for(home).redis_url.removeprefix("unix://")).parent
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(sockets, ignore_errors=True)


def write(options: argparse.Namespace, files: dict[str, str]) -> None:
    """Write results, text by name of file; a quick run's only where it is told to."""
    folder = options.output or (None if options.quick else RESULTS)
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
