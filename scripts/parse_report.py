"""Parse every file of some folders and table what became of each: ``parse_report.py DIR...``.

Where a folder's ``manifest.jsonl`` names a golden text (pandoc's native form), the share of its
words found in ours is given. The table goes to standard output and docs/benchmarks/formats.md.
"""

# ruff: noqa: ASYNC240 - one file at a time, and nothing else waits

import asyncio
import json
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.ingestion.formats import detect
from app.ingestion.parse import ParseError, parse_file

OUT = Path(__file__).parents[1] / "docs" / "benchmarks" / "formats.md"
NOT_DOCUMENTS = {".native", ".jsonl"}
#: ``Str "…"`` and the text of ``Code``, ``CodeBlock`` and ``Math`` in pandoc's native form.
GOLDEN = re.compile(r'(?:\bStr|\) ?|DisplayMath|InlineMath)\s*"((?:[^"\\]|\\.)*)"')
ESCAPES = re.compile(r"\\(?:(\d+)|(&)|(.))")
LETTERS = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one file."""

    file: str
    format: str
    outcome: str
    pages: int
    characters: int
    ms: float
    match: float | None


def unescaped(text: str) -> str:
    """Undo Haskell's escapes."""

    def one(match: re.Match[str]) -> str:
        code, joiner, letter = match.groups()
        return chr(int(code)) if code else "" if joiner else LETTERS.get(letter, letter)

    return ESCAPES.sub(one, text)


def tokens(text: str) -> Counter[str]:
    """Return the words of a text with how often each occurs."""
    return Counter(re.findall(r"\w+", text.lower()))


def recall(golden: str, found: str) -> float | None:
    """Return the share of a golden text's words that were found, each as often as it occurs."""
    wanted = tokens(" ".join(unescaped(text) for text in GOLDEN.findall(golden)))
    if not wanted:
        return None
    return (wanted & tokens(found)).total() / wanted.total()


async def parse_one(path: Path, name: str, golden: Path | None) -> Row:
    """Parse a file and say how it went."""
    data = path.read_bytes()
    begin = time.perf_counter()
    format = detect(data, path.name)
    kind = format.name if format else "-"
    try:
        parsed = await parse_file(data, format)
    except ParseError as error:
        ms = 1000 * (time.perf_counter() - begin)
        return Row(name, kind, error.reason, 0, 0, ms, None)
    ms = 1000 * (time.perf_counter() - begin)
    text = "\n".join(page.text for page in parsed.pages)
    match = recall(golden.read_text(), text) if golden else None
    return Row(name, kind, "ready", len(parsed.pages), len(text), ms, match)


async def report(folder: Path) -> list[str]:
    """Return the folder's part of the table."""
    manifest = folder / "manifest.jsonl"
    lines = manifest.read_text().splitlines() if manifest.is_file() else []
    goldens = {entry["file"]: entry.get("golden") for entry in map(json.loads, lines)}
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in NOT_DOCUMENTS and path.name != "SOURCE.md"
    )
    rows = []
    for path in paths:
        name = str(path.relative_to(folder))
        golden = goldens.get(name)
        rows.append(await parse_one(path, name, folder / golden if golden else None))
    return [f"## {folder.name}", "", *summary(rows), "", *table(rows), ""]


def summary(rows: list[Row]) -> list[str]:
    """Return the folder's totals."""
    outcomes = Counter(row.outcome for row in rows)
    said = ", ".join(f"{times} {outcome}" for outcome, times in outcomes.most_common())
    total = sum(row.ms for row in rows) / 1000
    slowest = max((row.ms for row in rows), default=0)
    lines = [f"{len(rows)} files: {said}. {total:.1f} s in all, the slowest {slowest:.0f} ms."]
    matches = [row.match for row in rows if row.match is not None]
    if matches:
        good = sum(match >= 0.95 for match in matches)
        mean = sum(matches) / len(matches)
        lines.append(
            f"Golden texts: {good} of {len(matches)} match at least 95 %, mean {mean:.1%}, "
            f"least {min(matches):.1%}."
        )
    return lines


def table(rows: list[Row]) -> list[str]:
    """Return the rows as a Markdown table."""
    lines = [
        "| file | format | outcome | pages | characters | ms | golden match |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        match = "" if row.match is None else f"{row.match:.0%}"
        cells = (row.file, row.format, row.outcome, row.pages, row.characters, f"{row.ms:.0f}")
        lines.append(f"| {' | '.join(map(str, cells))} | {match} |")
    return lines


async def main(folders: list[str]) -> None:
    """Report on every folder."""
    lines = [
        "# Formats: what becomes of public and made test files",
        "",
        "Written by `scripts/parse_report.py`; each file in its own confined process, one at a "
        "time. A golden match is the share of a golden text's words that are in ours.",
        "",
        "One golden text (`track_changes_scrubbed_metadata`) holds a deleted word and a reviewer's "
        "comment beside the text; we read tracked changes as accepted and leave comments out.",
        "",
    ]
    for folder in folders:
        lines += await report(Path(folder))
    text = "\n".join(lines)
    OUT.write_text(text)
    print(text)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
