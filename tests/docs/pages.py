"""The pages of the documentation as tests read them: blocks of code, links, headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob(".github/*.md")]
    if path.is_file()
)
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: \S[^>]*-->\s*\Z")


@dataclass(frozen=True)
class Block:
    """A fenced block; ``runs`` unless the comment before it says why not."""

    language: str
    text: str
    runs: bool


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in _FENCE.finditer(text):
        indent = found[1]
        code = "\n".join(line.removeprefix(indent) for line in found[3].splitlines())
        yield Block(found[2], code, not _NOT_RUN.search(text[: found.start()]))


def prose(page: Path) -> str:
    """The page without its blocks."""
    return _FENCE.sub("", page.read_text())


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def assert_named_tests_exist(page: Path, title: str, *, least: int) -> None:
    """Every row of the table below ``title`` names tests; without a file, those of the last."""
    text = page.read_text().partition(title)[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= least
    for row in rows:
        file = ""
        named = re.findall(r"`([\w/.]*)::(\w+)`", row)
        assert named, row
        for path, test in named:
            file = path or file
            found = re.search(
                rf"^ *(?:async )?def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE
            )
            assert found, f"{file}::{test}"
