"""What each format becomes: pages, headings with their path, tables as findable rows."""

from importlib import import_module

import pytest

from app.ingestion.chunk import chunk_pages
from app.ingestion.formats import (
    CSV,
    DOCX,
    EPUB,
    HTML,
    LOCKED,
    MARKDOWN,
    ODT,
    PDF,
    PNG,
    PPTX,
    TEXT,
    XLSX,
    Format,
    detect,
)  # fmt: skip
from app.ingestion.page import ParsedFile
from app.ingestion.parse import ParseError, ParseLimits, parse_file
from app.ingestion.reader_child import SECTION, frames
from tests.unit.ingestion import files
from tests.unit.ingestion.files import paragraph, row, shape

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


LIMITS = ParseLimits()
SETTINGS = {
    "max_pages": LIMITS.max_pages,
    "max_text_bytes": LIMITS.max_text_bytes,
    "max_entries": LIMITS.max_entries,
    "max_unpacked_bytes": LIMITS.max_unpacked_bytes,
}


async def parse(data: bytes, name: str = "") -> ParsedFile:
    """What the confined process makes of a file, which is what its code makes of it here.

    The process may not write down which of its lines ran, so that is seen here too.
    """
    kind = detect(data, name)
    parsed = await parse_file(data, kind)
    assert kind is not None
    assert [page.text for page in parsed.pages] == read_here(kind, data)
    return parsed


def read_here(kind: Format, data: bytes) -> list[str]:
    """The text of every page."""
    read = import_module(f"app.ingestion.readers.{kind.name}").read
    sections = (payload for tag, payload in frames(read, data, SETTINGS) if tag == b"S")
    return [
        payload[SECTION.size : SECTION.size + SECTION.unpack_from(payload)[0]].decode()
        for payload in sections
    ]


def texts(parsed: ParsedFile) -> list[str]:
    return [page.text for page in parsed.pages]


@pytest.mark.parametrize(
    ("data", "name", "format"),
    [
        (b"%PDF-1.7", "", PDF), (b"\x89PNG\r\n\x1a\n", "x.txt", PNG), (files.docx(), "x.pdf", DOCX),
        (files.pptx(), "", PPTX), (files.xlsx(""), "", XLSX), (files.odt(""), "", ODT),
        (files.epub(), "", EPUB), (b"<!DOCTYPE html><p>x", "x.txt", HTML), (b"<p>x", "", HTML),
        (b"<p>x", "x.md", MARKDOWN), (b"a,b\n1,2\n", "x.csv", CSV), (b"# Top\n", "", MARKDOWN),
        (b"a,b\n1,2\n3,4\n5,6\n", "", CSV), (b"plain", "", TEXT),
        ("caf\xe9".encode("cp1252"), "", TEXT), (b"line\x0bline", "", TEXT),
        ("\ufeffhi".encode("utf-16-le"), "", TEXT), ("hi all".encode("utf-16-le"), "", TEXT),
        ("\u65e5 \u672c\n".encode("utf-16-be"), "", TEXT), (b"\0\1\0\2" * 9, "x.txt", None),
        (b"MZ\0\1\2", "x.txt", None), (b"", "", None),
        (OLE + b"WordDocument", "", None), (files.archive({"a": "b"}), "x.docx", None),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "", LOCKED), (b"{\\rtf1", "", None),
        (files.odt("").replace(b"opendocument.text", b"opendocument.spreadsheet"), "", None),
    ],
)  # fmt: skip
def test_the_bytes_say_what_a_file_is(data: bytes, name: str, format: Format | None) -> None:
    assert detect(data, name) == format


async def test_docx_reads_in_order_under_its_headings() -> None:
    body = (
        paragraph("Benefits", "H1") + paragraph("Intro") + paragraph("Leave", "H2")
        + '<w:p><w:r><w:t>Thirty </w:t></w:r><w:ins><w:r><w:t>paid</w:t></w:r></w:ins><w:del><w:r>'
        "<w:t>no</w:t></w:r></w:del><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>"
        '<w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
        + "<w:tbl>" + row("Plan", "Price") + row("Basic", "10 EUR") + "</w:tbl>"
    )  # fmt: skip
    note = f'<w:footnote w:id="2">{paragraph("Except May")}</w:footnote>'
    notes = f"<w:footnotes {files.W}>{note}</w:footnotes>"
    parsed = await parse(files.docx(body, **{"word/footnotes.xml": notes}))
    assert texts(parsed) == [
        "Benefits\n\nIntro",
        "Leave\n\nThirty paid\n\nExcept May\n\nPlan | Price\nPlan: Basic | Price: 10 EUR",
    ]
    assert [chunk.heading for chunk in chunk_pages(parsed.pages)] == [
        "Benefits",
        "Benefits > Leave",
    ]
    assert parsed.pages[1].words.shape == (0, 6)


def bold(text: str, mark: str = "<w:b/>") -> str:
    return f"<w:p><w:r><w:rPr>{mark}</w:rPr><w:t>{text}</w:t></w:r></w:p>"


async def test_a_docx_without_headings_has_those_that_look_like_some() -> None:
    rest = paragraph("Trains are second class.") + paragraph("Keep the receipts.")
    body = (
        bold("Travel expenses") + rest + bold("Not this one.") + rest + bold("Nor") + bold("these")
        + rest + bold("Not bold", '<w:b w:val="0"/>') + rest + bold("Leave") + rest + bold("Last")
    )  # fmt: skip
    headings = [
        [one.path for one in page.headings or ()] for page in (await parse(files.docx(body))).pages
    ]
    assert headings == [["Travel expenses"], ["these"], ["Leave"]]
    marked = await parse(files.docx(paragraph("Benefits", "H1") + body))
    assert {one.path for page in marked.pages for one in page.headings or ()} == {"Benefits"}
    [loud] = (await parse(files.docx(bold("Title") + rest + bold("All") + bold("bold")))).pages
    assert loud.headings == ()


async def test_a_slide_is_a_page_and_a_blank_one_counts() -> None:
    parsed = await parse(files.pptx(shape("Text") + shape("Title", "title"), "", shape("End")))
    assert texts(parsed) == ["Title\n\nText", "", "End"]


def chart(name: str, values: str, percent: str = "General") -> str:
    def cache(values: str) -> str:
        points = enumerate(values.split())
        return "".join(f'<c:pt idx="{n}"><c:v>{text}</c:v></c:pt>' for n, text in points)

    return (
        f"<c:ser><c:tx><c:strRef><c:strCache>{cache(name)}</c:strCache></c:strRef></c:tx>"
        f"<c:cat><c:strRef><c:strCache>{cache('East West')}</c:strCache></c:strRef></c:cat><c:val>"
        f"<c:numRef><c:numCache><c:formatCode>{percent}</c:formatCode>{cache(values)}</c:numCache>"
        "</c:numRef></c:val></c:ser>"
    )


CHART = (
    f'<c:chartSpace xmlns:c="urn:c" {files.A}><c:chart><c:title><c:tx><a:t>Sales by</a:t><a:t>'
    f"region</a:t></c:tx></c:title><c:plotArea><c:barChart>{chart('2023', '19.2 21.4')}"
    f"{chart('growth', '0.07 0.1', '0%')}</c:barChart></c:plotArea></c:chart></c:chartSpace>"
)
CHART_TEXT = (
    "Sales by region\n\n2023 | growth\nEast | 2023: 19.2 | growth: 7%\n"
    "West | 2023: 21.4 | growth: 10%"
)
SHOWS_CHART = f'<c:chart xmlns:c="urn:c" xmlns:r="{files.REL}" r:id="rc"/>'


async def test_charts_of_slides_and_documents_are_read_as_tables() -> None:
    frame = f"<p:graphicFrame>{SHOWS_CHART}</p:graphicFrame>"
    hidden = '<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr hidden="1"/></p:nvGraphicFramePr>'
    links = files.relations({"rc": ("chart", "../charts/chart1.xml")})
    slides = files.pptx(
        shape("Figures", "title") + frame,
        f"{hidden}{SHOWS_CHART}</p:graphicFrame>{shape('Nothing else')}",
        **{
            "ppt/charts/chart1.xml": CHART,
            "ppt/slides/_rels/slide0.xml.rels": links,
            "ppt/slides/_rels/slide1.xml.rels": links,
        },
    )
    assert texts(await parse(slides)) == [f"Figures\n\n{CHART_TEXT}", "Nothing else"]
    parts = {
        "word/charts/chart1.xml": CHART,
        "word/_rels/document.xml.rels": files.relations({"rc": ("chart", "charts/chart1.xml")}),
    }
    body = f"<w:p><w:r><w:t>See:</w:t><w:drawing>{SHOWS_CHART}</w:drawing></w:r></w:p>"
    assert texts(await parse(files.docx(body, **parts))) == [f"See:\n\n{CHART_TEXT}"]


async def test_a_sheets_values_are_shown_ones() -> None:
    rows = (
        '<row r="1"><c r="A1" t="inlineStr"><is><t>Plan</t></is></c><c r="B1" t="inlineStr"><is>'
        '<t>Rate</t></is></c><c r="C1" t="inlineStr"><is><t>Since</t></is></c></row>'
        '<row r="2"><c r="A2" t="inlineStr"><is><t>Basic</t></is></c><c r="B2">'
        "<v>0.30000000000000004"
        '</v></c><c r="C2" s="1"><v>45658</v></c></row><row r="3"><c r="B3"><v>7</v></c></row>'
    )
    merged = '<mergeCells><mergeCell ref="A2:A3"/></mergeCells>'
    parsed = await parse(files.xlsx(rows, merged))
    assert texts(parsed) == [
        "Prices\n\nPlan | Rate | Since\nPlan: Basic | Rate: 0.3 | Since: 2025-01-01\n"
        "Plan: Basic | Rate: 7"
    ]
    assert chunk_pages(parsed.pages)[0].heading == "Prices"


@pytest.mark.parametrize(
    ("table", "last"),
    [
        ("Item,,Oslo,,Bergen,\nSKU,Name,Here,Due,Here,Due\nW1,Jack,14,5,9,4\n",
         "Item SKU: W1 | Item Name: Jack | Oslo Here: 14 | Oslo Due: 5 | Bergen Here: 9"
         " | Bergen Due: 4"),
        ("Ticket,,,Work,\nNo,Opened,Title,Agent,Hours\nT1,2026-03-02,Fan,Rosa,2\n",
         "Ticket No: T1 | Ticket Opened: 2026-03-02 | Ticket Title: Fan | Work Agent: Rosa"
         " | Work Hours: 2"),
        # A figure in the second row makes it data.
        ("Staff,,Home,\nAnn,Lee,Oslo,4\nBob,Ray,Rome,5\n", "Bob | Ray | Rome | 5"),
        ("Price list,,,\nPlan,Rate,Since,Until\nBasic,7,2025,2026\n",
         "Plan: Basic | Rate: 7 | Since: 2025 | Until: 2026"),
    ],
)  # fmt: skip
async def test_a_row_of_groups_stands_above_the_names_of_columns(table: str, last: str) -> None:
    [text] = texts(await parse(table.encode(), "a.csv"))
    assert text.splitlines()[-1] == last


async def test_what_is_written_in_shapes_on_a_sheet_is_read() -> None:
    rows = '<row r="1"><c r="A1" t="inlineStr"><is><t>Plan</t></is></c></row>'
    box = "<p:twoCellAnchor><p:from/><p:sp><p:nvSpPr><p:cNvPr id='2' name='x' {more}/></p:nvSpPr>"
    said = "<p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp></p:twoCellAnchor>"
    shapes = [
        (box + said).format(more=more, text=text)
        for more, text in (("", "Prices hold until May."), ("hidden='1'", "Margin is 40 %."))
    ]
    root = f"<p:wsDr {files.P}>{''.join(shapes)}</p:wsDr>"
    rels = files.relations({"d": ("drawing", "../drawings/drawing1.xml")})
    parts = {
        "xl/drawings/drawing1.xml": root,
        "xl/worksheets/_rels/sheet1.xml.rels": rels,
    }
    parsed = await parse(files.xlsx(rows, **parts))
    assert texts(parsed) == ["Prices\n\nPlan\n\nPrices hold until May."]


async def test_percentages_of_a_sheet_are_read_as_such() -> None:
    styles = (
        f'<styleSheet {files.X}><numFmts><numFmt numFmtId="164" formatCode="0.0%"/><numFmt '
        'numFmtId="165" formatCode="0.0&quot;%&quot;"/></numFmts><cellXfs><xf numFmtId="0"/>'
        '<xf numFmtId="9"/><xf numFmtId="164"/><xf numFmtId="165"/></cellXfs></styleSheet>'
    )
    rows = (
        '<row r="2"><c r="B2" t="inlineStr"><is><t>Kind</t></is></c><c r="C2" t="inlineStr"><is>'
        '<t>Rate</t></is></c></row><row r="3"><c r="B3" t="inlineStr"><is><t>built in</t></is></c>'
        '<c r="C3" s="1"><v>0.15</v></c></row><row r="4"><c r="B4" t="inlineStr"><is><t>custom'
        '</t></is></c><c s="2" r="C4"><v>7.4999999999999997E-2</v></c></row><row r="5"><c r="B5" '
        't="inlineStr" s="1"><is><t>said only</t></is></c><c r="C5" s="3"><v>12.5</v></c></row>'
    )
    parsed = await parse(files.xlsx(rows, **{"xl/styles.xml": styles}))
    assert texts(parsed) == [
        "Prices\n\nKind | Rate\nKind: built in | Rate: 15%\nKind: custom | Rate: 7.5%\n"
        "Kind: said only | Rate: 12.5"
    ]


async def test_html_leaves_out_what_nobody_reads() -> None:
    page = (
        "<html><head><title>Guide</title><style>x</style></head><body><nav>Home</nav><h1>Top</h1>"
        "<p>One <b>two</b> three</p><ul><li>a<li>b</ul><script>bad()</script>"
        "<table><tr><th>Plan<th>Seats<tr><td rowspan=2>Basic<td>5<tr><td>6</table>tail"
        "</body></html>"
    )
    parsed = await parse(page.encode())
    assert parsed.title == "Guide"
    assert texts(parsed) == [
        "Top\n\nOne two three\n- a\n- b\n\nPlan | Seats\nPlan: Basic | Seats: 5\n"
        "Plan: Basic | Seats: 6\n\ntail"
    ]


async def test_html_reads_what_stands_above_a_table_and_no_permalink_signs() -> None:
    page = (
        '<h1>Set up<a href="#set-up" title="Permalink">\xb6</a></h1><table><caption>All <b>options'
        "</b></caption><tr><th>Name<th>Port</tr><tr><td>web<td>80</tr></table>"
        '<h2>Notes <a href="x.html#notes">#</a></h2><p>As said<a href="#n1">*</a>.</p>'
    )
    parsed = await parse(page.encode())
    assert texts(parsed) == [
        "Set up\n\nAll options\n\nName | Port\nName: web | Port: 80",
        "Notes\n\nAs said*.",
    ]


async def test_html_counts_as_its_lists_say_and_reads_a_formula_once_in_its_line() -> None:
    page = (
        '<ol type="a" start="2"><li>two<li>three<li value="9">nine</ol><ol type="I"><li>one</ol>'
        "<p>So <math><semantics><mrow><mi>x</mi><mo>=</mo><mfrac><mn>1</mn><mn>2</mn></mfrac>"
        '</mrow><annotation encoding="application/x-tex">x=\\frac12</annotation></semantics></math>'
        " holds.</p>"
    )
    assert texts(await parse(page.encode())) == [
        "b. two\nc. three\ni. nine\nI. one\n\nSo x=1/2 holds."
    ]


async def test_csv_does_as_its_first_line_says() -> None:
    parsed = await parse(b"SEP=;\r\nName;Price\r\nTea, green;3,50\r\n", "prices.csv")
    assert texts(parsed) == ["Name | Price\nName: Tea, green | Price: 3,50"]


async def test_markdown_loses_its_marks_only() -> None:
    source = (
        "# Top\n\nSome *text* `x` ![pic](u)\n\n1. a\n2. b\n\n| Plan | Seats |\n|-|-|\n| B | 5 |\n"
    )
    parsed = await parse(source.encode(), "x.md")
    assert parsed.title == "Top"
    assert texts(parsed) == [
        "Top\n\nSome text x pic\n1. a\n2. b\n\nPlan | Seats\nPlan: B | Seats: 5"
    ]


async def test_odt_epub_csv_and_text() -> None:
    body = '<text:h text:outline-level="1">A</text:h><text:p>one<text:s/>two</text:p>'
    assert texts(await parse(files.odt(body))) == ["A\n\none two"]
    book = await parse(
        files.epub("<html><body><p>I</p></body></html>", "<html><p>II&nbsp;x</html>")
    )
    assert texts(book) == ["I", "II x"]
    assert texts(await parse(b"Plan;Seats\nBasic;5\n", "x.csv")) == [
        "Plan | Seats\nPlan: Basic | Seats: 5"
    ]
    greek = "\u0397 \u03c4\u03b9\u03bc\u03ae \u03b5\u03af\u03bd\u03b1\u03b9"
    assert texts(await parse(("\ufeff" + greek).encode("utf-16-le"))) == [greek]
    assert texts(await parse("caf\xe9 cr\xe8me, tr\xe8s bon".encode("cp1252"))) == [
        "caf\xe9 cr\xe8me, tr\xe8s bon"
    ]


async def test_a_log_is_read_without_its_colours() -> None:
    parsed = await parse(b"\x1b[1;32mINFO\x1b[0m port\x1b[K 9191\n", "x.log")
    assert texts(parsed) == ["INFO port 9191"]


async def test_an_edit_changes_the_page_of_its_section_only() -> None:
    sections = [f"# S{n}\n\n" + f"Sentence {n}. " * 700 + "\n\n" for n in range(4)]
    before = await parse("".join(sections).encode(), "x.md")
    sections[1] = sections[1].replace("Sentence 1. ", "Changed. ", 1)
    after = await parse("".join(sections).encode(), "x.md")
    kept = {page.sha256 for page in before.pages} & {page.sha256 for page in after.pages}
    assert len(kept) >= len(before.pages) - 2
    assert max(len(page.text) for page in before.pages) <= 6_000


async def test_a_row_that_fits_is_not_parted() -> None:
    rows = "".join(f"Item {n},{'word. ' * 60}\n" for n in range(12))
    parsed = await parse(f"Name,Text\n{rows}".encode(), "x.csv")
    for chunk in chunk_pages(parsed.pages):
        assert chunk.text.startswith("Name")


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [(b" \n", "x.txt", "empty_file"), (b"MZ\0\0", "", "unsupported_format"),
     (OLE + "EncryptedPackage".encode("utf-16-le"), "", "encrypted"),
     (b"<html></html>", "", "no_text"), (files.docx()[:300], "x.docx", "unsupported_format"),
     (files.archive({"word/document.xml": "<a"}), "", "damaged")],
)  # fmt: skip
async def test_reasons(data: bytes, name: str, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        await parse(data, name)
    assert caught.value.reason == reason


async def test_text_limit() -> None:
    with pytest.raises(ParseError, match="too much text"):
        await parse_file(b"word " * 1000, TEXT, limits=ParseLimits(max_text_bytes=1000))
