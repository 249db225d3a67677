"""The values that cross the room's walls: a parsed file, its pages, their chunks.

All offsets are Python ``str`` code points into ``Page.text``, the exact text served by
``GET /api/v1/docs/{id}/pages/{n}``; all lengths on paper are PDF points (1/72 inch), with the
origin at the top-left corner of the page *as displayed* (after rotation and crop box).
"""

import hashlib
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

#: float32, (n, 6): start, end (offsets into the page's text), x0, y0, x1, y1 (points, top-left).
#: One row per word in reading order. Offsets stay exact because page texts are shorter than
#: 2**24 characters, the last integer a float32 counts to.
Words: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a page, as the file marks it."""

    start: int
    end: int  #: exclusive; equal to ``start`` for one that stands on a page before
    path: str  #: with the headings above it: "Benefits > Leave"


@dataclass(frozen=True, slots=True)
class Page:
    """One parsed page; of a format without pages, a section.

    Two pages are compared by ``sha256``: ``==`` would compare arrays element by element.
    """

    number: int  #: 1-based
    text: str  #: what citations quote; no control character but newline, NFC-untouched
    width: float  #: points, as displayed; 0 where there is no paper
    height: float  #: points, as displayed; 0 where there is no paper
    words: Words
    #: In order; None when the file does not mark them, so that they have to be guessed.
    headings: tuple[Heading, ...] | None = None
    #: Characters that the file holds here and no reader sees; they are not in the text.
    hidden: int = 0
    scanned: bool = False  #: shows a picture and has no text, or little: OCR may find some

    @property
    def sha256(self) -> bytes:
        """Return the 32-byte digest of the text, by which an unchanged page is recognised."""
        return hashlib.sha256(self.text.encode()).digest()


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What a parser makes of one file."""

    title: str | None  #: from the file's own metadata; None when it says nothing useful
    author: str | None
    pages: tuple[Page, ...]
    #: Characters that no reader sees, of a file without pages of its own.
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of one page that is embedded and retrieved as a whole."""

    page: int  #: 1-based page number
    start: int
    end: int  #: exclusive; ``text == page.text[start:end]``
    text: str
    heading: str  #: nearest heading at or before the chunk; "" when none was seen
    words: Words  #: the page's rows inside the span, offsets still relative to the page
