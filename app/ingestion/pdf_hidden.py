"""Words of a PDF's page that no reader sees, but a search or a model would.

Hidden are: text drawn without ink (render mode 3) or fully transparent, in the colour of
what is behind it, smaller than two points, and outside the page's visible box. In doubt a word is
seen: what stands before a picture or in a form may be. What is drawn over text is not looked at:
in real files it is cut and seen through in ways that cannot be told without drawing the page.

A scan has its recognised text drawn without ink over (or under) the picture of the page. That is
what its readers see, so it stays: where most of a page's text has no ink, and a picture covers most
of the page.

Imported by the child process: the standard library only.
"""

from __future__ import annotations

import ctypes
from operator import sub

TYPE_CHECKING = False  # importing typing takes a tenth of the child's start
if TYPE_CHECKING:
    from array import array
    from collections.abc import Container, Iterable, Iterator

    from app.ingestion.pdf_child import Pdfium
    from app.ingestion.pdf_text import Spans

    Rgb = tuple[int, int, int]
    Ink = Rgb | None
    #: Left, bottom, right, top.
    Box = tuple[float, float, float, float]

#: FPDF_TEXTRENDERMODE (fpdf_edit.h): neither filled nor stroked; those whose fill says nothing,
#: because they are stroked, or what is drawn later shows in their shape.
NO_INK, UNFILLED = 3, (1, 2, 4, 5, 6, 7)
#: FPDF_PAGEOBJ (fpdf_edit.h).
TEXT, PATH, FORM, PICTURES = 1, 2, 5, (3, 4, 5)
#: Most objects of a page that are looked at one by one; many more when there is a suspicion.
MAX_OBJECTS, MAX_SUSPECT = 1_000, 10_000
#: A difference of colour, 0..255 in each channel, that nobody sees; a greater alpha is seen.
ALIKE, LEAST_ALPHA = 16, 12
WHITE = (255, 255, 255)
#: Like no colour: of what is not drawn, cannot be seen, is not known.
NONE, FAINT, UNKNOWN = (-99, 0, 0), (-199, 0, 0), (-299, 0, 0)
#: Height of a small letter at two points, and letters that tell a word from a dash or a dot.
TINY, LETTERS = 1.0, 3
#: The share of a scan's page that its picture covers, and of its text that has no ink.
SCAN_AREA, SCAN_TEXT = 0.5, 0.5
#: Rectangles that are narrower are lines.
SIDE = 4.0
#: A rectangle has so many segments at the most.
RECTANGLE = 5


def ink_of(pdfium: Pdfium, handle: int) -> Ink:
    """Return how a text object is drawn: ``NONE``, its fill, or None when the fill says little."""
    mode = pdfium.render_mode(handle)
    if mode == NO_INK:
        return NONE
    color = None if mode in UNFILLED else color_of(pdfium, handle)
    return None if color is None else FAINT if color[3] < LEAST_ALPHA else color[:3]


def fill_of(pdfium: Pdfium, handle: int) -> tuple[Box, Rgb] | None:
    """Return the box and colour of a path that is filled and more than a line."""
    left, bottom, right, top = box = bounds_of(pdfium, handle)
    if right - left < SIDE or top - bottom < SIDE:
        return None
    pdfium.draw_mode(handle, *_DRAWN_AT)
    color = color_of(pdfium, handle) if _FILL.value else None
    return None if color is None else (box, color[:3])


def is_plain(pdfium: Pdfium, page: int, count: int) -> bool:
    """Whether all text of a page has ink, and none the colour of anything it may stand before.

    Nearly every page is, and is spared the search for the object of each word.
    """
    inks: set[Rgb] = set()
    shades = {WHITE, NONE, FAINT}
    for index in range(count):
        handle = pdfium.page_object(page, index)
        kind = pdfium.object_kind(handle)
        if kind == TEXT and (ink := ink_of(pdfium, handle)):
            inks.add(ink)
        elif kind == PATH and (filled := fill_of(pdfium, handle)):
            shades.add(filled[1])
        elif kind == FORM:
            return False
    return not any(alike(ink, shade) for ink in inks for shade in shades)


class Backdrop:
    """What is drawn on a page beside text, in its order."""

    def __init__(self, pdfium: Pdfium, page: int, count: int, texts: Container[int]) -> None:
        #: Place of each text object in the order of drawing; text in forms is not here.
        self.order: dict[int, int] = {}
        self.fills: list[tuple[int, Box, Rgb]] = []
        self.pictures: list[Box] = []
        for index in range(count):
            handle = pdfium.page_object(page, index)
            if handle in texts:
                self.order[handle] = index
                continue
            kind = pdfium.object_kind(handle)
            if kind == PATH:
                self._note_fill(pdfium, handle, index)
            elif kind in PICTURES:
                self.pictures.append(bounds_of(pdfium, handle))

    def _note_fill(self, pdfium: Pdfium, handle: int, index: int) -> None:
        filled = fill_of(pdfium, handle)
        if filled is not None:
            # Of a shape that is cut or seen through, it is not known what it covers.
            whole = (
                not pdfium.has_transparency(handle)
                and pdfium.count_segments(handle) <= RECTANGLE
                and pdfium.count_clips(pdfium.clip(handle)) <= 0
            )
            self.fills.append((index, filled[0], filled[1] if whole else UNKNOWN))

    def hides(self, handle: int, box: Box, color: Rgb) -> bool:
        """Whether a word of a text object, in its fill's colour, cannot be told from around it."""
        place = self.order.get(handle)
        if place is None:
            return False
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        around = WHITE
        for index, (left, bottom, right, top), shade in self.fills:
            if index > place:
                break
            if left <= x <= right and bottom <= y <= top:
                around = shade
        if not alike(color, around):
            return False
        return not any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in self.pictures)


class Words:
    """The words of a page."""

    def __init__(self, raw: str, origins: Spans, boxes: array[float]) -> None:
        """Note PDFium's characters, and of each word its start and end in them, and its box.

        A box is left, top, right, bottom; four zeros where it is not known.
        """
        self.raw, self.origins, self.boxes = raw, origins, boxes

    def box(self, index: int) -> Box:
        """Return the box of one word."""
        left, top, right, bottom = self.boxes[4 * index : 4 * index + 4]
        return left, bottom, right, top

    def chars(self, indexes: Iterable[int]) -> int:
        """Return how many characters some words have."""
        return sum(self.origins[index][1] - self.origins[index][0] for index in indexes)


def hidden_words(
    pdfium: Pdfium, page: int, text_page: int, words: Words, visible: Box
) -> list[int]:
    """Return the indexes of the words that nobody sees, in their order.

    Args:
        pdfium: The library.
        page: The page's handle.
        text_page: The handle of its text.
        words: Its words.
        visible: Its visible box.
    """
    tiny = set(small(words))
    count = pdfium.count_objects(page)
    if not tiny and count <= MAX_OBJECTS and is_plain(pdfium, page, count):
        return outside(words.boxes, visible)
    owned: dict[int, list[int]] = {}
    for index, (start, _) in enumerate(words.origins):
        owned.setdefault(pdfium.text_object(text_page, start) or 0, []).append(index)
    inks = {owner: ink_of(pdfium, owner) for owner in owned if owner}
    found = {owner for owner, ink in inks.items() if ink == FAINT}
    found.update(owner for owner in owned if tiny and not tiny.isdisjoint(owned[owner]))
    bare = [owner for owner, ink in inks.items() if ink == NONE]
    suspect = bare or any(ink and alike(ink, WHITE) for ink in inks.values())
    if suspect or len(inks) < count <= MAX_OBJECTS:
        backdrop = Backdrop(pdfium, page, min(count, MAX_SUSPECT), inks)
        without_ink = words.chars(index for owner in bare for index in owned[owner])
        all_words = words.chars(range(len(words.origins)))
        if without_ink < SCAN_TEXT * all_words or not is_scan(backdrop.pictures, visible):
            found.update(bare)
        for owner, ink in inks.items():
            if ink and backdrop.hides(owner, words.box(owned[owner][0]), ink):
                found.add(owner)
    return sorted({*outside(words.boxes, visible), *(n for owner in found for n in owned[owner])})


def outside(boxes: array[float], visible: Box) -> list[int]:
    """Return the words that lie wholly outside the visible box."""
    left, bottom, right, top = visible
    lefts, tops, rights, bottoms = (boxes[at::4] for at in range(4))
    if min(rights) >= left and max(lefts) <= right and min(tops) >= bottom and max(bottoms) <= top:
        return []
    return [
        index
        for index in range(len(lefts))
        if (rights[index] < left or lefts[index] > right)
        or (tops[index] < bottom or bottoms[index] > top)
        if any(boxes[4 * index : 4 * index + 4])
    ]


def small(words: Words) -> Iterator[int]:
    """Yield the words of several letters that are too small to be read."""
    heights = map(sub, words.boxes[1::4], words.boxes[3::4])
    for index, height in enumerate(heights):
        if 0 < height < TINY:
            start, end = words.origins[index]
            if sum(map(str.isalnum, words.raw[start:end])) >= LETTERS:
                yield index


def is_scan(pictures: list[Box], visible: Box) -> bool:
    """Whether a picture covers most of a page."""
    left, bottom, right, top = visible
    covered = (
        max(0.0, min(r, right) - max(x, left)) * max(0.0, min(t, top) - max(b, bottom))
        for x, b, r, t in pictures
    )
    return max(covered, default=0.0) >= SCAN_AREA * (right - left) * (top - bottom)


#: Written by PDFium and read at once; made here because making them costs more than a call.
_PARTS, _BOX = (ctypes.c_uint * 4)(), (ctypes.c_float * 4)()
_FILL, _STROKE = ctypes.c_int(0), ctypes.c_int(0)
_PART_AT = [ctypes.byref(_PARTS, 4 * at) for at in range(4)]
_BOX_AT = [ctypes.byref(_BOX, 4 * at) for at in range(4)]
_DRAWN_AT = ctypes.byref(_FILL), ctypes.byref(_STROKE)


def color_of(pdfium: Pdfium, handle: int) -> tuple[int, int, int, int] | None:
    """Return red, green, blue and alpha of what an object is filled with; None when unknown."""
    if not pdfium.fill_color(handle, *_PART_AT):
        return None
    red, green, blue, alpha = _PARTS
    return red, green, blue, alpha


def bounds_of(pdfium: Pdfium, handle: int) -> Box:
    """Return the box of an object; one without extent when it is not known."""
    if not pdfium.bounds(handle, *_BOX_AT):
        return 0.0, 0.0, 0.0, 0.0
    left, bottom, right, top = _BOX
    return left, bottom, right, top


def alike(one: Rgb, other: Rgb) -> bool:
    """Whether two colours look the same."""
    return (
        abs(one[0] - other[0]) <= ALIKE
        and abs(one[1] - other[1]) <= ALIKE
        and abs(one[2] - other[2]) <= ALIKE
    )
