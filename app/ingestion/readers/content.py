"""What every reader hands over: blocks of text in reading order, and how pages are made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from app.ingestion.pdf_text import BLANK_LINES, JUNK, LIGATURES, LINE_BREAKS, SINGLES, WIDE_SPACES

if TYPE_CHECKING:
    from collections.abc import Iterable

NEWLINES = str.maketrans({"\r": "\n", "\u0085": "\n", "\u2028": "\n", "\u2029": "\n"})
#: On a screen a soft hyphen is not shown; what it parts is one word.
SOFT_HYPHEN = "\u00ad"


class Block(NamedTuple):
    """A paragraph, a heading, an item of a list or a row of a table."""

    text: str
    level: int = 0  #: 1-6 of a heading; 0 of anything else
    tight: bool = False  #: follows the block before it on the next line, not after a blank one
    page: bool = False  #: a page begins here, whatever its size
    bold: bool = False  #: all of it is, where the format's reader looks at that


class Hidden:
    """Text that a file holds and its readers do not see: it is counted, and not read."""

    def __init__(self) -> None:
        #: Characters so far.
        self.chars = 0

    def note(self, texts: Iterable[str]) -> None:
        """Count what was left out, white space aside."""
        self.chars += sum(len("".join(text.split())) for text in texts)


class Content(NamedTuple):
    """A file as its reader sees it; the blocks may be lazy."""

    blocks: Iterable[Block]
    title: str = ""
    author: str = ""
    numbered: bool = False  #: it has pages of its own: blank ones count, long ones stay whole
    at_headings: bool = True  #: a heading begins a page, so that edits stay in their section
    hidden: Hidden | None = None  #: complete once the blocks are read; None counts nothing
    guess: bool = False  #: the format marks no headings; they are guessed from the lines


def tidy(text: str) -> str:
    """Return the text as pages hold it: no control but newline, no runs of white space."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    text = text.translate(NEWLINES).replace(SOFT_HYPHEN, "")
    text = text.translate(SINGLES).translate(LIGATURES)
    if JUNK.search(text.replace("\n", " ")):
        text = "\n".join(JUNK.sub("", line) for line in text.split("\n"))
    text = LINE_BREAKS.sub("\n", WIDE_SPACES.sub(" ", text))
    return BLANK_LINES.sub("\n\n", text).strip()


def one_line(text: str) -> str:
    """Return the text with every run of white space as one space."""
    return " ".join(text.split())
