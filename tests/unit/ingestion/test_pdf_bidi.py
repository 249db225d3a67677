"""Arabic and Hebrew in PDFs come out as they are read, however their letters were drawn."""

from collections.abc import Sequence

import pytest

from app.ingestion.parse import parse_pdf

#: Bytes of the font, and what they stand for: a few letters of Arabic and Hebrew.
CODES = {**dict(zip("abcdefgh", "مرحباعلي", strict=True)), **dict(zip("ABCD", "שלום", strict=True))}


def drawn(codes: str, *, leftwards: bool) -> str:
    """What draws a word's letters, each to the right of the last or to its left, as browsers do."""
    if not leftwards:
        return f"({codes}) Tj"
    letters = (f"(\\{code})" if code in "()" else f"({code})" for code in codes)
    return f"[{' 1200 '.join(letters)}] TJ"


def make_pdf(words: Sequence[tuple[int, str]], *, leftwards: bool) -> bytes:
    """A PDF whose words are drawn one by one, each from its place on a line."""
    pairs = "".join(f"<{ord(code):02x}> <{ord(text):04x}>\n" for code, text in CODES.items())
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def\n"
        "1 begincodespacerange <00> <ff> endcodespacerange\n"
        f"{len(CODES)} beginbfchar\n{pairs}endbfchar endcmap end end"
    )
    shown = "".join(
        f"BT /F 12 Tf {x} 700 Td {drawn(codes, leftwards=leftwards)} ET\n" for x, codes in words
    )
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        "/Resources << /Font << /F 5 0 R >> >> >>",
        f"<< /Length {len(shown)} >>\nstream\n{shown}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 6 0 R >>",
        f"<< /Length {len(cmap)} >>\nstream\n{cmap}\nendstream",
    ]
    body = "".join(f"{n} 0 obj\n{text}\nendobj\n" for n, text in enumerate(objects, 1))
    return f"%PDF-1.7\n{body}trailer << /Root 1 0 R >>\n%%EOF\n".encode("latin-1")


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
    [page] = (await parse_pdf(make_pdf(words, leftwards=False))).pages
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
    [page] = (await parse_pdf(make_pdf(words, leftwards=True))).pages
    assert page.text == text
