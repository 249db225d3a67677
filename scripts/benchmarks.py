"""What the benchmarks' command lines share: a small run that a test waits for, and the results."""

import argparse
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"


def add_options(parser: argparse.ArgumentParser, *, quick: str) -> None:
    """Add ``--quick``, which ``quick`` describes, and ``--output``."""
    parser.add_argument(
        "--quick", action="store_true", help=f"{quick}; writes nothing without --output"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="for the results (docs/benchmarks)"
    )


def write(options: argparse.Namespace, files: dict[str, str]) -> None:
    """Write results, text by name of file; a quick run's only where it is told to."""
    folder = options.output or (None if options.quick else RESULTS)
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
