"""Parsing real and made PDFs: text, offsets, boxes, metadata."""

import asyncio
import hashlib
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.infra.sandbox import find_pdfium
from app.ingestion import pdf_child
from app.ingestion.page import Page, ParsedFile
from app.ingestion.parse import ParseError, ParseLimits, parse_pdf
from app.ingestion.pdf_result import useful
from app.ingestion.pdf_text import assemble
from app.retrieval.boxes import boxes_of

SAMPLES = Path(__file__).parents[3] / "docs" / "samples"
SCHEDULER = SAMPLES / "CFS_SCH_Requirements_Document_V1_1_080111.pdf"
STORAGE = SAMPLES / "cFS_DS_Requirements_Document_V1_3_072915.pdf"


def make_pdf(content: str, *, page: str = "", info: str = "") -> bytes:
    """Return a PDF of one page; readers rebuild its missing cross-reference table."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] {page} /Contents 4 0 R "
        "/Resources << /Font << /F 5 0 R >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        f"<< {info} >>",
    ]
    body = "".join(f"{n} 0 obj\n{text}\nendobj\n" for n, text in enumerate(objects, 1))
    return f"%PDF-1.7\n{body}trailer << /Root 1 0 R /Info 6 0 R >>\n%%EOF\n".encode("latin-1")


@pytest.fixture(scope="module")
def scheduler() -> ParsedFile:
    return asyncio.run(parse_pdf(SCHEDULER.read_bytes()))


@pytest.fixture(scope="module")
def pdfium() -> pdf_child.Pdfium:
    return pdf_child.Pdfium(find_pdfium())


def letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


def test_a_real_document_is_read_whole(scheduler: ParsedFile) -> None:
    assert scheduler.title == "CFS SCH Requirements"
    assert [page.number for page in scheduler.pages] == list(range(1, 17))
    assert "SCH shall support a maximum of 24 Multi-Groups" in scheduler.pages[10].text
    assert {len(page.sha256) for page in scheduler.pages} == {32}
    assert len({page.sha256 for page in scheduler.pages}) == 16


def test_the_text_is_clean(scheduler: ParsedFile) -> None:
    for page in scheduler.pages:
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\xa0\ufffe\uffff\ud800-\udfff]", page.text)
        assert not re.search(r"  | \n|\n |\n\n\n", page.text)
        assert page.text == page.text.strip()


def test_rows_are_the_words_of_the_text_in_order(scheduler: ParsedFile) -> None:
    for page in scheduler.pages:
        assert page.words.dtype == np.float32
        assert page.words.shape[1] == 6
        spans = page.words[:, :2].astype(int).tolist()
        assert all(not re.search(r"\s", page.text[start:end]) for start, end in spans)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))
        assert (page.words[:, 2] < page.words[:, 4]).all()
        assert (page.words[:, 3] < page.words[:, 5]).all()
        assert page.words[:, 4].max() <= page.width
        assert page.words[:, 5].max() <= page.height


def test_a_quotes_boxes_hold_exactly_its_words(scheduler: ParsedFile) -> None:
    """PDFium itself is asked what text lies inside the boxes of spans all over the document."""
    document = pypdfium2.PdfDocument(SCHEDULER.read_bytes())
    random = np.random.default_rng(7)
    for page in scheduler.pages[2:]:
        text_page = document[page.number - 1].get_textpage()
        for first in random.integers(0, len(page.words) - 12, 12):
            start, end = int(page.words[first, 0]), int(page.words[first + 11, 1])
            found = "".join(
                text_page.get_text_bounded(
                    x0 + 0.1, page.height - y1 + 0.1, x1 - 0.1, page.height - y0 - 0.1
                )
                for x0, y0, x1, y1 in boxes_of(page.words, start, end)
            )
            assert letters(found) == letters(page.text[start:end])
    document.close()


@pytest.mark.parametrize(
    ("page", "size", "box"),
    [
        ("", (612, 792), (100, 82, 120, 92)),
        ("/CropBox [50 100 550 750]", (500, 650), (50, 40, 70, 50)),
        ("/Rotate 90", (792, 612), (700, 100, 710, 120)),
        ("/Rotate 180", (612, 792), (492, 700, 512, 710)),
        ("/Rotate 270", (792, 612), (82, 492, 92, 512)),
        ("/Rotate 90 /CropBox [50 100 550 750]", (650, 500), (600, 50, 610, 70)),
    ],
)
async def test_boxes_are_where_the_page_shows_them(
    page: str, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    """``H`` set in 10-point Helvetica at (100, 700) stands within 20 x 10 points above it."""
    parsed = (await parse_pdf(make_pdf("BT /F 10 Tf 100 700 Td (H) Tj ET", page=page))).pages[0]
    assert (parsed.width, parsed.height) == size
    [[_, _, x0, y0, x1, y1]] = parsed.words.tolist()
    assert box[0] <= x0 < x1 <= box[2]
    assert box[1] <= y0 < y1 <= box[3]


async def test_metadata_and_odd_characters() -> None:
    content = "BT /F 12 Tf 72 700 Td (caf\xe9\xa0 so\xadcalled) Tj 0 -20 Td (end) Tj ET"
    parsed = await parse_pdf(make_pdf(content, info="/Title (Plan B) /Author (A\x01 B)"))
    assert parsed.title == "Plan B"
    assert parsed.author == "A B"
    assert parsed.pages[0].text == "caf\xe9 so-called\nend"


async def test_what_was_typed_into_a_form_is_text() -> None:
    data = make_pdf(
        "BT /F 12 Tf 72 700 Td (Name) Tj ET",
        page="/Annots [<< /Type /Annot /Subtype /FreeText /Rect [72 600 200 630] /F 4 "
        "/DA (/Helv 12 Tf) /Contents (typed) /AP << /N 7 0 R >> >>]",
    ).replace(
        b"trailer",
        b"7 0 obj\n<< /Type /XObject /Subtype /Form /BBox [0 0 128 30] /Length 33 /Resources "
        b"<< /Font << /F 5 0 R >> >> >>\nstream\nBT /F 12 Tf 2 10 Td (typed) Tj ET \nendstream\n"
        b"endobj\ntrailer",
    )
    assert (await parse_pdf(data)).pages[0].text.split() == ["Name", "typed"]


def filled_form(printed: str, *fields: tuple[int, int, str]) -> bytes:
    """A page with a field for each (left, bottom, what was typed), 120 by 16 points large."""
    kids = " ".join(
        f"<< /Type /Annot /Subtype /Widget /FT /Tx /T (f{n}) /F 4 "
        f"/Rect [{x} {y} {x + 120} {y + 16}] /AP << /N {n} 0 R >> >>"
        for n, (x, y, _) in enumerate(fields, 7)
    )
    looks = "".join(
        f"{n} 0 obj\n<< /Type /XObject /Subtype /Form /BBox [0 0 120 16] /Length {len(text) + 31} "
        "/Resources << /Font << /F 5 0 R >> >> >>\nstream\n"
        f"BT /F 10 Tf 2 4 Td ({text}) Tj ET    \nendstream\nendobj\n"
        for n, (_, _, text) in enumerate(fields, 7)
    )
    return (
        make_pdf(printed, page=f"/Annots [{kids}]")
        .replace(b"/Catalog", b"/Catalog /AcroForm << /Fields [] >>")
        .replace(b"trailer", looks.encode("latin-1") + b"trailer")
    )


FORM_OF_TWO = (
    "BT /F 10 Tf 60 750 Td (Name:) Tj 170 0 Td (Date:) Tj -170 -20 Td (Reason) Tj "
    "0 -60 Td (Witness) Tj 170 0 Td (Born) Tj -170 -80 Td (Signed.) Tj ET"
)


async def test_what_was_typed_stands_in_the_line_it_was_typed_for() -> None:
    data = filled_form(
        FORM_OF_TWO,
        (95, 746, "Ada Moreau"), (260, 746, "3 May"), (60, 710, "Birth of a child"),
        (60, 650, "Louis"), (230, 650, "1976"), (60, 630, "Manon"), (230, 630, "1979"),
    )  # fmt: skip
    page = (await parse_pdf(data)).pages[0]
    assert page.text.splitlines() == [
        "Name: Ada Moreau Date: 3 May", "Reason Birth of a child", "Witness Louis Born 1976",
        "Manon 1979", "Signed.",
    ]  # fmt: skip
    lefts = {page.text[int(row[0]) : int(row[1])]: round(float(row[2])) for row in page.words}
    assert 230 <= lefts["Date:"] <= 232, "a word keeps its place on the paper"
    assert 260 <= lefts["3"] <= 264


async def test_a_form_that_lies_on_its_side_is_left_as_it_is() -> None:
    data = filled_form("BT /F 10 Tf 0 1 -1 0 300 60 Tm (Name:) Tj ET", (95, 746, "Ada Moreau"))
    assert (await parse_pdf(data)).pages[0].text.split() == ["Name:", "Ada", "Moreau"]


async def test_the_same_bytes_give_the_same_pages() -> None:
    data = STORAGE.read_bytes()
    first, second = await asyncio.gather(parse_pdf(data), parse_pdf(data))
    assert [page.sha256 for page in first.pages] == [page.sha256 for page in second.pages]
    assert all(
        np.array_equal(one.words, other.words)
        for one, other in zip(first.pages, second.pages, strict=True)
    )


async def test_limits() -> None:
    data = SCHEDULER.read_bytes()
    for limits, reason in (
        (ParseLimits(max_bytes=1000), "too_large_file"),
        (ParseLimits(max_pages=15), "too_many_pages"),
        (ParseLimits(max_text_bytes=5000), "too_large_text"),
    ):
        with pytest.raises(ParseError) as caught:
            await parse_pdf(data, limits=limits)
        assert caught.value.reason == caught.value.extras["reason"] == reason


def test_in_this_process_too(pdfium: pdf_child.Pdfium, scheduler: ParsedFile) -> None:
    """The script's own functions, seen by coverage and debugger, say what the child says."""
    limits = {"max_pages": 20, "max_text_bytes": 10**6}
    frames = list(pdf_child.frames(pdfium, SCHEDULER.read_bytes(), limits))
    assert [tag for tag, _ in frames] == [b"M", *[b"P"] * 16]
    for (_, payload), page in zip(frames[1:], scheduler.pages, strict=True):
        assert page.text.encode() in payload
    with pytest.raises(pdf_child.Refused, match="too_many_pages"):
        list(pdf_child.frames(pdfium, SCHEDULER.read_bytes(), limits | {"max_pages": 2}))
    with pytest.raises(pdf_child.Refused, match="damaged"):
        list(pdf_child.frames(pdfium, b"%PDF-1.7 nothing", limits))


def test_line_end_hyphens_are_kept_unless_a_typesetter_put_them_there() -> None:
    raw = "long\ufffeterm imple\ufffementation plat\ufffespecific CCSDS\ufffe422"
    kept, _, _ = assemble(raw, hyphenated=False)
    joined, _, _ = assemble(raw, hyphenated=True)
    assert kept == "long-term imple-mentation plat-specific CCSDS-422"
    assert joined == "long-term implementation plat-specific CCSDS-422"


def test_a_page_that_breaks_words_is_hyphenated_whoever_made_it() -> None:
    lines = "the adop\ufffetion of regu\ufffelations, by law a long\ufffeterm obli\ufffegation"
    text, spans, _ = assemble(f"{lines} of a well-known kind", hyphenated=False)
    assert text == "the adoption of regulations, by law a long-term obligation of a well-known kind"
    assert [text[start:end] for start, end in spans][1:3] == ["adop", "tion"]
    joined_within = f"{lines} well-known pre-tax non-linear four-way up-to-date"
    kept, _, _ = assemble(joined_within, hyphenated=False)
    assert "regu-lations" in kept


@given(
    st.text(
        st.sampled_from("aZ\xe9 \r\n\t\xa0\x00\x02\xad\ufb01\ufffe\uf0b7\u4e2d\ud800-"), max_size=80
    )
)
def test_any_text_comes_out_clean_with_spans_that_match(raw: str) -> None:
    text, spans, origins = assemble(raw, hyphenated=True)
    assert len(spans) == len(origins)
    assert text == text.strip()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\xa0\xad\ufb01\ufffe\ud800-\udfff]|  ", text)
    assert "".join(text[start:end] for start, end in spans) == "".join(text.split())
    for (start, end), (raw_start, raw_end) in zip(spans, origins, strict=True):
        plain = raw[raw_start:raw_end]
        if plain.isalpha() and plain.isascii():
            assert text[start:end].rstrip("-") == plain


@pytest.mark.parametrize(
    "title", ["", "s", "Microsoft Word - a.doc", "untitled", "report.docx", "VDD Template"]
)
def test_useless_titles(title: str) -> None:
    assert useful(title) is None


def test_a_page_has_a_digest_of_its_text() -> None:
    page = Page(1, "caf\xe9", 1, 1, np.zeros((0, 6), np.float32))
    assert page.sha256 == hashlib.sha256(b"caf\xc3\xa9").digest()


def test_scripts_without_spaces_have_a_row_for_each_character() -> None:
    text, spans, _ = assemble("\u4e2d\u6587 abc \u0e01", hyphenated=False)
    assert [text[start:end] for start, end in spans] == ["\u4e2d", "\u6587", "abc", "\u0e01"]
