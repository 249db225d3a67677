"""Delimited values (RFC 4180 and what people write): a row is a line with its columns' names."""

from __future__ import annotations

import csv
import re
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from app.infra.confinement import Refused
from app.ingestion.readers.charset import decode
from app.ingestion.readers.content import Content
from app.ingestion.readers.tables import table_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.ingestion.readers.tables import Row

DELIMITERS = ",;\t|"
#: Rows by which the delimiter is chosen, from the first characters.
SAMPLE_ROWS, SAMPLE_CHARS = 30, 65_536
MAX_COLUMNS = 1_000
#: What Excel writes and reads as a first line that is no data.
TOLD = re.compile(r"sep=([,;\t|])\r?\n", re.IGNORECASE)


def read(data: bytes, _limits: Mapping[str, int]) -> Content:
    """Return the file's rows.

    Raises:
        Refused: ``damaged`` when it has more columns than any table.
    """
    csv.field_size_limit(max(1, len(data)))
    text = decode(data).replace("\0", "")
    told = TOLD.match(text)
    delimiter = told[1] if told else delimiter_of(text)
    rows: list[Row] = []
    lines = text[told.end() if told else 0 :].splitlines(keepends=True)
    for row in csv.reader(lines, delimiter=delimiter):
        if len(row) > MAX_COLUMNS:
            raise Refused("damaged")
        rows.append(list(row))
    return Content(table_blocks(rows), at_headings=False)


def delimiter_of(text: str) -> str:
    """Return the delimiter under which the first rows agree best on how many columns there are.

    ``csv.Sniffer`` is not used: its patterns take quadratic time.
    """
    lines = text[:SAMPLE_CHARS].splitlines(keepends=True)
    return max(DELIMITERS, key=lambda delimiter: agreement(lines, delimiter))


def agreement(lines: list[str], delimiter: str) -> int:
    """Return how many of the first rows have the commonest number of columns, if more than one."""
    counts = Counter(map(len, islice(csv.reader(lines, delimiter=delimiter), SAMPLE_ROWS)))
    return max((times for columns, times in counts.items() if columns > 1), default=0)
