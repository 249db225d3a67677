"""What ``reader_child.py`` wrote, read without trusting it."""

import numpy as np

from app.infra.sandbox import ChildFailed, read_frames
from app.ingestion.page import Heading, Page, ParsedFile
from app.ingestion.pdf_result import useful
from app.ingestion.pdf_text import JUNK
from app.ingestion.reader_child import HEADING, HIDDEN, SECTION, UNKNOWN


def read_sections(result: bytearray) -> ParsedFile:
    """Return the parsed file that the frames describe.

    Raises:
        ChildFailed: With the child's own reason; ``crashed`` when the frames make no sense.
    """
    title = author = ""
    pages: list[Page] = []
    hidden = 0
    for tag, payload in read_frames(result):
        if tag == b"S":
            pages.append(read_section(payload, len(pages) + 1))
        elif tag == b"M":
            title, _, author = bytes(payload).decode(errors="replace").partition("\0")
        elif tag == b"H" and len(payload) == HIDDEN.size:
            (hidden,) = HIDDEN.unpack(payload)
        else:
            raise ChildFailed("crashed")
    return ParsedFile(useful(title), author or None, tuple(pages), hidden)


def read_section(payload: memoryview, number: int) -> Page:
    """Return one page from an ``S`` frame.

    Raises:
        ChildFailed: ``crashed`` when the sizes disagree or the text is not what pages may hold.
    """
    if len(payload) < SECTION.size:
        raise ChildFailed("crashed")
    size, count = SECTION.unpack_from(payload)
    at = SECTION.size + size
    if at > len(payload):
        raise ChildFailed("crashed")
    text = bytes(payload[SECTION.size : at]).decode(errors="replace")
    if JUNK.search(text.replace("\n", " ")):
        raise ChildFailed("crashed")
    headings = None if count == UNKNOWN else read_headings(payload[at:], count, len(text))
    return Page(number, text, 0.0, 0.0, np.zeros((0, 6), np.float32), headings)


def read_headings(view: memoryview, count: int, length: int) -> tuple[Heading, ...]:
    """Return the headings, in the order of the text and inside it.

    Raises:
        ChildFailed: ``crashed`` when they are not.
    """
    found: list[Heading] = []
    at = last = 0
    while len(found) < count:
        if at + HEADING.size > len(view):
            raise ChildFailed("crashed")
        start, end, size = HEADING.unpack_from(view, at)
        at += HEADING.size + size
        if not last <= start <= end <= length or at > len(view):
            raise ChildFailed("crashed")
        path = bytes(view[at - size : at]).decode(errors="replace")
        found.append(Heading(start, end, JUNK.sub(" ", path)))
        last = start
    return tuple(found)
