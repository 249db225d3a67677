"""What ``pdf_child.py`` wrote, read without trusting it: a parser taken over may write anything."""

import numpy as np
import numpy.typing as npt

from app.infra.sandbox import ChildFailed, read_frames
from app.ingestion.page import Page, ParsedFile, Words
from app.ingestion.pdf_child import PAGE

#: PDF 2.0, annex C: the largest page of an ordinary reader, 200 inches, in points.
MAX_SIDE = 14_400.0
LETTER = (612.0, 792.0)
#: Letters below which a title is a slip of the keyboard.
MIN_TITLE = 3


def read_result(result: bytearray) -> ParsedFile:
    """Return the parsed file that the frames describe.

    Raises:
        ChildFailed: With the child's own reason; ``crashed`` when the frames make no sense.
    """
    title = author = ""
    pages: list[Page] = []
    for tag, payload in read_frames(result):
        if tag == b"P":
            pages.append(read_page(payload, len(pages) + 1))
        elif tag == b"M":
            title, _, author = bytes(payload).decode(errors="replace").partition("\0")
        else:
            raise ChildFailed("crashed")
    return ParsedFile(useful(title), author or None, tuple(pages))


def useful(title: str) -> str | None:
    """Return the title unless it is what programs write when their user gave none."""
    lowered = title.lower()
    if (
        lowered.startswith(("microsoft word - ", "microsoft powerpoint - ", "untitled", "("))
        or "template" in lowered
    ):
        return None
    if lowered.endswith((".doc", ".docx", ".ppt", ".pptx", ".indd", ".dvi", ".tex")):
        return None
    return title if sum(map(str.isalpha, title)) >= MIN_TITLE else None


def read_page(payload: memoryview, number: int) -> Page:
    """Return one page from a ``P`` frame.

    Raises:
        ChildFailed: ``crashed`` when the sizes in the frame disagree.
    """
    if len(payload) < PAGE.size:
        raise ChildFailed("crashed")
    width, height, *visible, turns, scanned, hidden, text_size, count = PAGE.unpack_from(payload)
    rows_at = PAGE.size + text_size
    if rows_at + 40 * count != len(payload):
        raise ChildFailed("crashed")
    text = bytes(payload[PAGE.size : rows_at]).decode(errors="replace")
    offsets = np.frombuffer(payload, "<u4", 2 * count, rows_at).reshape(count, 2)
    rects = np.frombuffer(payload, "<f8", 4 * count, rows_at + 8 * count).reshape(count, 4)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        width, height = LETTER
    boxes = displayed(rects, np.asarray(visible), turns)
    words = words_of(offsets, boxes, len(text), (width, height))
    return Page(number, text, width, height, words, scanned=bool(scanned), hidden=hidden)


def displayed(
    rects: npt.NDArray[np.float64], visible: npt.NDArray[np.float64], turns: int
) -> npt.NDArray[np.float64]:
    """Turn (left, top, right, bottom) in user space to (x0, y0, x1, y1) on the page as displayed.

    Args:
        rects: (n, 4), origin bottom-left, y upwards.
        visible: The crop box: left, bottom, right, top.
        turns: Quarter turns clockwise by which a viewer rotates the page.
    """
    x0, y1, x1, y0 = rects.T
    left, bottom, right, top = visible
    columns = (
        (x0 - left, top - y1, x1 - left, top - y0),
        (y0 - bottom, x0 - left, y1 - bottom, x1 - left),
        (right - x1, y0 - bottom, right - x0, y1 - bottom),
        (top - y1, right - x1, top - y0, right - x0),
    )[turns % 4]
    return np.column_stack(columns)


def words_of(
    offsets: npt.NDArray[np.uint32],
    boxes: npt.NDArray[np.float64],
    length: int,
    size: tuple[float, float],
) -> Words:
    """Return the rows that lie on the page and in its text, cut at the page's edges.

    Raises:
        ChildFailed: ``crashed`` when the words are not in the order of the text, as all who search
            the rows by offset rely on.
    """
    if (np.diff(offsets[:, 0].astype(np.int64)) < 0).any():
        raise ChildFailed("crashed")
    with np.errstate(invalid="ignore", over="ignore"):
        boxes = np.clip(boxes, 0.0, [*size, *size])
        inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    inside &= (offsets[:, 0] < offsets[:, 1]) & (offsets[:, 1] <= length)
    rows = np.column_stack((offsets[inside], boxes[inside]))
    return rows.astype(np.float32)
