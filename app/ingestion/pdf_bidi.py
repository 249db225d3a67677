"""Lines of scripts that run from right to left, in the order in which they are read.

PDFium turns a line around that a PDF draws from left to right. What is drawn otherwise, letter by
letter leftwards or piece by piece as browsers print Arabic, it spells backwards or takes for many
lines. Where its letters stand on the page says what is a line and where it begins.

Imported by the child process: the standard library only.
"""

from __future__ import annotations

import ctypes
import re
from array import array
from itertools import pairwise
from math import sin

TYPE_CHECKING = False  # importing typing takes a tenth of the child's start
if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.ingestion.pdf_child import Pdfium
    from app.ingestion.pdf_text import Spans

#: The blocks of Hebrew, Arabic, Syriac, Thaana, N'Ko, and their presentation forms.
BLOCKS = (("\u0590", "\u08ff"), ("\ufb1d", "\ufefc"))
RIGHT = (
    "\u05d0-\u05f2\u0620-\u064a\u0671-\u06d3\u06fa-\u06ff\u0710-\u07ea\u0840-\u08c9"
    "\ufb1d-\ufdfb\ufe70-\ufefc"
)
LEFT = "A-Za-z\u00c0-\u024f\u0370-\u052f"
DIGITS = "0-9\u0660-\u0669\u06f0-\u06f9"
#: What is drawn above or below another letter, and belongs to it.
MARKS = "\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
#: Of the height of a font's line: how far the base lines of one line's letters differ at most, and
#: the gap from which two words are apart.
LEVEL, GAP = 0.15, 0.3
#: Sine of half the angle from which a line is not level.
SLANT = 0.05
#: Characters of a page that are looked at one by one; a dense page has 10,000.
MAX_GLYPHS = 100_000


class Glyph:
    """A character, and where it stands; all lengths in points."""

    __slots__ = ("base", "height", "index", "left", "right", "sign", "x")

    def __init__(self, pdfium: Pdfium, text_page: int, index: int, sign: str) -> None:
        """``index`` is PDFium's; it begins at ``x`` and ``base``, ``height`` is its font's."""
        place, box, line = (ctypes.c_double * 2)(), (ctypes.c_double * 4)(), (ctypes.c_float * 4)()
        at = [ctypes.byref(box, offset) for offset in (0, 8, 16, 24)]
        pdfium.char_origin(text_page, index, place, ctypes.byref(place, 8))
        pdfium.char_box(text_page, index, *at)
        pdfium.loose_box(text_page, index, line)
        self.index, self.sign = index, sign
        self.x, self.base = place
        self.left, self.right = box[:2]
        self.height = line[1] - line[3]


def lines_from_right(pdfium: Pdfium, text_page: int, raw: str) -> tuple[str, array[int]] | None:
    """Return the page's characters in the order in which they are read; None when they are in it.

    A page of very many characters is left as it is.

    Args:
        pdfium: The library.
        text_page: The handle of the page's text.
        raw: One character per PDFium character.

    Returns:
        The characters, and for each of them the index of PDFium's. A space or newline that
        was added has the index 0, which is not its own.
    """
    if raw.isascii() or len(raw) > MAX_GLYPHS:
        return None
    if not any(first <= sign <= last for sign in set(raw) for first, last in BLOCKS):
        return None
    right, mark = re.compile(f"[{RIGHT}]"), re.compile(f"[{MARKS}]")
    lines = lines_of(pdfium, text_page, raw, right, mark)
    wrong = [is_out_of_order(line, right) and is_level(pdfium, text_page, line) for line in lines]
    if not any(wrong):
        return None
    signs: list[str] = []
    order = array("I")
    for line, turn in zip(lines, wrong, strict=True):
        for glyph in in_order(line, right, mark) if turn else line:
            signs.append(glyph.sign if glyph else " ")
            order.append(glyph.index if glyph else 0)
        signs += "\r\n"
        order.extend((0, 0))
    return "".join(signs), order


def lines_of(
    pdfium: Pdfium, text_page: int, raw: str, right: re.Pattern[str], mark: re.Pattern[str]
) -> list[list[Glyph]]:
    """Return the characters of each line, in PDFium's order."""
    lines: list[list[Glyph]] = [[]]
    broken = False
    for index, sign in enumerate(raw):
        if sign in "\r\n":
            broken = True
            continue
        glyph = Glyph(pdfium, text_page, index, sign)
        line = lines[-1]
        if broken and not mark.match(sign) and not goes_on(line, glyph, right):
            lines.append([glyph])
        else:
            line.append(glyph)
        broken = False
    return lines


def goes_on(line: Sequence[Glyph], glyph: Glyph, right: re.Pattern[str]) -> bool:
    """Whether a line of these scripts goes on to the right where PDFium breaks it."""
    if not line or not any(right.match(one.sign) for one in (line[0], line[-1], glyph)):
        return False
    level = LEVEL * max(line[0].height, glyph.height)
    return abs(glyph.base - line[0].base) <= level and glyph.x >= line[0].x


def is_out_of_order(line: Sequence[Glyph], right: re.Pattern[str]) -> bool:
    """Whether a line has two letters of these scripts one after the other that run rightwards."""
    return any(
        after.x > before.x and abs(after.base - before.base) <= LEVEL * before.height
        for before, after in pairwise(line)
        if right.match(before.sign) and right.match(after.sign)
    )


def is_level(pdfium: Pdfium, text_page: int, line: Sequence[Glyph]) -> bool:
    """Whether a line is neither slanted nor upside down on the paper."""
    middle = line[len(line) // 2]
    return abs(sin(pdfium.char_angle(text_page, middle.index) / 2)) < SLANT


def in_order(
    line: Sequence[Glyph], right: re.Pattern[str], mark: re.Pattern[str]
) -> list[Glyph | None]:
    """Return a line's characters in the order in which they are read; None is a space."""
    # By right edges, so that a mark follows the letter it is drawn on. PDFium puts spaces of its
    # own, which have no width, where they do not belong.
    glyphs = sorted(
        (glyph for glyph in line if glyph.right > glyph.left or not glyph.sign.isspace()),
        key=lambda glyph: (-glyph.right, glyph.index),
    )
    gap = GAP * max((glyph.height for glyph in glyphs), default=0.0)
    placed: list[Glyph | None] = []
    for glyph in glyphs:
        before = placed[-1] if placed else None
        if before and not mark.match(glyph.sign) and before.left - glyph.right > gap:
            placed.append(None)
        placed.append(glyph)
    signs = "".join(glyph.sign if glyph else " " for glyph in placed)
    if len(right.findall(signs)) >= len(re.findall(f"[{LEFT}]", signs)):
        runs = f"[{LEFT}](?:[^{RIGHT}]*[{LEFT}{DIGITS}])?|[{DIGITS}]+(?:[.,:/-][{DIGITS}]+)*"
    else:
        placed, signs = placed[::-1], signs[::-1]
        runs = f"[{RIGHT}](?:[^{LEFT}{DIGITS}]*[{RIGHT}])?"
    for run in re.finditer(runs, signs):
        start, end = run.span()
        placed[start:end] = placed[start:end][::-1]
    return placed


def boxes_from_right(pdfium: Pdfium, text_page: int, origins: Spans, order: Sequence[int]) -> bytes:
    """Return each word's box, of words whose characters are at ``order`` in PDFium's.

    As ``boxes`` of ``pdf_child`` does: float64 rows of left, top, right, bottom.
    """
    rows = bytearray()
    box = (ctypes.c_double * 4)()
    left, top, right, bottom = [ctypes.byref(box, offset) for offset in (0, 8, 16, 24)]
    for start, end in origins:
        found = [
            list(box)
            for index in order[start:end]
            if pdfium.char_box(text_page, index, left, right, bottom, top)
        ]
        lefts, tops, rights, bottoms = zip(*found, strict=True) if found else ([0.0],) * 4
        rows += (ctypes.c_double * 4)(min(lefts), max(tops), max(rights), min(bottoms))
    return bytes(rows)
