"""The process that reads pictures of pages and dies: scanned pages of a PDF, or a picture file.

It imports its libraries and loads the networks before it is confined; ``ocr.py`` says how it is
called. Standard output is one ``P`` frame a page: its number (u32), then a page as ``pdf_child``
writes it, in user space that is the page as displayed.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from math import sin
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from app.documents.page_image_child import Renderer, pixel_size
from app.documents.picture_child import decode, load_readers, open_pictures, select
from app.infra.confinement import Refused, settings_of, work_confined
from app.ingestion.ocr_lines import PlacedLine, PlacedText, place
from app.ingestion.ocr_model import Reader, Reading
from app.ingestion.pdf_child import PAGE
from app.ingestion.pdf_text import JUNK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.ingestion.ocr_lines import Box

    Size = tuple[float, float]

#: What scanners are set to for text: ten-point letters are 28 pixels high.
DPI = 200
#: Of the long side, of a scan as of a picture; the detector sees less, the recogniser one line.
MAX_SIDE_PX = 4_000
NUMBER = struct.Struct("<I")
#: Mean probability of the characters of a page that is well read; upside down it is .6 to .75.
GOOD, BETTER = 0.85, 0.1
#: Fewer lines tell no way up.
MIN_LINES = 3
#: By quarter turns clockwise.
TURNS = {
    1: Image.Transpose.ROTATE_270,
    2: Image.Transpose.ROTATE_180,
    3: Image.Transpose.ROTATE_90,
}


def read_page(reader: Reader, page: Image.Image, size: Size) -> bytes:
    """Return the payload of a picture (mode ``L``) of a page so many points wide and high."""
    turns, reading = read_upright(reader, page)
    width, height = (page.width, page.height) if turns % 2 == 0 else (page.height, page.width)
    wide, high = size if turns % 2 == 0 else size[::-1]
    across, down = wide / width, high / height
    lines = []
    for line in reading.lines:
        x0, y0, x1, y1 = line.region.bounds((width, height))
        box = (x0 * across, y0 * down, x1 * across, y1 * down)
        text = JUNK.sub(" ", line.text)
        if len(text) == len(line.middles):
            fall = sin(line.region.angle) * line.region.width * down
            lines.append(PlacedLine(text, box, line.middles.tolist(), fall))
    placed = place(lines)
    boxes = [turned_back(box, turns, size) for box in placed.boxes]
    return packed(replace(placed, boxes=boxes), size)


def read_upright(reader: Reader, page: Image.Image) -> tuple[int, Reading]:
    """Return what is read on a page, and the quarter turns clockwise after which it was.

    A page that lies on its side or head was laid so on the scanner: its lines go up or down, or
    make no words. It is read once more, turned, and that counts if it makes better ones.
    """
    reading = reader.read(page)
    good = reading.confidence >= GOOD
    turns = (1 if good else 3) if reading.sideways else 0 if good else 2
    if turns and len(reading.lines) >= MIN_LINES:
        again = reader.read(page.transpose(TURNS[turns]))
        if again.confidence >= min(GOOD, reading.confidence + BETTER) and not again.sideways:
            return turns, again
    return 0, reading


def turned_back(box: Box, turns: int, size: Size) -> Box:
    """Return where a box of a page after quarter turns clockwise is on the page as it was."""
    x0, y0, x1, y1 = box
    width, height = size
    return (
        box,
        (y0, height - x1, y1, height - x0),
        (width - x1, height - y1, width - x0, height - y0),
        (width - y1, x0, width - y0, x1),
    )[turns]


def packed(placed: PlacedText, size: Size) -> bytes:
    """Return a page as ``pdf_child`` describes it: boxes with the origin at the bottom left."""
    width, height = size
    boxes = np.array(placed.boxes, np.float64).reshape(-1, 4)
    boxes[:, [1, 3]] = height - boxes[:, [1, 3]]
    text = placed.text.encode()
    header = PAGE.pack(width, height, 0, 0, width, height, 0, 0, 0, len(text), len(placed.spans))
    spans = np.array(placed.spans, np.uint32)
    return header + text + spans.tobytes() + boxes.tobytes()


def scanned_pages(
    reader: Reader, renderer: Renderer, data: bytes, numbers: Sequence[int]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the pages of a PDF with these numbers; those that cannot be drawn are left out.

    Raises:
        Refused: ``encrypted`` or ``damaged``.
    """
    document = renderer.open(data)
    for number in numbers:
        try:
            page, width, height = renderer.page(document, number)
        except Refused:
            continue
        size = pixel_size(width, height, dpi=DPI, max_side_px=MAX_SIDE_PX)
        pixels = renderer.pixels(page, size, channels=1)
        renderer.close_page(page)
        picture = Image.frombuffer("L", size, pixels, "raw", "L", 0, 1)
        yield b"P", NUMBER.pack(number) + read_page(reader, picture, (width, height))


def pictures(reader: Reader, data: bytes, max_pages: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield each page of a PNG, JPEG or TIFF.

    Raises:
        Refused: ``damaged``, ``too_many_pixels`` or ``too_many_pages``.
    """
    file = open_pictures(data)
    number = 1
    while True:
        try:
            size = select(file, number)
        except Refused as refusal:
            if number > 1 and refusal.args == ("no_such_page",):
                return
            raise
        if number > max_pages:
            raise Refused("too_many_pages")
        sides = max(file.size), min(file.size)
        if size[0] < size[1]:
            sides = sides[::-1]
        smaller = min(1.0, MAX_SIDE_PX / max(sides))
        pixels = max(1, round(sides[0] * smaller)), max(1, round(sides[1] * smaller))
        picture = decode(file, pixels, mode="L")
        yield b"P", NUMBER.pack(number) + read_page(reader, picture, size)
        number += 1


def main(models: str, library: str, numbers: str, *settings: str) -> None:
    """Read standard input, confined: pages ``1,5,…`` of a PDF, or without numbers a picture."""
    limits = settings_of(settings)
    load_readers()
    reader = Reader(Path(models))
    reader.read(Image.new("L", (64, 64), 255))  # whatever is loaded at first use
    if not numbers:
        work_confined(lambda data: pictures(reader, data, limits["max_pages"]), limits)
    renderer, wanted = Renderer(library), [int(number) for number in numbers.split(",")]
    work_confined(lambda data: scanned_pages(reader, renderer, data, wanted), limits)
