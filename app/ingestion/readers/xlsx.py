"""Workbooks: a sheet begins a page under its name; a row is a line with its columns' names."""

from __future__ import annotations

import datetime
import io
from typing import TYPE_CHECKING, Any

from python_calamine import CalamineError, CalamineWorkbook

from app.infra.confinement import Refused
from app.ingestion.readers.archive import Archive
from app.ingestion.readers.content import Block, Content
from app.ingestion.readers.ooxml import properties
from app.ingestion.readers.tables import table_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from python_calamine import CalamineSheet

    from app.ingestion.readers.tables import Row

MAX_COLUMNS = 1_000
#: Merged cells that are filled, in all; a merge over whole columns repeats nothing.
MAX_MERGED = 10_000
#: Excel keeps 15 digits; from here on a number is shown with an exponent.
EXACT = 1e15
MIDNIGHT = datetime.time()


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
    return Content(sheets(workbook), title, author, at_headings=False)


def sheets(workbook: CalamineWorkbook) -> Iterator[Block]:
    """Yield every sheet's blocks, its name first; a blank sheet has none.

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
        if any(any(row) for row in rows):
            yield Block(metadata.name, level=1, page=True)
            merge(sheet, rows)
            yield from table_blocks(rows)


def merge(sheet: CalamineSheet, rows: list[Row]) -> None:
    """Fill merged cells: those below repeat the first, those to the right continue it."""
    top, left = sheet.start or (0, 0)
    filled = 0
    for (first, start), (last, end) in sheet.merged_cell_ranges or ():
        for y in range(first - top, min(last - top + 1, len(rows))):
            for x in range(start - left, min(end - left + 1, len(rows[y]) if y >= 0 else 0)):
                filled += 1
                if filled > MAX_MERGED or x < 0:
                    return
                rows[y][x] = None if x > start - left else rows[first - top][start - left]


def shown(value: Any) -> str:  # noqa: ANN401 - calamine's cells are of seven types
    """Return a value as the sheet shows it, dates as ISO 8601, numbers without binary noise."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return f"{value:.15g}" if abs(value) >= EXACT or value % 1 else str(int(value))
    if isinstance(value, datetime.datetime):
        return str(value.date() if value.time() == MIDNIGHT else value)
    return str(value)
