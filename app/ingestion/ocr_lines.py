"""Lines read on a page, in the order people read them, as the page's text and words."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

Box = tuple[float, float, float, float]

#: Lines that a column has at least, and the share of its width that its lines fill: a table's
#: cells are shorter, and a table is read row by row.
MIN_COLUMN_LINES, MIN_COLUMN_FILL = 4, 0.6
#: Median line heights by which columns are apart.
MIN_GUTTER = 0.8
#: Cuts within cuts; a real page has five.
MAX_DEPTH = 40
#: A line so much higher than wide is written upwards.
UPWARDS = 1.5


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """A line's text, its box (left, top, right, bottom) and each character's middle (0 to 1)."""

    text: str
    box: Box
    middles: Sequence[float]
    #: How much lower its right end is than its left, on a skewed page.
    fall: float = 0.0


@dataclass(frozen=True, slots=True)
class PlacedText:
    """A page's text; for each word its start and end there, and its box."""

    text: str
    spans: list[tuple[int, int]]
    boxes: list[Box]


def place(lines: Sequence[PlacedLine]) -> PlacedText:
    """Return the page's text: columns one after another, a line for each row of each."""
    text = ""
    spans: list[tuple[int, int]] = []
    boxes: list[Box] = []
    for row in in_order(list(lines), 0):
        separator = "\n" if text else ""
        for line in row:
            for start, end, box in words_of(line):
                text += separator
                spans.append((len(text), len(text) + end - start))
                boxes.append(box)
                text += line.text[start:end]
                separator = " "
    return PlacedText(text, spans, boxes)


def in_order(lines: list[PlacedLine], depth: int) -> list[list[PlacedLine]]:
    """Return the rows of a part of the page (a recursive XY-cut).

    It is cut into columns if it has any, else at its widest horizontal gap, until nothing is left
    that could have columns.
    """
    if len(lines) >= 2 * MIN_COLUMN_LINES and depth < MAX_DEPTH:
        for parts in (columns_of(lines), bands_of(lines)):
            if len(parts) > 1:
                return [row for part in parts for row in in_order(part, depth + 1)]
    return rows_of(lines)


def columns_of(lines: list[PlacedLine]) -> list[list[PlacedLine]]:
    """Return the lines left and right of the first gutter that parts running text."""
    height = median(line.box[3] - line.box[1] for line in lines)
    ordered = sorted(lines, key=lambda line: line.box[0])
    right = ordered[0].box[2]
    for index, line in enumerate(ordered[1:], 1):
        if line.box[0] - right >= MIN_GUTTER * height:
            parts = [ordered[:index], ordered[index:]]
            if all(is_column(part) for part in parts):
                return parts
        right = max(right, line.box[2])
    return [lines]


def is_column(lines: list[PlacedLine]) -> bool:
    """Whether the lines are enough, and long enough, to be read on their own."""
    width = max(line.box[2] for line in lines) - min(line.box[0] for line in lines)
    fill = median(line.box[2] - line.box[0] for line in lines)
    return len(lines) >= MIN_COLUMN_LINES and fill >= MIN_COLUMN_FILL * width


def bands_of(lines: list[PlacedLine]) -> list[list[PlacedLine]]:
    """Return the lines above and below the widest gap that goes through the whole part."""
    ordered = sorted(lines, key=lambda line: line.box[1])
    bottom, gaps = ordered[0].box[3], []
    for index, line in enumerate(ordered[1:], 1):
        gaps.append((line.box[1] - bottom, index))
        bottom = max(bottom, line.box[3])
    widest, index = max(gaps)
    return [ordered[:index], ordered[index:]] if widest > 0 else [lines]


def rows_of(lines: list[PlacedLine]) -> list[list[PlacedLine]]:
    """Return the lines row by row, top to bottom; those of a row left to right."""
    rows: list[list[PlacedLine]] = []
    for line in sorted(lines, key=lambda line: line.box[1] + line.box[3]):
        middle = (line.box[1] + line.box[3]) / 2
        if rows and rows[-1][0].box[1] < middle < rows[-1][0].box[3]:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.box[0]) for row in rows]


def words_of(line: PlacedLine) -> list[tuple[int, int, Box]]:
    """Return start and end of each word in the line's text, and its box.

    A word ends in the middle of the space: the recogniser tells a character's middle, give or take
    half a narrow letter, and not where it begins.
    """
    gaps = [index for index, character in enumerate(line.text) if character.isspace()]
    words = []
    for before, after in pairwise((-1, *gaps, len(line.text))):
        start, end = before + 1, after
        if start < end:
            left = line.middles[before] if before >= 0 else 0.0
            right = line.middles[after] if after < len(line.text) else 1.0
            words.append((start, end, part_of(line, left, right)))
    return words


def part_of(line: PlacedLine, start: float, end: float) -> Box:
    """Return the box of a share of the line; the whole of one that is written upwards."""
    left, top, right, bottom = line.box
    width = right - left
    if bottom - top > UPWARDS * width:
        return line.box
    above, below = (start, 1 - end) if line.fall > 0 else (1 - end, start)
    slack = min(abs(line.fall), bottom - top)
    return left + start * width, top + above * slack, left + end * width, bottom - below * slack
