"""Ligatures in the codes of TeX's encodings, which are spaces in the fonts of others."""

import pytest

from app.ingestion.parse import parse_pdf
from app.ingestion.pdf_text import assemble, with_tex_glyphs
from tests.unit.ingestion.test_parse import filled_form


@pytest.mark.parametrize(
    "raw",
    ["the \x1dow o\x1bshore E\x1ecient \x1cnch wa\x1fe of 3\x155 \x10eggs\x11",
     "the \row o\x0bshore E\x0ecient \x0cnch wa\x0fe of 3\u20135 \u201ceggs\u201d"],
    ids=["T1", "OT1"],
)  # fmt: skip
def test_ligatures_of_tex_are_read_though_its_bitmap_fonts_name_none(raw: str) -> None:
    assert len(with_tex_glyphs(raw)) == len(raw), "they stay where PDFium has them"
    text, spans, origins = assemble(with_tex_glyphs(raw), hyphenated=False)
    assert text == "the flow offshore Efficient finch waffle of 3\u20135 \u201ceggs\u201d"
    assert [raw[start:end] for start, end in origins] == raw.split(" ")
    assert [text[start:end] for start, end in spans] == text.split(" ")


@pytest.mark.parametrize(
    "raw",
    [
        "every\x1fword\x1fis set\x1fapart\x1fso",
        "Space\t\r \xa0Flight \x1c 12\x1f13 Center",
        "a limit of 10\x1fkm per hour holds here",
        "le prix\x1fen euros, the \x1fprice in euros",
        "here is line one\x0bsecond line of it all and foo\x0cbar page",
        "an \x1cold word and a\x1enew word: 10\x1dkm per hour or so",
        "an \x1cold word and a\x1enew word; the\x1dEnd of it all",
        "an \x1cold word and a\x1enew word,\x1dso it is, he said",
        "an \x1cold word and a\x1enew word \x1d and so it is, he said",
    ],
)
def test_codes_that_may_be_spaces_are_no_ligatures(raw: str) -> None:
    """Of the last four, the first halves alone might be TeX's."""
    text, _, _ = assemble(with_tex_glyphs(raw), hyphenated=False)
    assert text == " ".join(raw.split())


async def test_a_line_of_a_form_does_not_end_at_a_ligature() -> None:
    """The code of OT1's "fl" is a carriage return."""
    printed = "BT /F 10 Tf 60 750 Td (the \\015ow of \\014nal e\\016cient cash) Tj ET"
    page = (await parse_pdf(filled_form(printed, (260, 746, "3 May")))).pages[0]
    assert page.text == "the flow of final efficient cash 3 May"
    [flow] = [row for row in page.words if page.text[int(row[0]) : int(row[1])] == "flow"]
    assert 70 < flow[2] < flow[4] < 110, "a word keeps its place on the paper"
