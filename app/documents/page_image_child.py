"""The process that draws one page of a PDF and dies; like ``pdf_child`` it runs with ``-I -S``.

Nothing but the standard library here, and little. The file is on standard input; ``page_image.py``
says how it is called. Standard output is one ``I`` frame (``confinement.py``): the PNG.
"""

from __future__ import annotations

import ctypes
import struct
import zlib

from app.documents.pdf_fields import flattener
from app.infra.confinement import Refused, settings_of, work_confined

TYPE_CHECKING = False  # importing typing takes a tenth of the start
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    Box = Sequence[float]

#: Sharp on a laptop's screen: a Letter page is 935 x 1,210 pixels.
DPI = 110
#: Of the long side: a poster is drawn smaller, so that 6 MB hold any page.
MAX_SIDE_PX = 1_600
#: FPDF_GetLastError (fpdfview.h): 4 password, 5 unsupported security handler.
ENCRYPTED_ERRORS = (4, 5)
#: Pixel formats (fpdfview.h) by the number of their bytes.
FORMATS = {1: 1, 3: 2}
#: FPDF_ANNOT, with FPDF_GRAYSCALE or FPDF_REVERSE_BYTE_ORDER (BGR comes out as RGB); reversed
#: grey makes PDFium abort.
FLAGS = {1: 0x01 | 0x08, 3: 0x01 | 0x10}
#: The marker is laid on like ink: no channel stays lighter than it. Black text stays black, and
#: where boxes overlap nothing darkens twice.
MARKER = (255, 233, 84)
#: Points by which the marker passes the glyphs' own boxes.
MARGIN = 1.5


class Renderer:
    """The functions of PDFium's C interface that drawing pages needs."""

    def __init__(self, path: str) -> None:
        """Load the library and start it without system fonts, so all machines draw alike."""
        lib = ctypes.CDLL(path)
        handle, number, real = ctypes.c_void_p, ctypes.c_int, ctypes.c_float

        def bind(name: str, result: Any, *arguments: Any) -> Any:  # noqa: ANN401 - ctypes
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
            return function

        self.load = bind("FPDF_LoadMemDocument64", handle, handle, ctypes.c_size_t, handle)
        self.last_error = bind("FPDF_GetLastError", ctypes.c_ulong)
        self.count_pages = bind("FPDF_GetPageCount", number, handle)
        self.load_page = bind("FPDF_LoadPage", handle, handle, number)
        self.close_page = bind("FPDF_ClosePage", None, handle)
        self.form_type = bind("FPDF_GetFormType", number, handle)
        self.flatten = flattener(bind)
        self.width = bind("FPDF_GetPageWidthF", real, handle)
        self.height = bind("FPDF_GetPageHeightF", real, handle)
        self.new_bitmap = bind(
            "FPDFBitmap_CreateEx", handle, number, number, number, handle, number
        )
        self.fill = bind("FPDFBitmap_FillRect", number, handle, *[number] * 4, ctypes.c_ulong)
        self.draw = bind("FPDF_RenderPageBitmap", None, handle, handle, *[number] * 6)
        self.free_bitmap = bind("FPDFBitmap_Destroy", None, handle)
        no_fonts = (ctypes.c_char_p * 1)(None)
        # FPDF_LIBRARY_CONFIG, version 2: version, font paths, isolate, V8 slot.
        config = struct.pack("@iPPI", 2, ctypes.addressof(no_fonts), 0, 0)
        bind("FPDF_InitLibraryWithConfig", None, ctypes.c_char_p)(config)

    def open(self, data: bytes) -> int:
        """Return the document's handle; ``data`` must outlive it.

        Raises:
            Refused: ``encrypted`` or ``damaged``.
        """
        document: int | None = self.load(data, len(data), None)
        if not document:
            raise Refused("encrypted" if self.last_error() in ENCRYPTED_ERRORS else "damaged")
        return document

    def page(self, document: int, number: int) -> tuple[int, float, float]:
        """Return the handle, width and height (points, as displayed) of a page, 1-based.

        Raises:
            Refused: ``no_such_page``; ``damaged`` when it cannot be loaded or has no area.
        """
        if not 1 <= number <= self.count_pages(document):
            raise Refused("no_such_page")
        page: int | None = self.load_page(document, number - 1)
        if page and self.form_type(document) > 0:  # what fields hold is text of the page
            self.flatten(page)
            self.close_page(page)
            page = self.load_page(document, number - 1)
        width, height = (self.width(page), self.height(page)) if page else (0.0, 0.0)
        if not (page and 0 < width < float("inf") and 0 < height < float("inf")):
            raise Refused("damaged")
        return page, width, height

    def pixels(self, page: int, size: tuple[int, int], *, channels: int) -> bytearray:
        """Return the page drawn on white: rows of RGB (3 channels) or grey (1), not padded.

        Raises:
            Refused: ``memory`` when the bitmap cannot be made.
        """
        width, height = size
        pixels = bytearray(width * height * channels)
        view = (ctypes.c_char * len(pixels)).from_buffer(pixels)
        bitmap = self.new_bitmap(width, height, FORMATS[channels], view, width * channels)
        if not bitmap:
            raise Refused("memory")
        self.fill(bitmap, 0, 0, width, height, 0xFFFFFFFF)
        self.draw(bitmap, page, 0, 0, width, height, 0, FLAGS[channels])
        self.free_bitmap(bitmap)
        return pixels


def pixel_size(width: float, height: float, *, dpi: int, max_side_px: int) -> tuple[int, int]:
    """Return the size to draw a page of so many points in."""
    scale = min(dpi / 72, max_side_px / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def mark(
    pixels: bytearray, size: tuple[int, int], scale: tuple[float, float], boxes: Iterable[Box]
) -> None:
    """Lay the marker over the boxes (points, origin top-left) of an RGB picture.

    Args:
        pixels: Rows of RGB, changed in place.
        size: Its pixels, across and down.
        scale: Pixels per point, across and down.
        boxes: Those outside the picture are cut or left out.
    """
    tables = [bytes(min(value, top) for value in range(256)) for top in MARKER]
    width, height = size
    for x0, y0, x1, y1 in boxes:
        left, right = _within(x0 - MARGIN, x1 + MARGIN, scale[0], width)
        top, bottom = _within(y0 - MARGIN, y1 + MARGIN, scale[1], height)
        if left < right:
            for row in range(top, bottom):
                start, end = 3 * (row * width + left), 3 * (row * width + right)
                for channel, table in enumerate(tables):
                    run = slice(start + channel, end, 3)
                    pixels[run] = pixels[run].translate(table)


def _within(start: float, end: float, scale: float, side: int) -> tuple[int, int]:
    """Return the pixels from ``start`` to ``end`` that a side has."""
    return max(0, min(side, round(start * scale))), max(0, min(side, round(end * scale)))


def png(pixels: bytes | bytearray, size: tuple[int, int]) -> bytes:
    """Return rows of RGB as a PNG file (ISO 15948): 8 bits, no filter, which suits text."""
    width, height = size
    stride = 3 * width
    view = memoryview(pixels)
    rows = b"".join(
        part for at in range(0, stride * height, stride) for part in (b"\0", view[at : at + stride])
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 4)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def boxes_of(argument: str) -> list[list[float]]:
    """Return the boxes given as ``x0,y0,x1,y1;…``."""
    return [[float(side) for side in box.split(",")] for box in argument.split(";") if box]


def frames(
    renderer: Renderer, data: bytes, number: int, boxes: Iterable[Box]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the page as a PNG.

    Raises:
        Refused: With the reason slug, when it cannot be drawn.
    """
    page, width, height = renderer.page(renderer.open(data), number)
    size = pixel_size(width, height, dpi=DPI, max_side_px=MAX_SIDE_PX)
    pixels = renderer.pixels(page, size, channels=3)
    mark(pixels, size, (size[0] / width, size[1] / height), boxes)
    yield b"I", png(pixels, size)


def main(library: str, boxes: str, *settings: str) -> None:
    """Draw page ``number`` of standard input with its boxes marked, confined."""
    limits, marked = settings_of(settings), boxes_of(boxes)
    renderer = Renderer(library)
    work_confined(lambda data: frames(renderer, data, limits["number"], marked), limits)
