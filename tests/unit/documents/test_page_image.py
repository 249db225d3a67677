"""Pages as pictures: the marker lies on the words, hostile files end in a reason."""

import asyncio
import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.documents.page_image import ImageUnavailable, NoPageImage, render_page
from app.documents.page_image_child import MARKER, boxes_of, mark, pixel_size, png
from app.infra.sandbox import SandboxLimits
from app.ingestion.parse import parse_pdf
from tests.pdfs import make_pdf


def turned(page: str) -> bytes:
    """A page with one word, its dictionary having these entries; readers repair the table."""
    data = make_pdf([["Marked"]])
    return data.replace(b"/MediaBox [0 0 612 792]", b"/MediaBox [0 0 612 792] " + page.encode())


def pixels(png: bytes) -> npt.NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16)


def yellow(image: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
    return (image[:, :, 0] - image[:, :, 2]) > 80


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize(
    ("page", "size"),
    [
        ("", (935, 1210)),
        ("/CropBox [50 100 550 750]", (764, 993)),
        ("/Rotate 90", (1210, 935)),
        ("/Rotate 180", (935, 1210)),
        ("/Rotate 270 /CropBox [50 100 550 750]", (993, 764)),
    ],
)
async def test_the_marker_lies_on_the_words(page: str, size: tuple[int, int]) -> None:
    """All the ink of the page's only word is inside what the marker changed, and is legible."""
    data = turned(page)
    [word] = (await parse_pdf(data)).pages[0].words.tolist()
    plain = pixels(await render_page(data, 1))
    marked = pixels(await render_page(data, 1, highlights=[word[2:]]))
    assert plain.shape == marked.shape == (size[1], size[0], 3)
    ink = plain.sum(axis=2) < 600
    changed = (plain != marked).any(axis=2)
    rows, columns = np.nonzero(changed)
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert ink.sum() > 100
    assert ink[box].sum() == ink.sum()
    assert changed.sum() < 8 * ink.sum()
    assert (marked[ink] <= plain[ink]).all()
    assert tuple(marked[rows.min(), columns.min()]) == MARKER


def filled_form(*, drawn: bool) -> bytes:
    """A page of nothing but a field with a word typed into it; readers repair the table.

    Unless it is ``drawn``, how it looks is left to readers.
    """
    look = b"/Tx BMC BT /F 12 Tf 2 5 Td (Marked) Tj ET EMC"
    field = (
        b"6 0 obj\n<< /Type /Annot /Subtype /Widget /FT /Tx /T (a) /V (Marked) /F 4"
        b" /Rect [72 700 172 720] /P 4 0 R /AP << /N 7 0 R >> >>\nendobj\n"
        b"7 0 obj\n<< /Type /XObject /Subtype /Form /BBox [0 0 100 20] /Length %d"
        b" /Resources << /Font << /F 3 0 R >> >> >>\nstream\n%s\nendstream\nendobj\n"
    ) % (len(look), look)
    form = b"/Fields [6 0 R] /DA (/F 12 Tf 0 g) /DR << /Font << /F 3 0 R >> >>"
    if not drawn:
        form += b" /NeedAppearances true"
        field = field.replace(b"/F 4", b"/F 4 /DA (/F 12 Tf 0 g)").replace(
            b"/AP << /N 7 0 R >>", b""
        )
    data = make_pdf([[""]]).replace(b"/Catalog", b"/Catalog /AcroForm << " + form + b" >>")
    return data.replace(b"/Contents", b"/Annots [6 0 R] /Contents").replace(
        b"xref\n0", field + b"xref\n0"
    )


@pytest.mark.parametrize("drawn", [True, False])
async def test_what_was_typed_into_a_form_is_drawn_where_it_is_marked(*, drawn: bool) -> None:
    data = filled_form(drawn=drawn)
    [page] = (await parse_pdf(data)).pages
    assert page.text == "Marked"
    plain = pixels(await render_page(data, 1))
    marked = pixels(await render_page(data, 1, highlights=page.words[:, 2:].tolist()))
    ink = plain.sum(axis=2) < 600
    assert ink.sum() > 100
    assert (plain != marked).any(axis=2)[ink.any(axis=1)].any()


async def test_pages_beyond_the_ends_are_not_there() -> None:
    data = make_pdf([["one"], ["two"]])
    assert pixels(await render_page(data, 2)).shape == (1210, 935, 3)
    for number in (-1, 0, 3, 10**12):
        with pytest.raises(NoPageImage):
            await render_page(data, number)


async def test_large_pages_are_drawn_smaller_and_odd_boxes_ignored() -> None:
    data = make_pdf([["poster"]]).replace(b"[0 0 612 792]", b"[0 0 6120 792]")
    boxes = [(float("nan"), 0, 1, 1), (-50, -50, -9, -9), (9e9, 0, 1e300, 5), (50, 9, 20, 4)]
    image = pixels(await render_page(data, 1, highlights=boxes))
    assert image.shape == (207, 1600, 3)
    assert not yellow(image).any()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
async def test_pictures_are_shown_upright_and_marked(kind: str, orientation: int) -> None:
    upright = Image.new("RGB", (400, 800), "white")
    upright.paste("black", (100, 200, 300, 240))
    laid = {1: 0, 3: 180, 6: 90, 8: 270}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(upright.rotate(laid, expand=True), kind, exif=exif, dpi=(100, 100))
    image = pixels(await render_page(data, 1, highlights=[(60, 135, 90, 185)]))
    assert image.shape == (880, 440, 3)
    dark = np.argwhere(image.sum(axis=2) < 200)
    assert np.abs(dark.min(axis=0) - (220, 110)).max() <= 2
    assert np.abs(dark.max(axis=0) - (263, 329)).max() <= 2
    assert yellow(image)[215, 110]
    assert not yellow(image)[215, 200]


async def test_each_directory_of_a_tiff_is_a_page() -> None:
    pages = [Image.new("L", (300, 300), shade) for shade in (0, 128, 255)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    for number, shade in enumerate((0, 128, 255), 1):
        assert pixels(await render_page(data, number))[100, 100].tolist() == [shade] * 3
    with pytest.raises(NoPageImage):
        await render_page(data, 4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
async def test_pictures_of_every_mode_are_shown_on_white(mode: str) -> None:
    image = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    if mode not in {"LA", "RGBA"}:
        image = Image.new("L", (300, 300), 255)
        image = image.convert("I").point(lambda v: v * 257) if mode == "I;16" else image
    shown = pixels(await render_page(encoded(image.convert(mode), "PNG"), 1))
    assert shown.min() >= 254


def bomb(width: int, height: int) -> bytes:
    """A PNG that says how large it is and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "damaged"),
        (b"<html>", "damaged"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 9, "damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "damaged"),
        (b"\xff\xd8\xff" + bytes(500), "damaged"),
        (b"II*\0" + b"\xff" * 500, "damaged"),
        (bomb(50_001, 50_000), "too_many_pixels"),
        (bomb(900, 900), "damaged"),
    ],
)
async def test_hostile_files_end_in_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ImageUnavailable) as caught:
        await render_page(data, 1)
    assert caught.value.reason == caught.value.extras["reason"] == reason
    assert pixels(await render_page(make_pdf([["fine"]]), 1)).min() < 100


async def test_drawing_is_bounded() -> None:
    slow = make_pdf([["a"]]).replace(
        b"ET\nendstream", b"ET " + b"0 0 m 600 0 9 900 500 700 c S " * 200_000 + b"\nendstream"
    )
    for limits, reason in (
        (SandboxLimits(1.0, 512 << 20, 1 << 24), "timeout"),
        (SandboxLimits(9.0, 512 << 20, 1_000), "too_large_output"),
    ):
        with pytest.raises(ImageUnavailable) as caught:
            await render_page(slow if reason == "timeout" else make_pdf([["a"]]), 1, limits=limits)
        assert caught.value.reason == reason


async def test_pages_are_drawn_side_by_side() -> None:
    data = make_pdf([[f"page {number}"] for number in range(1, 5)])
    images = await asyncio.gather(*(render_page(data, number) for number in range(1, 5)))
    assert len(set(images)) == 4


@given(
    st.lists(st.tuples(*[st.floats(-50, 50)] * 4), max_size=5),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_marking_only_darkens_and_twice_is_once(
    boxes: list[tuple[float, float, float, float]], width: int, height: int
) -> None:
    before = bytes(range(256)) * 5
    image = bytearray(before[: 3 * width * height])
    mark(image, (width, height), (1.0, 0.5), boxes)
    once = bytes(image)
    mark(image, (width, height), (1.0, 0.5), boxes)
    assert bytes(image) == once
    assert len(once) == 3 * width * height
    assert all(new <= old for new, old in zip(once, before, strict=False))


@given(st.integers(1, 9), st.integers(1, 9), st.binary(min_size=243, max_size=243))
def test_any_pixels_survive_the_png(width: int, height: int, data: bytes) -> None:
    rows = data[: 3 * width * height]
    assert Image.open(io.BytesIO(png(rows, (width, height)))).tobytes() == rows


@given(st.floats(0.001, 1e7), st.floats(0.001, 1e7))
def test_no_page_is_larger_than_the_largest(width: float, height: float) -> None:
    across, down = pixel_size(width, height, dpi=110, max_side_px=1600)
    assert 1 <= across <= 1600
    assert 1 <= down <= 1600


def test_boxes_are_handed_on_as_text() -> None:
    assert boxes_of("1.0,2.5,3.0,4.0;-5.0,6.0,7.0,8.0") == [[1, 2.5, 3, 4], [-5, 6, 7, 8]]
    assert boxes_of("") == []
