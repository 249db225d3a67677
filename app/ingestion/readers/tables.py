"""Tables as lines: one per row, each cell behind its column's header, so that it is found alone."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TYPE_CHECKING

from app.ingestion.readers.content import Block, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    #: The cells of a row; None is a cell that continues the one to its left.
    Row = list[str | None]

#: Between two cells of a row; ``chunk.py`` knows rows by it.
SEPARATOR = " | "
#: A longer cell is repeated in no merged row, and names no column.
MAX_REPEATED, MAX_HEADER = 200, 80
#: Columns and rows that one cell may span; a sheet's width, and far more than people merge.
MAX_SPAN, MAX_ROWS_SPANNED = 256, 1_000
#: Cells without a letter are data, except years, which name columns.
YEAR = re.compile(r"(?:FY ?)?(?:19|20)\d\d")
#: A header needs this many cells.
MIN_CELLS = 2


class Grid:
    """Puts the cells of a table, row by row, where their spans leave them room."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        #: Column → (rows still to fill, what to repeat there).
        self._hanging: dict[int, tuple[int, str | None]] = {}

    def add(self, cells: Sequence[tuple[str, int, int]]) -> None:
        """Add a row of (text, columns spanned, rows spanned)."""
        row: Row = []
        for text, columns, rows in cells:
            self._fill(row)
            repeated = text if len(text) <= MAX_REPEATED else ""
            for index in range(max(1, min(columns, MAX_SPAN))):
                if rows > 1:
                    below = None if index else repeated
                    self._hanging[len(row)] = (min(rows, MAX_ROWS_SPANNED) - 1, below)
                row.append(None if index else text)
        self._fill(row)
        self.rows.append(row)

    def _fill(self, row: Row) -> None:
        while hanging := self._hanging.pop(len(row), None):
            rows, text = hanging
            if rows > 1:
                self._hanging[len(row)] = (rows - 1, text)
            row.append(text)


def table_blocks(rows: Sequence[Row], headers: int | None = None) -> Iterator[Block]:
    """Yield a table's lines as blocks, the first of them a paragraph of its own."""
    for index, line in enumerate(table_lines(rows, headers)):
        yield Block(line, tight=index > 0)


def table_lines(rows: Sequence[Row], headers: int | None = None) -> Iterator[str]:
    """Yield one line for each row that holds anything.

    Args:
        rows: The cells, merged ones already repeated from above.
        headers: How many rows are marked as header; None when nothing says, and it is guessed.
    """
    if headers is None and groups_columns(rows):
        headers = 2
        rows = [[cell or None for cell in rows[0]], *rows[1:]]
    names: list[str] | None = None
    blank = True
    for index, row in enumerate(rows):
        cells = [cell and one_line(cell) for cell in row]
        if headers is None:
            heads = (names is None or blank) and names_columns(
                cells, rows, index, again=bool(names)
            )
        else:
            heads = index < headers
        blank = not any(cells)
        if blank:
            continue
        if heads:
            filled = fill(cells)
            names = merged(names, filled) if headers and names else filled
            yield plain(cells)
        else:
            yield labelled(cells, names) if names else plain(cells)


def names_columns(cells: Row, rows: Sequence[Row], index: int, *, again: bool) -> bool:
    """Whether a row that is not marked as header reads like one.

    Below a blank row a new table may begin (``again``); then its first row has to differ from the
    data that follows, lest the first row of a group be taken for one.
    """
    texts = [cell for cell in cells if cell]
    following = next((row for row in rows[index + 1 : index + 3] if any(row)), None)
    if len(texts) < MIN_CELLS or following is None:
        return False
    if len(set(texts)) < len(texts) or any(len(text) > MAX_HEADER for text in texts):
        return False
    if not all(YEAR.fullmatch(text) or any(map(str.isalpha, text)) for text in texts):
        return False
    if not again:
        return len(texts) >= len([cell for cell in following if cell]) - 1
    return any(cell and not any(map(str.isalpha, cell)) for cell in following)


def groups_columns(rows: Sequence[Row]) -> bool:
    """Whether the first row, with gaps, names groups of the columns that the second one names.

    "Oslo | | Bergen |" above "On hand | Ordered | On hand | Ordered" and rows with figures.
    """
    head = rows[:3]
    if len(head) < 3 or len({len(row) for row in head}) > 1 or not head[0] or not head[0][0]:  # noqa: PLR2004 - two rows of names, one of data
        return False
    groups, below, data = ([cell for cell in row if cell] for row in head)
    if not MIN_CELLS <= len(groups) <= len(below) - 2 or len(below) < len(head[1]):
        return False
    if not all(any(map(str.isalpha, cell)) and len(cell) <= MAX_HEADER for cell in groups + below):
        return False
    names = merged(fill([cell or None for cell in head[0]]), fill(head[1]))
    return len(set(names)) == len(names) and any(not any(map(str.isalpha, one)) for one in data)


def fill(cells: Row) -> list[str]:
    """Return the cells with those that continue another repeating it."""
    filled: list[str] = []
    for cell in cells:
        filled.append((filled[-1] if filled else "") if cell is None else cell)
    return filled


def merged(names: Sequence[str], more: Sequence[str]) -> list[str]:
    """Return the columns' names when there are several header rows."""
    pairs = zip_longest(names, more, fillvalue="")
    return [upper if lower in ("", upper) else f"{upper} {lower}".strip() for upper, lower in pairs]


def plain(cells: Row) -> str:
    """Return a row whose columns have no names; a merged cell stands once."""
    return SEPARATOR.join(cell for cell in cells if cell)


def labelled(cells: Row, names: Sequence[str]) -> str:
    """Return a row with each cell behind its column's name; one that spans the table, alone."""
    if len(cells) > 1 and len([cell for cell in cells if cell is not None]) == 1:
        return plain(cells)
    parts: list[str] = []
    for cell, name in zip_longest(fill(cells), names, fillvalue=""):
        part = f"{name}: {cell}" if name and name != cell else cell
        if cell and not (parts and parts[-1] == part and name):
            parts.append(part)
    return SEPARATOR.join(parts)
