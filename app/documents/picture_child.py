"""The process that draws a file that is a picture itself: PNG, JPEG, or one directory of a TIFF.

It imports Pillow before it is confined; ``page_image.py`` says how it is called. Standard output is
one ``I`` frame (``confinement.py``): a PNG.
"""

from __future__ import annotations

import io
import struct
from importlib import import_module
from math import isfinite
from typing import TYPE_CHECKING

from PIL import Image

from app.documents.page_image_child import DPI, MAX_SIDE_PX, boxes_of, mark, pixel_size, png
from app.infra.confinement import Refused, settings_of, work_confined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.documents.page_image_child import Box

#: An A4 page at 800 dpi. Three bytes a pixel while decoding, four with transparency.
MAX_PIXELS = 50_000_000
#: Pillow's readers; JPEG may turn out to be MPO.
READERS = ("PngImagePlugin", "JpegImagePlugin", "MpoImagePlugin", "TiffImagePlugin")
FORMATS = ("PNG", "JPEG", "TIFF")
#: What a picture's own resolution must lie between to be believed, and what is taken otherwise.
MIN_DPI, MAX_DPI, USUAL_DPI = 50.0, 1_200.0, 96.0
#: PDF 2.0, annex C: no page is larger, and neither is what a picture is taken for.
MAX_SIDE_POINTS = 14_400.0
#: EXIF 2.32, tag Orientation: what sets each value upright, and those that swap width and height.
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: Modes that are averaged when made smaller; the others are converted first.
SMOOTH = ("L", "RGB", "RGBA", "CMYK")
#: What Pillow raises for a file that is not what it says.
BROKEN = (OSError, ValueError, SyntaxError, KeyError, TypeError, IndexError, struct.error)


def load_readers() -> None:
    """Import what Pillow imports at first use, while files can still be opened."""
    Image.preinit()
    for reader in READERS:
        import_module(f"PIL.{reader}")


def open_pictures(data: bytes) -> Image.Image:
    """Return the file, nothing of it decoded.

    Raises:
        Refused: ``damaged`` when it is none of ``FORMATS``.
    """
    Image.MAX_IMAGE_PIXELS = None  # select() counts them, and refuses where Pillow warns
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except BROKEN as error:
        raise Refused("damaged") from error


def select(picture: Image.Image, number: int) -> tuple[float, float]:
    """Turn to a page (1-based), and return its width and height in points, as displayed.

    Raises:
        Refused: ``no_such_page``, ``damaged``; ``too_many_pixels`` before any is decoded.
    """
    try:
        picture.seek(number - 1)
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise Refused("too_many_pixels")
        turned = is_turned(picture)  # decodes a PNG to find its EXIF
    except EOFError as error:
        raise Refused("no_such_page") from error
    except BROKEN as error:
        raise Refused("damaged") from error
    across, down = resolution(picture)
    points = 72 * width / across, 72 * height / down
    fitting = min(1.0, MAX_SIDE_POINTS / max(points))
    points = fitting * points[0], fitting * points[1]
    return points[::-1] if turned else points


def is_turned(picture: Image.Image) -> bool:
    """Whether its size is not yet the displayed one; Pillow turns a TIFF by itself."""
    return picture.format != "TIFF" and picture.getexif().get(ORIENTATION, 1) in TURNED


def resolution(picture: Image.Image) -> tuple[float, float]:
    """Return its pixels per inch, across and down, before it is turned."""
    try:
        across, down = (float(value) for value in picture.info.get("dpi", ()))
    except (TypeError, ValueError, ZeroDivisionError):
        return USUAL_DPI, USUAL_DPI
    believed = all(isfinite(v) and MIN_DPI <= v <= MAX_DPI for v in (across, down))
    return (across, down) if believed else (USUAL_DPI, USUAL_DPI)


def decode(picture: Image.Image, size: tuple[int, int] | None, *, mode: str) -> Image.Image:
    """Return the selected page upright, on white, in a mode (``RGB``, ``L``) and size (pixels).

    It is made small before all else, so that a large page costs its pixels once.

    Raises:
        Refused: ``damaged``.
    """
    try:
        before = size[::-1] if size and is_turned(picture) else size
        if before:  # a JPEG is decoded at an eighth to a half if that is enough
            picture.draft(mode, before)
        picture.load()
        orientation = picture.getexif().get(ORIENTATION, 1)
        page = picture if picture.mode in SMOOTH else flat(picture, mode)
        if before:
            page = page.resize(before, Image.Resampling.BICUBIC, reducing_gap=2.0)
        page = flat(page, mode)
    except BROKEN as error:
        raise Refused("damaged") from error
    return page.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else page


def flat(page: Image.Image, mode: str) -> Image.Image:
    """Return the page in a mode, on white where it is transparent."""
    if page.mode.startswith("I"):  # scanners' 16-bit grey, which convert() would clip
        page = page.point(lambda value: value * (1 / 256)).convert("L")
    elif page.has_transparency_data:
        page = page.convert("RGBA")
        page = Image.alpha_composite(Image.new("RGBA", page.size, "white"), page)
    return page.convert(mode)


def frames(data: bytes, number: int, boxes: Sequence[Box]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the page as a PNG.

    Raises:
        Refused: With the reason slug, when it cannot be drawn.
    """
    picture = open_pictures(data)
    width, height = select(picture, number)
    size = pixel_size(width, height, dpi=DPI, max_side_px=MAX_SIDE_PX)
    pixels = bytearray(decode(picture, size, mode="RGB").tobytes())
    mark(pixels, size, (size[0] / width, size[1] / height), boxes)
    yield b"I", png(pixels, size)


def main(boxes: str, *settings: str) -> None:
    """Draw page ``number`` of standard input with its boxes marked, confined."""
    limits, marked = settings_of(settings), boxes_of(boxes)
    load_readers()
    work_confined(lambda data: frames(data, limits["number"], marked), limits)
