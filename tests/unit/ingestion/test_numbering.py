"""What stands before numbered headings, clauses and items: their readers refer to it."""

import pytest

from app.ingestion.readers.numerals import numeral
from tests.unit.ingestion import files
from tests.unit.ingestion.test_readers import parse, texts


def level(at: int, format: str, pattern: str, more: str = "") -> str:
    return (
        f'<w:lvl w:ilvl="{at}"><w:numFmt w:val="{format}"/><w:lvlText w:val="{pattern}"/>'
        f"{more}</w:lvl>"
    )


CLAUSES = level(0, "decimal", "%1.", '<w:pStyle w:val="H1"/>') + level(
    1, "decimal", "%1.%2", '<w:pStyle w:val="H2"/>'
)
ITEMS = level(0, "lowerLetter", "(%1)") + level(1, "lowerRoman", "%2.") + level(2, "bullet", "o")
NUMBERING = (
    f'<w:numbering {files.W}><w:abstractNum w:abstractNumId="7">{CLAUSES}</w:abstractNum>'
    f'<w:abstractNum w:abstractNumId="8">{ITEMS}</w:abstractNum>'
    '<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>'
    '<w:num w:numId="2"><w:abstractNumId w:val="8"/></w:num>'
    '<w:num w:numId="3"><w:abstractNumId w:val="8"/><w:lvlOverride w:ilvl="0">'
    '<w:startOverride w:val="1"/></w:lvlOverride></w:num></w:numbering>'
)
STYLES = (
    f'<w:styles {files.W}><w:style w:styleId="H1"><w:name w:val="heading 1"/><w:pPr><w:numPr>'
    '<w:numId w:val="1"/></w:numPr></w:pPr></w:style><w:style w:styleId="H2"><w:name '
    'w:val="heading 2"/><w:basedOn w:val="H1"/></w:style></w:styles>'
)


def docx(body: str) -> bytes:
    parts = {
        "word/numbering.xml": NUMBERING,
        "word/styles.xml": STYLES,
        "word/_rels/document.xml.rels": files.relations(
            {"s": ("styles", "styles.xml"), "n": ("numbering", "numbering.xml")}
        ),
    }
    return files.docx(body, **parts)


def item(text: str, num: int, at: int = 0, mark: str = "") -> str:
    place = f'<w:numPr><w:ilvl w:val="{at}"/><w:numId w:val="{num}"/></w:numPr>'
    return f"<w:p><w:pPr>{place}{mark}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


async def test_headings_of_a_word_document_have_the_numbers_their_style_gives_them() -> None:
    body = "".join(
        files.paragraph(text, style)
        for text, style in (
            ("Scope", "H1"),
            ("Parties", "H2"),
            ("They agree.", ""),
            ("Term", "H2"),
            ("Payment", "H1"),
            ("Dates", "H2"),
        )
    )
    parsed = await parse(docx(body))
    headings = [one.path for page in parsed.pages for one in page.headings or ()]
    assert headings == [
        "1. Scope",
        "1. Scope > 1.1 Parties",
        "1. Scope > 1.2 Term",
        "2. Payment",
        "2. Payment > 2.1 Dates",
    ]


async def test_items_of_a_word_document_count_by_level_and_start_anew_where_told() -> None:
    body = (
        item("Buyer", 2) + item("Seller", 2) + item("at once", 2, 1) + item("later", 2, 1)
        + item("cash", 2, 2) + item("Agent", 2) + item("first again", 2, 1)
        + item("Another", 3) + item("gone", 3, 0, "<w:rPr><w:del/></w:rPr>") + item("list", 3)
        + item("of none", 0) + item("of an unknown one", 9)
    )  # fmt: skip
    assert texts(await parse(docx(body))) == [
        "(a) Buyer\n(b) Seller\ni. at once\nii. later\n- cash\n(c) Agent\ni. first again\n"
        "(a) Another\n\ngone\n(b) list\n\nof none\n\nof an unknown one"
    ]


ODT_STYLES = (
    '<text:list-style style:name="L1"><text:list-level-style-number text:level="1" '
    'style:num-format="1" style:num-suffix="."/><text:list-level-style-number text:level="2" '
    'style:num-format="a" style:num-prefix="(" style:num-suffix=")" text:start-value="2"/>'
    '<text:list-level-style-bullet text:level="3" text:bullet-char="o"/></text:list-style>'
    '<text:outline-style style:name="Outline"><text:outline-level-style text:level="1" '
    'style:num-format="I"/><text:outline-level-style text:level="2" style:num-format="1" '
    'text:display-levels="2"/></text:outline-style>'
)


def odt_list(*items: str, more: str = "") -> str:
    inside = "".join(f"<text:list-item>{item}</text:list-item>" for item in items)
    return f"<text:list {more}>{inside}</text:list>"


def p(text: str) -> str:
    return f"<text:p>{text}</text:p>"


def h(text: str, level: int, more: str = "") -> str:
    return f'<text:h text:outline-level="{level}" {more}>{text}</text:h>'


async def test_headings_and_items_of_an_opendocument_text_have_their_numbers() -> None:
    named = 'text:style-name="L1"'
    body = (
        h("Scope", 1) + h("Parties", 2) + h("Term", 2) + h("Payment", 1) + h("Dates", 2)
        + h("Annex", 1, 'text:is-list-header="true"') + p("Agreed:")
        + odt_list(p("one") + p("still one"), p("two") + odt_list(p("b"), p("c")), more=named)
        + p("Then") + odt_list(p("three"), more=f'{named} text:continue-numbering="true"')
        + odt_list(p("anew") + odt_list(odt_list(p("dot"))), more=named) + odt_list(p("bare"))
    )  # fmt: skip
    assert texts(await parse(files.odt(body, ODT_STYLES))) == [
        "I Scope\n\nI.1 Parties\n\nI.2 Term\n\nII Payment\n\nII.1 Dates\n\nAnnex\n\nAgreed:\n"
        "1. one\nstill one\n2. two\n(b) b\n(c) c\n\nThen\n3. three\n1. anew\n- dot\nbare"
    ]


@pytest.mark.parametrize(
    ("count", "format", "shown"),
    [
        (4, "decimal", "4"), (4, "decimalZero", "04"), (28, "lowerLetter", "bb"),
        (2, "upperLetter", "B"), (1994, "upperRoman", "MCMXCIV"), (9, "lowerRoman", "ix"),
        (1, "chineseCounting", "一"),
        (10, "chineseCounting", "十"), (21, "chineseCounting", "二十一"),
        (3, "none", ""), (3, "unheardOf", "3"),
        (9_999_999, "lowerLetter", "9999999"), (9_999_999, "lowerRoman", "9999999"),
    ],
)  # fmt: skip
def test_numerals(count: int, format: str, shown: str) -> None:
    assert numeral(count, format) == shown
