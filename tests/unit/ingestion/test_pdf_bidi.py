"""Arabic and Hebrew in PDFs come out as they are read, however their letters were drawn."""

from typing import cast

import pytest

from app.ingestion.parse import parse_pdf
from app.ingestion.pdf_bidi import lines_from_right
from app.ingestion.pdf_child import Pdfium

#: Bytes of the font, and what they stand for: a few letters of Arabic and Hebrew.
CODES = {**dict(zip("abcdefgh", "مرحباعلي", strict=True)), **dict(zip("ABCD", "שלום", strict=True))}


def leftwards(codes: str) -> str:
    """What draws each of a word's letters to the left of the last."""
    letters = (f"(\\{code})" if code in "()" else f"({code})" for code in codes)
    return f"[{' 1200 '.join(letters)}] TJ"


def spelled(codes: str) -> str:
    """What draws a word's letters rightwards one by one, each with what it means."""
    return "".join(
        f"/Span << /ActualText <FEFF{ord(CODES[code]):04X}> >> BDC ({code}) Tj EMC\n"
        for code in codes
    )


def make_pdf(*words: tuple[int, str]) -> bytes:
    """A PDF of one line, in which each word is drawn from its place on."""
    pairs = "".join(f"<{ord(code):02x}> <{ord(text):04x}>\n" for code, text in CODES.items())
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def\n"
        "1 begincodespacerange <00> <ff> endcodespacerange\n"
        f"{len(CODES)} beginbfchar\n{pairs}endbfchar endcmap end end"
    )
    shown = "".join(f"BT /F 12 Tf {x} 700 Td {letters} ET\n" for x, letters in words)
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        "/Resources << /Font << /F 5 0 R >> >> >>",
        f"<< /Length {len(shown)} >>\nstream\n{shown}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Courier /ToUnicode 6 0 R >>",
        f"<< /Length {len(cmap)} >>\nstream\n{cmap}\nendstream",
    ]
    body = "".join(f"{n} 0 obj\n{text}\nendobj\n" for n, text in enumerate(objects, 1))
    return f"%PDF-1.7\n{body}trailer << /Root 1 0 R >>\n%%EOF\n".encode("latin-1")


def test_no_character_of_other_scripts_is_looked_at() -> None:
    """Looking at every character of pages with curly quotes made parsing three times as slow."""
    unused = cast("Pdfium", None)
    assert (
        lines_from_right(unused, 0, "a \u201cquote\u201d \u2013 \u4e2d\u6587 \ufb01 \u20ac") is None
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([(300, "edcba")], "مرحبا"),
        ([(300, "edcba"), (200, "hgf")], "مرحبا علي"),
        ([(300, "edcba hgf")], "علي مرحبا"),
        ([(300, "DCBA"), (200, "2024")], "שלום 2024"),
    ],
)
async def test_words_that_are_drawn_rightwards(words: list[tuple[int, str]], text: str) -> None:
    [page] = (await parse_pdf(make_pdf(*((x, f"({codes}) Tj") for x, codes in words)))).pages
    assert page.text == text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([(300, "abcde")], "مرحبا"),
        ([(300, "abcde"), (200, "fgh"), (100, "abc.")], "مرحبا علي مرح."),
        ([(300, "ABCD"), (200, "DA1")], "שלום םש1"),
        ([(300, ")ABCD(")], "(שלום)"),  # brackets are drawn mirrored
    ],
)
async def test_words_that_are_drawn_leftwards(words: list[tuple[int, str]], text: str) -> None:
    [page] = (await parse_pdf(make_pdf(*((x, leftwards(codes)) for x, codes in words)))).pages
    assert page.text == text


async def test_a_line_that_is_drawn_letter_by_letter_is_one() -> None:
    """As browsers print it: from left to right, and a letter's mark is drawn on another level."""
    marked = "/Span << /ActualText <FEFF0631064B> >> BDC (c) Tj 0 3 Td (b) Tj EMC 7.2 -3 Td "
    line = marked + spelled("gf") + "26 0 Td " + spelled("edc")
    [page] = (await parse_pdf(make_pdf((100, line)))).pages
    assert page.text == "حبا علرً"
    assert [page.text[int(a) : int(b)] for a, b in page.words[:, :2]] == page.text.split()
    (left, _, right, _), (other_left, _, other_right, _) = page.words[:, 2:].tolist()
    assert (left, right) == (pytest.approx(133, abs=4), pytest.approx(155, abs=4))
    assert (other_left, other_right) == (pytest.approx(100, abs=4), pytest.approx(121, abs=4))


async def test_a_line_on_its_head_is_left_as_it_is() -> None:
    [page] = (await parse_pdf(make_pdf((0, "-1 0 0 -1 300 700 Tm (DCBA) Tj")))).pages
    assert page.text == "שלום"
