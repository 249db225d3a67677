"""Words of scripts that run from right to left, in the order in which they are read.

PDFium turns a line around that a PDF draws from left to right. Where each word is drawn on its own,
as browsers print Arabic, it leaves the letters as they were drawn: every word is spelled backwards.
Where its letters stand on the page says so.

Imported by the child process: the standard library only.
"""

from __future__ import annotations

import ctypes
import re

TYPE_CHECKING = False  # importing typing takes a tenth of the child's start
if TYPE_CHECKING:
    from app.ingestion.pdf_child import Pdfium
    from app.ingestion.pdf_text import Spans

#: The blocks of Hebrew, Arabic, Syriac, Thaana, N'Ko, and Arabic's presentation forms.
FIRST, LAST = "\u0590", "\ufefc"
BLOCKS = "\u05d0-\u05f2\u0620-\u064a\u0671-\u06d3\u06fa-\u06ff\u0710-\u07ea\u0840-\u08c9"
LETTERS = f"[{BLOCKS}\ufb1d-\ufdfb\ufe70-\ufefc]"
#: What runs from left to right among them all the same.
LEFT_TO_RIGHT = "[0-9\u0660-\u0669\u06f0-\u06f9A-Za-z]+"


def read_from_right(
    pdfium: Pdfium, text_page: int, raw: str, text: str, words: tuple[Spans, Spans]
) -> str:
    """Return the page's text with the words turned around that are spelled backwards.

    Args:
        pdfium: The library.
        text_page: The handle of the page's text.
        raw: One character per PDFium character.
        text: The page's text.
        words: Start and end of each word, in the text and in ``raw``.
    """
    if text.isascii() or not any(FIRST <= letter <= LAST for letter in set(text)):
        return text
    letters = re.compile(LETTERS)
    parts: list[str] = []
    end = 0
    for (start, stop), origin in zip(*words, strict=True):
        found = [match.start() for match in letters.finditer(raw, *origin)]
        known = stop - start == origin[1] - origin[0]
        if known and len(found) > 1 and runs_right(pdfium, text_page, found[0], found[-1]):
            places = [origin_of(pdfium, text_page, index)[0] for index in range(*origin)]
            parts += (text[end:start], from_right(text[start:stop], places))
            end = stop
    return "".join([*parts, text[end:]])


def runs_right(pdfium: Pdfium, text_page: int, first: int, last: int) -> bool:
    """Whether the last of some letters stands to the right of the first, on the same line."""
    x0, y0 = origin_of(pdfium, text_page, first)
    x1, y1 = origin_of(pdfium, text_page, last)
    return x1 - x0 > abs(y1 - y0)


def origin_of(pdfium: Pdfium, text_page: int, index: int) -> tuple[float, float]:
    """Return where a character begins on its line; the page's corner when that is not known."""
    x, y = ctypes.c_double(), ctypes.c_double()
    pdfium.char_origin(text_page, index, ctypes.byref(x), ctypes.byref(y))
    return x.value, y.value


def from_right(word: str, places: list[float]) -> str:
    """Return a word's characters from the rightmost to the leftmost, numbers as they are.

    Those of one place, of a ligature, are as backwards as the word.
    """
    order = sorted(range(len(word)), key=lambda index: (-places[index], -index))
    letters = "".join(word[index] for index in order)
    return re.sub(LEFT_TO_RIGHT, lambda part: part[0][::-1], letters)
