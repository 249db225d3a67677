"""Workbooks: a sheet begins a page under its name; a row is a line with its columns' names.

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
from app.ingestion.readers.tables import table_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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


class Marks(NamedTuple):
    """What is hidden in a sheet: rows and columns, counted from 1."""

    rows: frozenset[int] = frozenset()
    columns: frozenset[int] = frozenset()


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
    blocks = sheets(workbook, marks_by_name(archive), hidden)
    return Content(blocks, title, author, at_headings=False, hidden=hidden)


def sheets(
    workbook: CalamineWorkbook, marks: Callable[[str], Marks], hidden: Hidden
) -> Iterator[Block]:
    """Yield every sheet's blocks, its name first; a blank sheet has none.

    ``marks`` tells what is hidden in a sheet, by its name.

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
        merge(sheet, rows)
        blank(sheet, rows, marks(metadata.name), hidden)
        if any(any(row) for row in rows):
            yield Block(metadata.name, level=1, page=True)
            yield from table_blocks(rows)


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


def marks_by_name(archive: Archive) -> Callable[[str], Marks]:
    """Return what tells the marks of a sheet by its name."""
    main = main_part(archive, "xl/workbook.xml")
    listed = child(archive.main_xml(main), "sheets")
    targets = relationships(archive, main)
    names = {
        entry.get("name", ""): targets[reference(entry)].name
        for entry in (() if listed is None else listed)
        if reference(entry) in targets
    }
    return lambda name: marks_of(archive, names[name]) if name in names else Marks()


def marks_of(archive: Archive, name: str) -> Marks:
    """Return what is hidden in the sheet that a member holds."""
    data = archive.read(name) or b""
    columns: set[int] = set()
    for tag in filter(HIDDEN.search, COLUMN.findall(data)):
        ends = {key: int(value) for key, value in NUMBER.findall(tag)}
        columns.update(range(ends.get(b"min", 0), min(ends.get(b"max", 0), MAX_COLUMNS) + 1))
    tables = (one.name for one in relationships(archive, name).values() if one.kind == "table")
    if FILTER in data or any(FILTER in (archive.read(table) or b"") for table in tables):
        return Marks(columns=frozenset(columns))
    rows: set[int] = set()
    number = 0
    for row in ROW.finditer(data):
        numbers = dict(NUMBER.findall(row[1]))
        number = int(numbers[b"r"]) if b"r" in numbers else number + 1
        if HIDDEN.search(row[1]):
            rows.add(number)
    return Marks(frozenset(rows), frozenset(columns))


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
