"""Text from pictures: recovered, placed, and nothing but a reason when there is none."""

import asyncio
import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import psutil
import pytest
from PIL import Image, ImageDraw, ImageFont

from app.errors import ConfigurationError
from app.infra.sandbox import ChildFailed
from app.ingestion.ocr import (
    OcrLimits,
    find_models,
    read_image,
    read_result,
    read_scanned_pages,
)
from app.ingestion.page import Page
from app.ingestion.parse import parse_pdf
from tests.pdfs import make_pdf

LINES = ("Employees get 27 days of paid leave.", "Section 4.2: Notice is 30 days.")
DPI = (150, 150)


def scan(lines: Sequence[str] = LINES) -> Image.Image:
    """A page of 600 x 300 points with lines in 19-point letters."""
    image = Image.new("L", (1250, 625), 255)
    for index, line in enumerate(lines):
        place = (100, 100 + 120 * index)
        ImageDraw.Draw(image).text(place, line, fill=0, font=ImageFont.load_default(40))
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


def check_boxes(page: Page, image: Image.Image, margin: float = 6.0) -> None:
    """Every word's box holds ink, and all ink is in the boxes, give or take a margin (points)."""
    ink = np.asarray(image.convert("L")) < 128
    scale = image.width / page.width
    outside = ink.copy()
    for x0, y0, x1, y1 in page.words[:, 2:].tolist():
        part = np.s_[int(y0 * scale) : int(y1 * scale) + 1, int(x0 * scale) : int(x1 * scale) + 1]
        assert ink[part].mean() > 0.02
        grown = [int(v * scale) for v in (y0 - margin, y1 + margin, x0 - margin, x1 + margin)]
        outside[max(0, grown[0]) : grown[1], max(0, grown[2]) : grown[3]] = False
    assert outside.sum() < 0.01 * ink.sum()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
async def test_a_picture_is_read_with_its_words_placed(kind: str) -> None:
    parsed = await read_image(encoded(scan(), kind, dpi=DPI))
    [page] = parsed.pages
    assert page.text == "\n".join(LINES)
    assert (page.width, page.height) == pytest.approx((600, 300), abs=0.1)
    assert page.words.dtype == np.float32
    words = [page.text[int(start) : int(end)] for start, end in page.words[:, :2]]
    assert words == page.text.split()
    check_boxes(page, scan())
    [seven] = page.words[2:3, 2:].tolist()
    assert seven[0] == pytest.approx(72 / 150 * (100 + text_width("Employees get ")), abs=4)


def text_width(text: str) -> float:
    return ImageFont.load_default(40).getlength(text)


async def test_a_photo_taken_sideways_is_read_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(scan().rotate(90, expand=True), "JPEG", exif=exif, dpi=DPI)
    [page] = (await read_image(data)).pages
    assert page.text == "\n".join(LINES)
    assert page.width > page.height


@pytest.mark.parametrize("degrees", [90, 180, 270])
async def test_a_page_that_lay_turned_on_the_scanner_is_read(degrees: int) -> None:
    lines = [*LINES, "It ends with the month."]
    turned = scan(lines).rotate(degrees, expand=True)
    [page] = (await read_image(encoded(turned, "PNG", dpi=DPI))).pages
    assert page.text == "\n".join(lines)
    assert (page.width > page.height) == (degrees == 180)
    check_boxes(page, turned)


async def test_each_directory_of_a_tiff_is_a_page() -> None:
    second = scan(["The second page"])
    data = encoded(scan(), "TIFF", save_all=True, append_images=[scan([]), second])
    pages = (await read_image(data)).pages
    assert [page.number for page in pages] == [1, 2, 3]
    assert [page.text for page in pages] == ["\n".join(LINES), "", "The second page"]
    with pytest.raises(ChildFailed, match="too_many_pages"):
        await read_image(data, limits=OcrLimits(max_pages=2))


async def test_scanned_pages_of_a_pdf_are_read_and_no_others() -> None:
    skewed = scan().rotate(1.5, fillcolor=255)
    pages = [skewed, scan(["Not asked for"]), scan(["Third page"])]
    data = encoded(pages[0], "PDF", save_all=True, append_images=pages[1:], resolution=150)
    read = await read_scanned_pages(data, [1, 3, 9])
    assert sorted(read) == [1, 3]
    assert read[1].text == "\n".join(LINES)
    assert read[3].text == "Third page"
    assert read[1].number == 1
    check_boxes(read[1], skewed)


def stamped(picture: Image.Image, stamp: str) -> bytes:
    """A PDF of a page that a picture covers, under a line of text."""
    jpeg = encoded(picture, "JPEG").decode("latin-1")
    shown = f"q 600 0 0 300 0 0 cm /I Do Q BT /F 10 Tf 20 305 Td ({stamp}) Tj ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 320] /Contents 4 0 R "
        "/Resources << /Font << /F 5 0 R >> /XObject << /I 6 0 R >> >> >>",
        f"<< /Length {len(shown)} >>\nstream\n{shown}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        "<< /Type /XObject /Subtype /Image /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter "
        f"/DCTDecode /Width {picture.width} /Height {picture.height} /Length {len(jpeg)} >>\n"
        f"stream\n{jpeg}\nendstream",
    ]
    body = "".join(f"{n} 0 obj\n{text}\nendobj\n" for n, text in enumerate(objects, 1))
    return f"%PDF-1.7\n{body}trailer << /Root 1 0 R >>\n%%EOF\n".encode("latin-1")


async def test_a_scan_that_a_machine_printed_a_line_onto_is_read() -> None:
    [page] = (await parse_pdf(stamped(scan(), "Page 1 of 9"))).pages
    assert page.text == "\n".join(["Page 1 of 9", *LINES])
    check_boxes(page, page_picture(scan()))


def page_picture(picture: Image.Image) -> Image.Image:
    """The page of ``stamped`` without its stamp, which is 20 points higher than the picture."""
    page = Image.new("L", (picture.width, round(picture.width * 320 / 600)), 255)
    page.paste(picture, (0, page.height - picture.height))
    ImageDraw.Draw(page).text((42, 12), "Page 1 of 9", fill=0, font=ImageFont.load_default(20))
    return page


async def test_a_photograph_with_a_line_of_text_keeps_the_line_as_it_is() -> None:
    photograph = Image.radial_gradient("L").resize((1250, 625))
    for stamp in ("Thank you for your attention", "Fig. 1"):
        [page] = (await parse_pdf(stamped(photograph, stamp))).pages
        assert page.text == stamp
        assert page.width == 600


async def test_a_scan_with_a_line_printed_onto_it_costs_no_file_its_text() -> None:
    data = stamped(scan(), "Page 1 of 9")
    [page] = (await parse_pdf(data, ocr=OcrLimits(timeout_s=0.01))).pages
    assert page.text == "Page 1 of 9"


async def test_nothing_asked_is_nothing_read() -> None:
    assert await read_scanned_pages(b"not even a PDF", []) == {}


def bomb() -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    data = b"IDAT" + zlib.compress(bytes(99))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", len(data) - 4) + data + bytes(4)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "damaged"),
        (b"junk" * 99, "damaged"),
        (b"\xff\xd8\xff" + bytes(range(256)), "damaged"),
        (encoded(scan(), "PNG")[:900], "damaged"),
        (bomb(), "too_many_pixels"),
    ],
)
async def test_hostile_pictures_end_in_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ChildFailed, match=f"^{reason}$"):
        await read_image(data)


async def test_hostile_pdfs_end_in_a_reason() -> None:
    with pytest.raises(ChildFailed, match="damaged"):
        await read_scanned_pages(b"%PDF-1.7 junk", [1])
    with pytest.raises(ChildFailed, match="too_many_pages"):
        await read_scanned_pages(make_pdf([["a"]]), range(1, 202))


async def test_limits() -> None:
    data = encoded(scan().resize((4000, 4000)), "PNG")
    for limits, reason in (
        (OcrLimits(timeout_s=0.2), "timeout"),
        (OcrLimits(memory_bytes=320 << 20), "memory"),
        (OcrLimits(max_output_bytes=100), "too_large_output"),
    ):
        with pytest.raises(ChildFailed, match=reason):
            await read_image(data, limits=limits)


async def test_cancelling_kills_the_child() -> None:
    me = psutil.Process()
    others = set(me.children(recursive=True))  # servers of tests that ran before in this process
    task = asyncio.create_task(read_image(encoded(scan(LINES * 2), "PNG")))
    while len(children := set(me.children(recursive=True)) - others) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.005)  # until there are the child and its fork
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):  # a killed process takes a moment to be gone
        while [child for child in children if alive(child)]:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def alive(process: psutil.Process) -> bool:
    """Whether it can still do anything; a fork whose parent died waits for init as a zombie."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    "result", [b"", b"Q\0\0\0\0Z\0\0\0\0", b"P\x02\0\0\0abZ\0\0\0\0", b"P\x05\0\0\0abcdeZ\0\0\0\0"]
)
def test_a_child_that_lies_has_crashed(result: bytes) -> None:
    with pytest.raises(ChildFailed, match="crashed"):
        read_result(bytearray(result))


def test_missing_networks_are_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="rapidocr"):
        find_models()
