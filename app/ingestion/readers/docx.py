"""Word documents (ECMA-376 part 1, 17): body, lists, tables, text boxes, notes, margins.

Tracked changes are read as accepted; hidden text, which no reader of the document sees, and remarks
in the margin are counted and not read. Namespaces are not compared, so transitional and strict
files are the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from app.ingestion.readers.archive import Archive, attribute, child, local, number
from app.ingestion.readers.bold import with_headings
from app.ingestion.readers.charts import charts_of
from app.ingestion.readers.content import Block, Content, Hidden, one_line
from app.ingestion.readers.numbering import Numbering
from app.ingestion.readers.ooxml import main_part, properties, relationships
from app.ingestion.readers.tables import MAX_REPEATED, table_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lxml.etree import _Element as Element

    from app.ingestion.readers.tables import Row

HEADING = re.compile(r"heading ([1-9])")
#: Deleted and moved-away text, field codes, a ruby's reading, drawings' second rendering.
UNREAD = frozenset(
    ("del", "moveFrom", "instrText", "delText", "rt", "Fallback", "pPr", "rPr", "sectPr",
     "tblPr", "tblGrid", "trPr", "tcPr", "sdtPr", "sdtEndPr", "annotation")
)  # fmt: skip
BREAKS = {"br": "\n", "cr": "\n", "tab": " ", "ptab": " ", "noBreakHyphen": "-"}
NOTES = {"footnoteReference": "footnotes", "endnoteReference": "endnotes"}
#: Outline levels (17.9.22): nine of headings, then body text.
OUTLINE_LEVELS = 9
#: In half points.
LEAST_SIZE = 4
OFF = ("0", "false", "off", "none")


def read(data: bytes, limits: Mapping[str, int]) -> Content:
    """Return the document's content.

    Raises:
        Refused: when the archive is hostile or damaged.
    """
    archive = Archive(data, limits)
    title, author = properties(archive)
    reader = Reader(archive)
    return Content(with_headings(list(reader.blocks())), title, author, hidden=reader.hidden)


class Reader:
    """Walks one document."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        #: Hidden text, as far as the blocks were read.
        self.hidden = Hidden()
        main = main_part(archive, "word/document.xml")
        self._body = child(archive.main_xml(main), "body")
        self._targets = relationships(archive, main)
        self._charts = charts_of(archive, self._targets)
        styles = self._part("styles")
        self._levels = heading_levels(styles)
        self._numbering = Numbering(self._part("numbering"), styles)
        self._notes = {
            (kind, attribute(note, "id")): note
            for kind in NOTES.values()
            for note in self._part(kind)
            if attribute(note, "type") in (None, "normal")
        }

    def blocks(self) -> Iterator[Block]:
        """Yield headers, the body, footers; what pages repeat, once. Remarks are counted."""
        body = self._body if self._body is not None else ()
        yield from self._margins("header")
        yield from self._walk(body)
        yield from self._margins("footer")
        for remark in self._part("comments"):
            self.hidden.note(t.text or "" for t in remark.iter("{*}t"))

    def _part(self, kind: str) -> Element | Sequence[Element]:
        for target in self._targets.values():
            if target.kind == kind:
                root = self._archive.xml(target.name)
                return () if root is None else root
        return ()

    def _margins(self, kind: str) -> Iterator[Block]:
        """Yield each different header or footer that says something beside a page number."""
        seen: set[str] = set()
        for name in dict.fromkeys(t.name for t in self._targets.values() if t.kind == kind):
            root = self._archive.xml(name)
            for block in self._walk(root if root is not None else ()):
                text = one_line(block.text)
                if text not in seen and any(map(str.isalpha, text)):
                    seen.add(text)
                    yield Block(block.text)

    def _walk(self, elements: Element | Sequence[Element]) -> Iterator[Block]:
        """Yield the blocks of paragraphs and tables, wherever content controls put them."""
        for element in elements:
            name = local(element)
            if name == "p":
                yield from self._paragraph(element)
            elif name == "tbl":
                yield from self._table(element)
            elif name not in UNREAD:
                yield from self._walk(element)

    def _paragraph(self, paragraph: Element) -> Iterator[Block]:
        """Yield a paragraph, then the text boxes anchored in it and the notes it refers to."""
        parts: list[str] = []
        asides: list[Element] = []
        self._runs(paragraph, parts, asides)
        properties = child(paragraph, "pPr")
        marker = None if is_deleted(properties) else self._numbering.marker(properties)
        level = self._level(properties)
        text = "".join(parts)
        text = f"{marker}{text}" if marker and text.strip() else text
        listed = marker is not None
        yield Block(text, level, tight=listed and not level, bold=is_bold(paragraph))
        for aside in asides:
            yield from self._charts(aside) if local(aside) == "chart" else self._walk(aside)

    def _runs(self, element: Element, parts: list[str], asides: list[Element]) -> None:
        """Collect a paragraph's text, and what stands beside it."""
        for one in element:
            name = local(one)
            if name == "t":
                parts.append(one.text or "")
            elif name in BREAKS:
                parts.append(BREAKS[name])
            elif name == "docPr":  # a picture: what its author says it shows
                parts.append(f" {one.get('descr', '')} ")
            elif name in ("txbxContent", "chart"):
                asides.append(one)
            elif name in NOTES:
                note = self._notes.get((NOTES[name], attribute(one, "id")))
                asides += [] if note is None else [note]
            elif name not in UNREAD and not self._hides(one, name):
                self._runs(one, parts, asides)

    def _hides(self, one: Element, name: str) -> bool:
        """Whether what stands here is hidden text, which is counted then."""
        hidden = name == "r" and is_hidden(one)
        if hidden:
            self.hidden.note(t.text or "" for t in one.iter("{*}t"))
        return hidden

    def _level(self, properties: Element | None) -> int:
        """Return a paragraph's level as a heading; 0 for body text."""
        outline = child(properties, "outlineLvl")
        if outline is not None:
            return outline_level(outline)
        style = child(properties, "pStyle")
        return 0 if style is None else self._levels.get(attribute(style, "val") or "", 0)

    def _table(self, table: Element) -> Iterator[Block]:
        rows: list[Row] = []
        headers = 0
        for line in rows_of(table):
            marks = child(line, "trPr")
            if child(marks, "del") is not None:
                continue
            if headers == len(rows) and is_on(child(marks, "tblHeader")):
                headers += 1
            rows.append(self._row(line, rows[-1] if rows else []))
        if max(map(len, rows), default=0) <= 1:  # a frame around text, not a table
            for line in rows_of(table):
                for cell in line:
                    yield from self._walk(cell) if local(cell) == "tc" else ()
            return
        yield from table_blocks(rows, headers or None)

    def _row(self, line: Element, above: Row) -> Row:
        """Return a row's cells; one merged with the cell above repeats it."""
        row: Row = []
        for cell in cells_of(line):
            marks = child(cell, "tcPr")
            merge = child(marks, "vMerge")
            text: str | None = " ".join(block.text for block in self._walk(cell) if block.text)
            if merge is not None and attribute(merge, "val") != "restart" and len(row) < len(above):
                kept = above[len(row)]
                text = kept if not kept or len(kept) <= MAX_REPEATED else ""
            row.append(text)
            span = child(marks, "gridSpan")
            columns = number(attribute(span, "val"), 1) if span is not None else 1
            row += [None] * (min(columns, 64) - 1)
        return row


def rows_of(table: Element) -> Iterator[Element]:
    """Yield a table's rows, also those in content controls or inserted by a tracked change."""
    for one in table:
        if local(one) == "tr":
            yield one
        elif local(one) in ("sdt", "sdtContent", "customXml", "ins"):
            yield from rows_of(one)


def cells_of(row: Element) -> Iterator[Element]:
    """Yield a row's cells, also those in content controls."""
    for one in row:
        if local(one) == "tc":
            yield one
        elif local(one) in ("sdt", "sdtContent", "customXml"):
            yield from cells_of(one)


def heading_levels(styles: Element | Sequence[Element]) -> dict[str, int]:
    """Return the level of each style that is a heading's, by its id, inherited ones included."""
    levels: dict[str, int] = {}
    parents: dict[str, str] = {}
    for style in styles:
        key = attribute(style, "styleId")
        if local(style) != "style" or key is None:
            continue
        name, parent = child(style, "name"), child(style, "basedOn")
        called = ((attribute(name, "val") if name is not None else "") or "").lower()
        outline = child(style, "pPr", "outlineLvl")
        match = HEADING.match(called)
        if match or called == "title":
            levels[key] = int(match[1]) if match else 1
        elif outline is not None:
            levels[key] = outline_level(outline)
        elif parent is not None:
            parents[key] = attribute(parent, "val") or ""
    for _ in range(10):  # chains of styles are short; a loop of them ends here
        inherited = {key: levels[up] for key, up in parents.items() if up in levels}
        if inherited.keys() <= levels.keys():
            break
        levels |= inherited
    return levels


def is_bold(paragraph: Element) -> bool:
    """Whether all of a paragraph's own text is formatted as bold."""
    runs = [run for run in paragraph.iter("{*}r") if next(run.iter("{*}t"), None) is not None]
    return bool(runs) and all(is_on(child(run, "rPr", "b")) for run in runs)


def is_deleted(properties: Element | None) -> bool:
    """Whether a tracked change deletes a paragraph, which has no number then."""
    return child(properties, "rPr", "del") is not None


def outline_level(element: Element) -> int:
    """Return the heading level of an outline level, which counts from 0 and ends with body text."""
    level = number(attribute(element, "val"), 9) + 1
    return level if level <= OUTLINE_LEVELS else 0


def is_hidden(run: Element) -> bool:
    """Whether a run is formatted as hidden text, too small to be read, or white on white."""
    style = child(run, "rPr")
    if style is None:
        return False
    size, color = child(style, "sz"), child(style, "color")
    if is_on(child(style, "vanish")):
        return True
    if size is not None and number(attribute(size, "val"), LEAST_SIZE) < LEAST_SIZE:
        return True
    return color is not None and attribute(color, "val") == "FFFFFF" and not is_backed(run)


def is_backed(run: Element) -> bool:
    """Whether a run may stand before another colour than the page's."""
    paragraph = next(run.iterancestors("{*}p"), None)
    shaded = (
        child(run, "rPr", "shd"),
        child(run, "rPr", "highlight"),
        child(paragraph, "pPr", "shd"),
    )
    return any(mark is not None for mark in shaded) or any(
        local(one) in ("tc", "txbxContent") for one in run.iterancestors()
    )


def is_on(switch: Element | None) -> bool:
    """Whether a property that is either on or off is on."""
    return switch is not None and attribute(switch, "val") not in OFF
