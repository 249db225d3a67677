"""OpenDocument texts (OASIS ODF 1.3 part 3): headings, lists, tables, notes; deletions left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.infra.confinement import Refused
from app.ingestion.readers.archive import Archive, attribute, child, local, number
from app.ingestion.readers.content import Block, Content
from app.ingestion.readers.tables import Grid, table_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lxml.etree import _Element as Element

#: Deleted text, remarks, forms' settings, a ruby's reading, a text's own list of sources.
UNREAD = frozenset(
    ("tracked-changes", "annotation", "forms", "ruby-text", "sequence-decls", "note-citation",
     "binary-data", "event-listeners", "desc", "title")
)  # fmt: skip
ASIDE = ("note-body", "text-box")
BREAKS = {"line-break": "\n", "tab": " "}
#: Repeated rows and cells are mostly blank ones that fill a page.
MAX_REPEATED = 50


def read(data: bytes, limits: Mapping[str, int]) -> Content:
    """Return the document's content.

    Raises:
        Refused: when the archive is hostile, damaged or encrypted.
    """
    archive = Archive(data, limits)
    manifest = archive.xml("META-INF/manifest.xml")
    if manifest is not None and next(manifest.iter("{*}encryption-data"), None) is not None:
        raise Refused("encrypted")
    body = child(archive.main_xml("content.xml"), "body", "text")
    if body is None:
        raise Refused("damaged")
    meta = child(archive.xml("meta.xml"), "meta")
    title, author = (child(meta, name) for name in ("title", "creator"))
    return Content(
        blocks(body),
        (title.text or "") if title is not None else "",
        (author.text or "") if author is not None else "",
    )


def blocks(element: Element, *, tight: bool = False) -> Iterator[Block]:
    """Yield the blocks of an element that holds paragraphs, lists and tables."""
    for one in element:
        name = local(one)
        if name in ("p", "h"):
            yield from paragraph(one, tight=tight)
        elif name in ("list", "list-item", "list-header"):
            yield from blocks(one, tight=True)
        elif name == "table":
            yield from table(one)
        elif name not in UNREAD:
            yield from blocks(one)


def paragraph(element: Element, *, tight: bool) -> Iterator[Block]:
    """Yield a paragraph or heading, then its notes and text boxes."""
    parts: list[str] = []
    asides: list[Element] = []
    runs(element, parts, asides)
    level = number(attribute(element, "outline-level"), 1) if local(element) == "h" else 0
    yield Block("".join(parts), level, tight=tight and not level)
    for aside in asides:
        yield from blocks(aside)


def runs(element: Element, parts: list[str], asides: list[Element]) -> None:
    """Collect a paragraph's text, and what stands beside it."""
    parts.append(element.text or "")
    for one in element:
        name = local(one)
        if name in ASIDE:
            asides.append(one)
        elif name == "s":
            parts.append(" ")
        elif name in BREAKS:
            parts.append(BREAKS[name])
        elif name and name not in UNREAD:
            runs(one, parts, asides)
        parts.append(one.tail or "")


def table(element: Element) -> Iterator[Block]:
    """Yield a table's rows, those of its header marked as such."""
    grid = Grid()
    headers = add_rows(element, grid)
    yield from table_blocks(grid.rows, headers or None)


def add_rows(element: Element, grid: Grid) -> int:
    """Add the rows below an element to the grid; return how many of them are the header's."""
    headers = 0
    for one in element:
        name = local(one)
        if name == "table-row":
            cells = list(row_cells(one))
            filled = any(text for text, _, _ in cells)
            repeats = number(attribute(one, "number-rows-repeated"), 1) if filled else 1
            for _ in range(min(repeats, MAX_REPEATED)):
                grid.add(cells)
        elif name == "table-header-rows":
            before = len(grid.rows)
            add_rows(one, grid)
            headers += len(grid.rows) - before
        elif name in ("table-rows", "table-row-group"):
            headers += add_rows(one, grid)
    return headers


def row_cells(row: Element) -> Iterator[tuple[str, int, int]]:
    """Yield a row's cells with their spans; what others cover is left to the grid."""
    for cell in row:
        if local(cell) != "table-cell":
            continue
        text = " ".join(block.text for block in blocks(cell) if block.text)
        spans = [
            number(attribute(cell, f"number-{what}-spanned"), 1) for what in ("columns", "rows")
        ]
        repeats = number(attribute(cell, "number-columns-repeated"), 1)
        for _ in range(min(repeats, MAX_REPEATED)):
            yield text, spans[0], spans[1]
