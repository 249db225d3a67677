"""Presentations (ECMA-376 part 1, 19): a slide is a page; its title, shapes, tables, notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.ingestion.readers.archive import Archive, attribute, child, local, number
from app.ingestion.readers.content import Block, Content
from app.ingestion.readers.ooxml import main_part, properties, relationships
from app.ingestion.readers.tables import Grid, table_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lxml.etree import _Element as Element

TITLES = ("title", "ctrTitle")
#: Placeholders that repeat what the master says.
FURNITURE = ("sldNum", "dt", "ftr", "hdr", "sldImg")


def read(data: bytes, limits: Mapping[str, int]) -> Content:
    """Return the presentation's content, slides in the order they are shown.

    Raises:
        Refused: when the archive is hostile or damaged.
    """
    archive = Archive(data, limits)
    title, author = properties(archive)
    return Content(slides(archive), title, author, numbered=True)


def slides(archive: Archive) -> Iterator[Block]:
    """Yield every slide's blocks behind one that begins its page."""
    main = main_part(archive, "ppt/presentation.xml")
    targets = relationships(archive, main)
    listed = child(archive.main_xml(main), "sldIdLst")
    for entry in () if listed is None else listed:
        yield Block("", page=True)
        target = targets.get(reference(entry))
        if target is None:
            continue
        root = archive.xml(target.name)
        tree = child(root, "cSld", "spTree")
        blocks = list(shapes(tree)) if tree is not None else []
        yield from sorted(blocks, key=lambda block: not block.level)  # the title first
        for related in relationships(archive, target.name).values():
            yield from beside(archive, related.kind, related.name)


def reference(entry: Element) -> str:
    """Return the relationship a slide's entry names; its own ``id`` is a number."""
    return next((str(v) for k, v in entry.attrib.items() if str(k).endswith("}id")), "")


def beside(archive: Archive, kind: str, name: str) -> Iterator[Block]:
    """Yield what belongs to a slide in other parts: the speaker's notes, the text of diagrams."""
    root = archive.xml(name) if kind in ("notesSlide", "diagramData") else None
    if root is None:
        return
    if kind == "notesSlide":
        tree = child(root, "cSld", "spTree")
        yield from shapes(tree) if tree is not None else ()
    else:
        for paragraph in root.iter("{*}p"):
            yield Block(paragraph_text(paragraph), tight=True)


def shapes(tree: Element) -> Iterator[Block]:
    """Yield the text of shapes and tables, groups included, in the file's order."""
    for shape in tree:
        name = local(shape)
        if name == "sp":
            yield from shape_blocks(shape)
        elif name in ("grpSp", "AlternateContent", "Choice"):
            yield from shapes(shape)
        elif name == "graphicFrame":
            for table in shape.iter("{*}tbl"):
                yield from table_of(table)


def shape_blocks(shape: Element) -> Iterator[Block]:
    """Yield a shape's paragraphs; those of the title are the slide's heading."""
    placeholder = child(shape, "nvSpPr", "nvPr", "ph")
    kind = placeholder.get("type", "") if placeholder is not None else ""
    body = child(shape, "txBody")
    if kind in FURNITURE or body is None:
        return
    texts = [paragraph_text(one) for one in body if local(one) == "p"]
    if kind in TITLES:
        yield Block(" ".join(texts), level=1)
        return
    for index, text in enumerate(text for text in texts if text.strip()):
        yield Block(text, tight=index > 0)


def paragraph_text(paragraph: Element) -> str:
    """Return a DrawingML paragraph's text."""
    parts = []
    for element in paragraph.iter("{*}t", "{*}br"):
        parts.append((element.text or "") if local(element) == "t" else "\n")
    return "".join(parts)


def table_of(table: Element) -> Iterator[Block]:
    """Yield a table's rows; its first is the header when the table's style says so."""
    marked = child(table, "tblPr")
    grid = Grid()
    for row in table:
        if local(row) != "tr":
            continue
        grid.add([
            (cell_text(cell), number(cell.get("gridSpan"), 1), number(cell.get("rowSpan"), 1))
            for cell in row
            if local(cell) == "tc" and not (cell.get("hMerge") or cell.get("vMerge"))
        ])  # fmt: skip
    first = marked is not None and attribute(marked, "firstRow") in ("1", "true")
    yield from table_blocks(grid.rows, 1 if first else None)


def cell_text(cell: Element) -> str:
    """Return the text of a table's cell."""
    return " ".join(paragraph_text(one) for one in cell.iter("{*}p"))
