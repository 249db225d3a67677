"""Old encodings: what a page declares is what browsers read; the rest is told by its letters."""

from __future__ import annotations

import pytest

from app.ingestion.readers.charset import decode

SENTENCES = {
    "es": "La ciudad de España más pequeña está junto al río; allí viven señores muy ancianos.",
    "pt": "A nação tem três regiões, e o coração do país não fica longe da maçã.",
    "sv": "Många åker till sjön på våren, när isen är borta och båtarna går.",
    "fr": "La forêt de Besançon, très étendue, fut plantée après l\u2019été où la rivière gela.",
    "de": "Die Höhe des Turmes beträgt über 20 Meter, und draußen fließt die größte Quelle.",
    "cs": "Výška věže v městě Žďár je přesně sto třicet metrů, a šířka je pět.",
    "pl": "Wysokość wieży w mieście Łódź wynosi sześćdziesiąt metrów, a ściany są żółte.",
    "hu": "A torony magassága őszintén hűvös, a tetőt réz fedi, és sűrű erdő öleli körül.",
    "hr": "Kuća na uglu još čeka đake, a žuti zidovi su svježi i čvrsti.",
    "tr": "İstanbul'un yüksekliği çok güzel görünüyor; şehrin köşesinde üç büyük ağaç.",
    "lt": "Vilniaus bokšto aukštis yra šimtas metrų, jį pastatė meistrai iš kaimyninės šalies.",
    "lv": "Rīgas tornis ir simts metrus augsts, to uzcēla amatnieki no kaimiņu zemes.",
}
ENCODED = [
    ("es", "cp1252"), ("pt", "cp1252"), ("sv", "cp1252"), ("fr", "cp1252"), ("de", "cp1252"),
    ("es", "mac_roman"), ("fr", "mac_roman"), ("es", "cp850"), ("de", "cp850"),
    ("cs", "cp1250"), ("pl", "cp1250"), ("hu", "cp1250"), ("hr", "cp1250"),
    ("cs", "iso8859-2"), ("pl", "iso8859-2"), ("tr", "cp1254"), ("lt", "cp1257"), ("lv", "cp1257"),
]  # fmt: skip


@pytest.mark.parametrize("times", [1, 30])
@pytest.mark.parametrize(("language", "encoding"), ENCODED)
def test_latin_letters_are_told_by_the_language_they_spell(
    language: str, encoding: str, times: int
) -> None:
    text = SENTENCES[language] * times
    assert decode(text.encode(encoding)) == text


def test_units_and_quotation_marks_spell_nothing() -> None:
    text = "Die Fläche «A» hat 20 m², 3 µm und 20 °C \u2013 „größer“ ist keine."
    assert decode(text.encode("cp1252")) == text


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        ("gbk", "gbk", "长江的长度是6300公里"), ("GB2312", "gbk", "镕"),
        ("iso-8859-2", "iso8859-2", "Żółć"), ("ISO-8859-15", "iso8859-15", "45 €"),
        ("koi8-u", "koi8_u", "Їжак"), ("x-euc-jp", "euc_jp", "琵琶湖"),
        ("shift_jis", "cp932", "①髙"), ("euc-kr", "cp949", "똠"), ("tis-620", "cp874", "กรุงเทพ"),
        ("windows-874", "cp874", "กรุงเทพ"), ("windows-1257", "cp1257", "Rīga"),
        ("iso-8859-7", "iso8859-7", "ύψος"), ("iso-8859-5", "iso8859-5", "Башня"),
        ("macintosh", "mac_roman", "déjà"), ("iso-2022-jp", "iso2022_jp", "琵琶湖"),
        ("iso-8859-1", "cp1252", "“q”"),
    ],
)  # fmt: skip
def test_a_page_is_read_in_the_encoding_it_declares(label: str, codec: str, text: str) -> None:
    page = f'<meta charset="{label}"><p>{text}</p>'
    assert decode(page.encode(codec), declared=True) == page


@pytest.mark.parametrize("label", ["rot13", "unicode_escape", "utf-16", "base64", "idna", "cp037"])
def test_what_no_browser_reads_is_not_believed(label: str) -> None:
    page = f'<meta charset="{label}"><p>España está allí</p>'
    assert decode(page.encode("cp1252"), declared=True) == page


def test_an_escape_sequence_in_utf8_is_no_japanese() -> None:
    text = "naïve \x1b$B\u65e5"
    assert decode(text.encode()) == text


@pytest.mark.parametrize("mark", ["\ufeff", ""])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["Two words.\n", "Привет, мир\n", "温泉旅館\nご利用案内。\n"])
def test_utf16_needs_no_mark(text: str, codec: str, mark: str) -> None:
    assert decode((mark + text).encode(codec)) == text
