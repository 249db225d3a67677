"""Workbooks: a sheet begins a page under its name; a row is a line with its columns' names.

Of the formats of numbers only percentages are applied, which change what is read.

Hidden sheets, rows and columns are counted and not read. Rows that a filter hides are read: a
filter is a view that its readers set.
"""

from __future__ import annotations

import datetime
import io
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum

from app.infra.confinement import Refused
from app.ingestion.readers.archive import Archive, child
from app.ingestion.readers.content import Block, Content, Hidden
from app.ingestion.readers.ooxml import main_part, properties, reference, relationships
from app.ingestion.readers.pptx import Slide
from app.ingestion.readers.tables import table_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lxml.etree import _Element as Element
    from python_calamine import CalamineSheet

    from app.ingestion.readers.tables import Row

MAX_COLUMNS = 1_000
#: Merged cells that are filled, in all; a merge over whole columns repeats nothing.
MAX_MERGED = 10_000
#: Excel keeps 15 digits; from here on a number is shown with an exponent.
EXACT = 1e15
MIDNIGHT = datetime.time()
#: A row's or a column's tag, looked for in bytes: as a tree a sheet would fill the memory.
ROW = re.compile(rb"<(?:\w+:)?row\s([^<>]*)>")
COLUMN = re.compile(rb"<(?:\w+:)?col\s([^<>]*)>")
HIDDEN = re.compile(
    rb"\bhidden\s*=\s*[\x22'](?:1|true)|\b(?:ht|width)\s*=\s*[\x22']0(?:\.0+)?[\x22']"
)
NUMBER = re.compile(rb"\b(r|min|max)\s*=\s*[\x22'](\d{1,7})[\x22']")
FILTER = b"filterColumn"
#: A cell's tag, its place and style, looked for in bytes as well.
CELL = re.compile(rb"<(?:\w+:)?c\s([^<>]*)>")
PLACE = re.compile(rb"\br\s*=\s*[\x22']([A-Z]{1,3})(\d{1,7})[\x22']")
STYLE = re.compile(rb"\bs\s*=\s*[\x22'](\d{1,5})[\x22']")
#: Built-in formats of percentages (ECMA-376 part 1, 18.8.30), and what a format only says.
PERCENTAGES, SAID = ("9", "10"), re.compile(r'"[^"]*"|\\.|_.')


class Marks(NamedTuple):
    """What is hidden in a sheet, and its percentages; rows and columns are counted from 1."""

    rows: frozenset[int] = frozenset()
    columns: frozenset[int] = frozenset()
    percentages: tuple[tuple[int, int], ...] = ()


def read(data: bytes, limits: Mapping[str, int]) -> Content:
    """Return the workbook's content.

    Raises:
        Refused: when the archive is hostile or damaged.
    """
    archive = Archive(data, limits)
    title, author = properties(archive)
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
    except (CalamineError, ValueError, OSError) as error:
        raise Refused("damaged") from error
    hidden = Hidden()
    blocks = sheets(workbook, sheet_parts(archive), hidden)
    return Content(blocks, title, author, at_headings=False, hidden=hidden)


def sheets(
    workbook: CalamineWorkbook, parts: Mapping[str, SheetPart], hidden: Hidden
) -> Iterator[Block]:
    """Yield every sheet's blocks, its name first; a blank sheet has none.

    ``parts`` tells what is hidden, drawn and a percentage in a sheet, by its name.

    Raises:
        Refused: ``damaged``.
    """
    for metadata in workbook.sheets_metadata:
        try:
            sheet = workbook.get_sheet_by_name(metadata.name)
            rows: list[Row] = [
                [shown(cell) for cell in row[:MAX_COLUMNS]] for row in sheet.iter_rows()
            ]
        except (CalamineError, ValueError, OSError) as error:
            if "worksheet" in str(error).lower():  # a sheet that is only a chart
                continue
            raise Refused("damaged") from error
        if metadata.visible != SheetVisibleEnum.Visible:
            hidden.note(cell for row in rows for cell in row if cell)
            continue
        part = parts.get(metadata.name)
        marked = part.marks() if part else Marks()
        show_percentages(sheet, rows, marked)
        merge(sheet, rows)
        blank(sheet, rows, marked, hidden)
        drawn = list(part.drawn(hidden)) if part else []
        if drawn or any(any(row) for row in rows):
            yield Block(metadata.name, level=1, page=True)
            yield from table_blocks(rows)
            yield from drawn


def merge(sheet: CalamineSheet, rows: list[Row]) -> None:
    """Fill merged cells: those below repeat the first, those to the right continue it."""
    # Rows are told from the sheet's first, columns from the first that holds anything.
    left = (sheet.start or (0, 0))[1]
    filled = 0
    for (first, start), (last, end) in sheet.merged_cell_ranges or ():
        for y in range(first, min(last + 1, len(rows))):
            for x in range(start - left, min(end - left + 1, len(rows[y]))):
                filled += 1
                if filled > MAX_MERGED or x < 0:
                    return
                rows[y][x] = None if x > start - left else rows[first][start - left]


class SheetPart(NamedTuple):
    """The member of the archive that holds a sheet."""

    archive: Archive
    name: str
    #: The styles that show percentages, by their numbers.
    percent: frozenset[bytes]

    def marks(self) -> Marks:
        """Return what is hidden in the sheet, and its percentages."""
        return marks_of(self.archive, self.name, self.percent)

    def drawn(self, hidden: Hidden) -> Iterator[Block]:
        """Yield the text of the shapes that lie on the sheet, in the file's order."""
        for target in relationships(self.archive, self.name).values():
            root = self.archive.xml(target.name) if target.kind == "drawing" else None
            for anchor in () if root is None else root:
                yield from Slide(anchor, hidden).shapes(anchor)


def sheet_parts(archive: Archive) -> dict[str, SheetPart]:
    """Return the parts of a workbook's sheets by their names."""
    main = main_part(archive, "xl/workbook.xml")
    listed = child(archive.main_xml(main), "sheets")
    targets = relationships(archive, main)
    parts = [target.name for target in targets.values() if target.kind == "styles"]
    percent = percent_styles(archive.xml(parts[0]) if parts else None)
    return {
        entry.get("name", ""): SheetPart(archive, targets[reference(entry)].name, percent)
        for entry in (() if listed is None else listed)
        if reference(entry) in targets
    }


def percent_styles(root: Element | None) -> frozenset[bytes]:
    """Return the numbers of the styles by which cells show percentages."""
    listed, formats = child(root, "cellXfs"), child(root, "numFmts")
    percentages = {
        one.get("numFmtId")
        for one in (() if formats is None else formats)
        if "%" in SAID.sub("", one.get("formatCode", ""))
    }
    return frozenset(
        str(index).encode()
        for index, style in enumerate(() if listed is None else listed)
        if style.get("numFmtId") in {*PERCENTAGES, *percentages}
    )


def percentages_in(data: bytes, styles: frozenset[bytes]) -> Iterator[tuple[int, int]]:
    """Yield row and column of the cells that have one of the styles."""
    for cell in CELL.finditer(data) if styles else ():
        style, place = STYLE.search(cell[1]), PLACE.search(cell[1])
        if style and place and style[1] in styles:
            column = 0
            for letter in place[1]:
                column = 26 * column + letter - ord("A") + 1
            yield int(place[2]), column


def marks_of(archive: Archive, name: str, styles: frozenset[bytes]) -> Marks:
    """Return what is hidden in the sheet that a member holds, and what ``styles`` show."""
    data = archive.read(name) or b""
    percentages = tuple(percentages_in(data, styles))
    columns: set[int] = set()
    for tag in filter(HIDDEN.search, COLUMN.findall(data)):
        ends = {key: int(value) for key, value in NUMBER.findall(tag)}
        columns.update(range(ends.get(b"min", 0), min(ends.get(b"max", 0), MAX_COLUMNS) + 1))
    tables = (one.name for one in relationships(archive, name).values() if one.kind == "table")
    if FILTER in data or any(FILTER in (archive.read(table) or b"") for table in tables):
        return Marks(frozenset(), frozenset(columns), percentages)
    rows: set[int] = set()
    number = 0
    for row in ROW.finditer(data):
        numbers = dict(NUMBER.findall(row[1]))
        number = int(numbers[b"r"]) if b"r" in numbers else number + 1
        if HIDDEN.search(row[1]):
            rows.add(number)
    return Marks(frozenset(rows), frozenset(columns), percentages)


def show_percentages(sheet: CalamineSheet, rows: list[Row], marks: Marks) -> None:
    """Write the numbers of cells that show percentages so."""
    left = (sheet.start or (0, 0))[1]
    for y, x in marks.percentages:
        column = x - left - 1
        if y <= len(rows) and 0 <= column < len(rows[y - 1]):
            rows[y - 1][column] = as_percentage(rows[y - 1][column])


def as_percentage(text: str | None) -> str | None:
    """Return a number as a percentage; anything else as it is."""
    try:
        return f"{100 * float(text or ''):.6g}%"
    except ValueError:
        return text


def blank(sheet: CalamineSheet, rows: list[Row], marks: Marks, hidden: Hidden) -> None:
    """Empty the cells of hidden rows and columns."""
    left = (sheet.start or (0, 0))[1]
    for y, row in enumerate(rows, 1):
        for x in range(len(row)) if marks.rows or marks.columns else ():
            if y in marks.rows or x + left + 1 in marks.columns:
                hidden.note([row[x] or ""])
                row[x] = ""


def shown(value: Any) -> str:  # noqa: ANN401 - calamine's cells are of seven types
    """Return a value as the sheet shows it, dates as ISO 8601, numbers without binary noise."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return f"{value:.15g}" if abs(value) >= EXACT or value % 1 else str(int(value))
    if isinstance(value, datetime.datetime):
        return str(value.date() if value.time() == MIDNIGHT else value)
    return str(value)
