"""From a quote's offsets to the rectangles that highlight it."""

from math import ceil, floor

import numpy as np
import numpy.typing as npt


def boxes_of(words: npt.NDArray[np.float32], start: int, end: int) -> list[list[float]]:
    """Return one box for each line of the words that the span touches, in reading order.

    A word that is only partly inside is covered whole: a highlight that cuts a word is of no use.

    Args:
        words: float32, (n, 6): start, end, x0, y0, x1, y1 (``Page.words``, or a chunk's rows).
        start: First character of the span, an offset into the page's text.
        end: One past its last character.

    Returns:
        ``[x0, y0, x1, y1]`` in PDF points, origin top-left, rounded to a tenth outwards; empty
        when nothing is known about the span.
    """
    inside = words[(words[:, 0] < end) & (words[:, 1] > start), 2:].astype(np.float64)
    lines: list[list[float]] = []
    for x0, y0, x1, y1 in inside.tolist():
        if lines and continues(lines[-1], x0, y0, y1):
            line = lines[-1]
            line[:] = min(line[0], x0), min(line[1], y0), max(line[2], x1), max(line[3], y1)
        else:
            lines.append([x0, y0, x1, y1])
    return [
        [floor(10 * x0) / 10, floor(10 * y0) / 10, ceil(10 * x1) / 10, ceil(10 * y1) / 10]
        for x0, y0, x1, y1 in lines
    ]


def continues(line: list[float], x0: float, y0: float, y1: float) -> bool:
    """Whether a word goes on with the line: beside it, not a column away, not below."""
    height = max(line[3] - line[1], y1 - y0)
    overlap = min(line[3], y1) - max(line[1], y0)
    near = -height < x0 - line[2] < 4 * height or x0 < line[0]
    return overlap > 0.3 * min(line[3] - line[1], y1 - y0) and near
