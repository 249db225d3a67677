"""OpenDocument texts (OASIS ODF 1.3 part 3): headings, lists, tables, notes; deletions left out.

Hidden text, and remarks in the margin, are counted and not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.infra.confinement import Refused
from app.ingestion.readers.archive import Archive, attribute, child, local, number, texts_in
from app.ingestion.readers.content import Block, Content, Hidden
from app.ingestion.readers.odt_lists import Lists
from app.ingestion.readers.odt_styles import Ink, Styles
from app.ingestion.readers.tables import Grid, table_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lxml.etree import _Element as Element

#: Deleted text, forms' settings, a ruby's reading, a text's own list of sources.
UNREAD = frozenset(
    ("tracked-changes", "forms", "ruby-text", "sequence-decls", "note-citation", "binary-data",
     "event-listeners", "desc", "title")
)  # fmt: skip
ASIDE = ("note-body", "text-box")
BREAKS = {"line-break": "\n", "tab": " "}
#: Fields that hide what they hold, or the paragraph they stand in, while a condition holds.
FIELDS = ("hidden-text", "hidden-paragraph")
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
    root = archive.main_xml("content.xml")
    body = child(root, "body", "text")
    if body is None:
        raise Refused("damaged")
    meta = child(archive.xml("meta.xml"), "meta")
    title, author = (child(meta, name) for name in ("title", "creator"))
    styles = archive.xml("styles.xml")
    reader = Reader(Styles(styles, root), Lists(styles, root))
    return Content(
        reader.blocks(body),
        (title.text or "") if title is not None else "",
        (author.text or "") if author is not None else "",
        hidden=reader.hidden,
    )


class Reader:
    """Walks one document."""

    def __init__(self, styles: Styles, lists: Lists) -> None:
        self._styles = styles
        self._lists = lists
        #: Hidden text, as far as the blocks were read.
        self.hidden = Hidden()

    def blocks(self, element: Element, *, tight: bool = False) -> Iterator[Block]:
        """Yield the blocks of an element that holds paragraphs, lists and tables."""
        for one in element:
            name = local(one)
            if self._hides(one, name):
                self.hidden.note(texts_in(one))
            elif name in ("p", "h"):
                yield from self._paragraph(one, tight=tight)
            elif name in ("list", "list-item", "list-header"):
                yield from self._list(one, name)
            elif name == "table":
                yield from self._table(one)
            elif name not in UNREAD:
                yield from self.blocks(one)

    def _list(self, element: Element, name: str) -> Iterator[Block]:
        """Yield the blocks of a list or of one of its items."""
        if name == "list":
            self._lists.enter(element)
        elif name == "list-item":
            self._lists.begin(element)
        yield from self.blocks(element, tight=True)
        if name == "list":
            self._lists.leave()

    def _hides(self, element: Element, name: str) -> bool:
        """Whether nothing of an element is seen."""
        if name == "annotation":
            return True
        if name == "p":
            fields = element.iter("{*}hidden-paragraph")
            return any(attribute(field, "is-hidden") == "true" for field in fields)
        if name in FIELDS:
            return attribute(element, "is-hidden") == "true"
        return name == "section" and attribute(element, "display") == "none"

    def _paragraph(self, element: Element, *, tight: bool) -> Iterator[Block]:
        """Yield a paragraph or heading, then its notes and text boxes."""
        parts: list[str] = []
        asides: list[Element] = []
        self._runs(element, self._styles.ink(element, None), parts, asides)
        level = number(attribute(element, "outline-level"), 1) if local(element) == "h" else 0
        marker, text = self._lists.take(), "".join(parts)
        if level and not tight and attribute(element, "is-list-header") != "true":
            marker = self._lists.heading(level)
        yield Block(f"{marker}{text}" if text.strip() else "", level, tight=tight and not level)
        for aside in asides:
            yield from self.blocks(aside)

    def _runs(self, element: Element, ink: Ink, parts: list[str], asides: list[Element]) -> None:
        """Collect a paragraph's text, and what stands beside it."""
        self._write(element.text, ink, parts)
        for one in element:
            name = local(one)
            if self._hides(one, name):
                self.hidden.note((*texts_in(one), attribute(one, "string-value") or ""))
            elif name in ASIDE:
                asides.append(one)
            elif name == "s":
                parts.append(" ")
            elif name in BREAKS:
                parts.append(BREAKS[name])
            elif name and name not in UNREAD:
                self._runs(one, self._styles.ink(one, ink), parts, asides)
            self._write(one.tail, ink, parts)

    def _write(self, text: str | None, ink: Ink, parts: list[str]) -> None:
        if text and ink.shows:
            parts.append(text)
        elif text:
            self.hidden.note([text])

    def _table(self, element: Element) -> Iterator[Block]:
        """Yield a table's rows, those of its header marked as such."""
        grid = Grid()
        headers = self._add_rows(element, grid)
        yield from table_blocks(grid.rows, headers or None)

    def _add_rows(self, element: Element, grid: Grid) -> int:
        """Add the rows below an element to the grid; return how many of them are the header's."""
        headers = 0
        for one in element:
            name = local(one)
            if name == "table-row" and attribute(one, "visibility") == "collapse":
                self.hidden.note(texts_in(one))
            elif name == "table-row":
                cells = list(self._cells(one))
                filled = any(text for text, _, _ in cells)
                repeats = number(attribute(one, "number-rows-repeated"), 1) if filled else 1
                for _ in range(min(repeats, MAX_REPEATED)):
                    grid.add(cells)
            elif name == "table-header-rows":
                before = len(grid.rows)
                self._add_rows(one, grid)
                headers += len(grid.rows) - before
            elif name in ("table-rows", "table-row-group"):
                headers += self._add_rows(one, grid)
        return headers

    def _cells(self, row: Element) -> Iterator[tuple[str, int, int]]:
        """Yield a row's cells with their spans; what others cover is left to the grid."""
        for cell in row:
            if local(cell) != "table-cell":
                continue
            text = " ".join(block.text for block in self.blocks(cell) if block.text)
            columns, rows = (
                number(attribute(cell, f"number-{what}-spanned"), 1) for what in ("columns", "rows")
            )
            repeats = number(attribute(cell, "number-columns-repeated"), 1)
            for _ in range(min(repeats, MAX_REPEATED)):
                yield text, columns, rows
