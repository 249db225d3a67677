"""Presentations (ECMA-376 part 1, 19): a slide is a page; title, shapes, tables, charts, notes.

Hidden slides and shapes, and text that nobody sees, are counted and not read; a hidden slide keeps
its number.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from app.ingestion.readers.archive import Archive, attribute, child, local, number
from app.ingestion.readers.charts import charts_of
from app.ingestion.readers.content import Block, Content, Hidden
from app.ingestion.readers.looks import FAINT, alike, color_of
from app.ingestion.readers.ooxml import main_part, properties, reference, relationships
from app.ingestion.readers.tables import Grid, table_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lxml.etree import _Element as Element

    from app.ingestion.readers.looks import Color

    #: Width and height, in EMU (English Metric Units).
    Size = tuple[int, int]

TITLES = ("title", "ctrTitle")
#: Placeholders that repeat what the master says.
FURNITURE = ("sldNum", "dt", "ftr", "hdr", "sldImg")
#: What a shape's fill may be, beside none.
FILLS = ("solidFill", "gradFill", "blipFill", "pattFill", "grpFill")
WHOLE_NUMBER = re.compile(r"-?\d{1,12}")
#: In hundredths of a point, and in thousandths of a percent.
LEAST_SIZE, LEAST_ALPHA, OPAQUE = 200, 5_000, 100_000
ON = ("1", "true")


def read(data: bytes, limits: Mapping[str, int]) -> Content:
    """Return the presentation's content, slides in the order they are shown.

    Raises:
        Refused: when the archive is hostile or damaged.
    """
    archive = Archive(data, limits)
    title, author = properties(archive)
    hidden = Hidden()
    return Content(slides(archive, hidden), title, author, numbered=True, hidden=hidden)


def slides(archive: Archive, hidden: Hidden) -> Iterator[Block]:
    """Yield every slide's blocks behind one that begins its page."""
    main = main_part(archive, "ppt/presentation.xml")
    targets = relationships(archive, main)
    root = archive.main_xml(main)
    listed, size = child(root, "sldIdLst"), size_of(child(root, "sldSz"))
    for entry in () if listed is None else listed:
        yield Block("", page=True)
        target = targets.get(reference(entry))
        slide = None if target is None else archive.xml(target.name)
        if target is None or slide is None:
            continue
        if slide.get("show") in ("0", "false"):
            hidden.note(runs_in(slide))
            continue
        parts = relationships(archive, target.name)
        blocks = list(Slide(slide, hidden, size, charts_of(archive, parts)).blocks())
        yield from sorted(blocks, key=lambda block: not block.level)  # the title first
        for related in parts.values():
            yield from beside(archive, related.kind, related.name, hidden)


def beside(archive: Archive, kind: str, name: str, hidden: Hidden) -> Iterator[Block]:
    """Yield what belongs to a slide in other parts: the speaker's notes, the text of diagrams."""
    root = archive.xml(name) if kind in ("notesSlide", "diagramData") else None
    if root is None:
        return
    slide = Slide(root, hidden)
    if kind == "notesSlide":
        yield from slide.blocks()
    else:
        for paragraph in root.iter("{*}p"):
            yield Block(slide.text(paragraph, None), tight=True)


class Slide:
    """One slide, or a page of notes."""

    def __init__(
        self,
        root: Element,
        hidden: Hidden,
        size: Size | None = None,
        charts: Callable[[Element], Iterator[Block]] = lambda _: iter(()),
    ) -> None:
        """``size`` is what is shown of it, None is not known; ``charts`` reads those in it."""
        self._tree = child(root, "cSld", "spTree")
        self._hidden = hidden
        self._size = size
        self._charts = charts
        background = child(root, "cSld", "bg", "bgPr")
        bare = self._tree is not None and not any(map(covers, self._tree.iter()))
        self._ground = fill_of(background) if bare else None

    def blocks(self) -> Iterator[Block]:
        """Yield the text of shapes and tables, groups included, in the file's order."""
        if self._tree is not None:
            yield from self.shapes(self._tree)

    def shapes(self, tree: Element) -> Iterator[Block]:
        """Yield the text of what is drawn directly below an element."""
        for shape in tree:
            name = local(shape)
            if is_hidden(shape) or (tree is self._tree and self._is_outside(shape)):
                self._hidden.note(runs_in(shape))
            elif name == "sp":
                yield from self._shape(shape)
            elif name in ("grpSp", "AlternateContent", "Choice"):
                yield from self.shapes(shape)
            elif name == "graphicFrame":
                for one in shape.iter("{*}tbl", "{*}chart"):
                    yield from self._table(one) if local(one) == "tbl" else self._charts(one)

    def _shape(self, shape: Element) -> Iterator[Block]:
        """Yield a shape's paragraphs; those of the title are the slide's heading."""
        placeholder = child(shape, "nvSpPr", "nvPr", "ph")
        kind = placeholder.get("type", "") if placeholder is not None else ""
        body = child(shape, "txBody")
        if kind in FURNITURE or body is None:
            return
        filled = covers(child(shape, "spPr")) or child(shape, "style", "fillRef") is not None
        ground = fill_of(child(shape, "spPr")) if filled else self._ground
        texts = [self.text(one, ground) for one in body if local(one) == "p"]
        if kind in TITLES:
            yield Block(" ".join(texts), level=1)
            return
        for index, text in enumerate(text for text in texts if text.strip()):
            yield Block(text, tight=index > 0)

    def _table(self, table: Element) -> Iterator[Block]:
        """Yield a table's rows; its first is the header when the table's style says so."""
        marked = child(table, "tblPr")
        grid = Grid()
        for row in table:
            if local(row) != "tr":
                continue
            grid.add([
                (self._cell(cell), number(cell.get("gridSpan"), 1), number(cell.get("rowSpan"), 1))
                for cell in row
                if local(cell) == "tc" and not (cell.get("hMerge") or cell.get("vMerge"))
            ])  # fmt: skip
        first = marked is not None and attribute(marked, "firstRow") in ON
        yield from table_blocks(grid.rows, 1 if first else None)

    def _cell(self, cell: Element) -> str:
        """Return the text of a table's cell."""
        ground = fill_of(child(cell, "tcPr"))
        return " ".join(self.text(one, ground) for one in cell.iter("{*}p"))

    def text(self, paragraph: Element, ground: Color | None) -> str:
        """Return a DrawingML paragraph's text as it stands before a ground; None is not known."""
        parts = []
        for element in paragraph.iter("{*}t", "{*}br"):
            if local(element) == "br":
                parts.append("\n")
            elif is_unseen(child(element.getparent(), "rPr"), ground):
                self._hidden.note([element.text or ""])
            else:
                parts.append(element.text or "")
        return "".join(parts)

    def _is_outside(self, shape: Element) -> bool:
        """Whether a shape lies beside the slide; of one that is turned it is not known."""
        place = next(shape.iter("{*}xfrm"), None)
        offset, extent = child(place, "off"), child(place, "ext")
        if self._size is None or place is None or offset is None or extent is None:
            return False
        if place.get("rot", "0") != "0":
            return False
        x, y = whole(offset.get("x")), whole(offset.get("y"))
        width, height = whole(extent.get("cx")), whole(extent.get("cy"))
        return x + width < 0 or y + height < 0 or x >= self._size[0] or y >= self._size[1]


def size_of(element: Element | None) -> Size | None:
    """Return the size of the slides."""
    size = (0, 0) if element is None else (whole(element.get("cx")), whole(element.get("cy")))
    return size if min(size) > 0 else None


def runs_in(element: Element) -> Iterator[str]:
    """Yield the text of everything in an element."""
    return (one.text or "" for one in element.iter("{*}t"))


def is_hidden(shape: Element) -> bool:
    """Whether a shape, group or frame is marked as hidden."""
    facts = next((one for one in shape if local(one).startswith("nv")), None)
    named = child(facts, "cNvPr")
    return named is not None and named.get("hidden") in ON


def covers(element: Element | None) -> bool:
    """Whether an element says that a shape is filled, or is a picture."""
    return element is not None and (
        local(element) == "pic"
        or (local(element) == "spPr" and any(local(one) in FILLS for one in element))
    )


def is_unseen(run: Element | None, ground: Color | None) -> bool:
    """Whether a run's properties leave nothing to be seen of it."""
    if run is None:
        return False
    if number(run.get("sz"), LEAST_SIZE) < LEAST_SIZE:
        return True
    if child(run, "noFill") is not None and child(run, "ln") is None:
        return True
    color = fill_of(run)
    return color == FAINT or alike(color, ground)


def fill_of(element: Element | None) -> Color | None:
    """Return the colour an element is filled with; None when it is a theme's, or none."""
    fill = child(element, "solidFill")
    color = None if fill is None else next(iter(fill), None)
    if color is None:
        return None
    for change in color:
        if local(change) != "alpha":
            return None
        if number(change.get("val"), OPAQUE) < LEAST_ALPHA:
            return FAINT
    value = color.get("val", "").lower()
    return color_of(f"#{value}" if local(color) == "srgbClr" else value)


def whole(text: str | None) -> int:
    """Return an attribute that should be a length; 0 when it is none."""
    return int(text) if text and WHOLE_NUMBER.fullmatch(text) else 0
