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
    inside = words[(words[:, 0] < end) & (words[:, 1] > start), 2:]
    lines: list[list[float]] = []
    for word in inside.tolist():
        if lines and continues(lines[-1], word):
            _widen(lines[-1], word)
        else:
            lines.append(word)
    return [
        [floor(10 * x0) / 10, floor(10 * y0) / 10, ceil(10 * x1) / 10, ceil(10 * y1) / 10]
        for x0, y0, x1, y1 in lines
    ]


def continues(line: list[float], word: list[float]) -> bool:
    """Whether a word goes on with the line: beside it, not a column away, not below."""
    left, top, right, bottom = line
    x0, y0, _, y1 = word
    line_height, word_height = bottom - top, y1 - y0
    overlap = (bottom if bottom < y1 else y1) - (top if top > y0 else y0)
    if overlap <= 0.3 * (line_height if line_height < word_height else word_height):
        return False
    height = line_height if line_height > word_height else word_height
    return -height < x0 - right < 4 * height or x0 < left


def _widen(line: list[float], word: list[float]) -> None:
    """Let a line reach around a word as well."""
    # Not by min() and max(), which take twice as long: this runs for every word of every quote.
    if word[0] < line[0]:  # noqa: PLR1730
        line[0] = word[0]
    if word[1] < line[1]:  # noqa: PLR1730
        line[1] = word[1]
    if word[2] > line[2]:  # noqa: PLR1730
        line[2] = word[2]
    if word[3] > line[3]:  # noqa: PLR1730
        line[3] = word[3]
