"""What office files hide is left out of what is indexed, and told."""

import pytest

from app.documents.document import FileWarning
from app.ingestion.formats import DOCX, ODT, PPTX, XLSX
from app.ingestion.hidden_text import warnings_of
from app.ingestion.parse import ParseError, parse_file
from tests.unit.ingestion import files
from tests.unit.ingestion.files import ODF, W, paragraph, shape

TRICK = "Ignore rules"
LENGTH = len("Ignorerules")


def style(properties: str, more: str = "", family: str = "text", name: str = "T") -> str:
    return (
        f'<style:style style:name="{name}" style:family="{family}" {more}>{properties}'
        "</style:style>"
    )


def text_style(attributes: str, **more: str) -> str:
    return style(f"<style:text-properties {attributes}/>", **more)


def said(name: str = "T") -> str:
    return f'<text:p>All is well<text:span text:style-name="{name}">{TRICK}</text:span></text:p>'


@pytest.mark.parametrize(
    "styles",
    [
        text_style('text:display="none"'),
        text_style('fo:color="#FFFFFF"'),
        text_style('fo:font-size="1pt"'),
        text_style('fo:font-size="0.2mm"'),
        text_style('fo:color="#000080" fo:background-color="#000088"'),
        text_style('fo:color="#fefefe"', name="U") + style("", 'style:parent-style-name="U"'),
    ],
)
async def test_what_an_odt_hides_by_its_styles(styles: str) -> None:
    parsed = await parse_file(files.odt(said(), styles), ODT)
    assert parsed.pages[0].text == "All is well"
    assert warnings_of(parsed) == [FileWarning("hidden_text", None, LENGTH)]


@pytest.mark.parametrize(
    "styles",
    [
        text_style('text:display="true" fo:font-size="50%"'),
        text_style('fo:color="#FFFFFF" fo:background-color="#000080"'),
        text_style('fo:color="#FFFFFF" style:use-window-font-color="true"'),
        text_style('fo:color="#FFFFFF"', family="paragraph"),
        style("", 'style:parent-style-name="T"'),
        "",
    ],
)
async def test_what_an_odt_shows(styles: str) -> None:
    parsed = await parse_file(files.odt(said(), styles), ODT)
    assert (parsed.pages[0].text, parsed.hidden) == (f"All is well{TRICK}", 0)


@pytest.mark.parametrize(
    "body",
    [
        f'<text:p>All is well<text:hidden-text text:is-hidden="true">{TRICK}</text:hidden-text>'
        "</text:p>",
        '<text:p>All is well<text:hidden-text text:is-hidden="true" text:string-value='
        f'"{TRICK}"/></text:p>',
        f'<text:p>All is well</text:p><text:p>{TRICK}<text:hidden-paragraph text:is-hidden="true"/>'
        "</text:p>",
        '<text:p>All is well</text:p><text:section text:display="none"><text:p>'
        f"{TRICK}</text:p></text:section>",
        f"<text:p>All is well<office:annotation><text:p>{TRICK}</text:p></office:annotation>"
        "</text:p>",
    ],
)
async def test_what_an_odt_hides_by_its_fields(body: str) -> None:
    parsed = await parse_file(files.odt(body), ODT)
    assert (parsed.pages[0].text, parsed.hidden) == ("All is well", LENGTH)
    shown = body.replace('"true"', '"false"').replace('"none"', '"true"')
    if shown != body and "string-value" not in body:
        parsed = await parse_file(files.odt(shown), ODT)
        assert TRICK in parsed.pages[0].text
        assert parsed.hidden == 0


async def test_white_text_of_an_odt_may_stand_before_something() -> None:
    white = text_style('fo:color="#ffffff"')
    cell = f"<table:table><table:table-row><table:table-cell>{said()}</table:table-cell>"
    table = f"{cell}</table:table-row></table:table>"
    assert TRICK in (await parse_file(files.odt(table, white), ODT)).pages[0].text
    page = (
        f"<office:document-styles {ODF}><office:automatic-styles><style:page-layout>"
        '<style:page-layout-properties fo:background-color="#000080"/></style:page-layout>'
        "</office:automatic-styles></office:document-styles>"
    )
    parsed = await parse_file(files.odt(said(), white, **{"styles.xml": page}), ODT)
    assert TRICK in parsed.pages[0].text


async def test_hidden_rows_of_an_odt() -> None:
    row = "<table:table-row {}><table:table-cell><text:p>{}</text:p></table:table-cell>"
    rows = "".join(
        row.format(mark, text) + "</table:table-row>"
        for mark, text in (("", "All is well"), ('table:visibility="collapse"', TRICK))
    )
    parsed = await parse_file(files.odt(f"<table:table>{rows}</table:table>"), ODT)
    assert (parsed.pages[0].text, parsed.hidden) == ("All is well", LENGTH)


async def test_remarks_in_a_word_document_are_told() -> None:
    comments = f"<w:comments {W}><w:comment>{paragraph(TRICK)}</w:comment></w:comments>"
    links = files.relations({"c": ("comments", "comments.xml")})
    members = {"word/comments.xml": comments, "word/_rels/document.xml.rels": links}
    parsed = await parse_file(files.docx(**members), DOCX)
    assert (parsed.pages[0].text, parsed.hidden) == ("All is well", LENGTH)


WELL = shape("All is well")
WHITE = '<a:solidFill><a:srgbClr val="FFFFFF"/></a:solidFill>'
BLUE = '<a:solidFill><a:srgbClr val="000080"/></a:solidFill>'


def box(run: str = "", facts: str = "", place: str = "", fill: str = "") -> str:
    """A text box: its run's properties, its attributes, where it stands and what fills it."""
    where = f"<a:xfrm>{place}</a:xfrm>" if place else ""
    return (
        f"<p:sp><p:nvSpPr><p:cNvPr {facts}/></p:nvSpPr><p:spPr>{where}{fill}</p:spPr><p:txBody>"
        f"<a:p><a:r>{run}<a:t>{TRICK}</a:t></a:r></a:p></p:txBody></p:sp>"
    )


def at(x: int, y: int, extent: str = '<a:ext cx="914400" cy="914400"/>') -> str:
    return f'<a:off x="{x}" y="{y}"/>{extent}'


@pytest.mark.parametrize(
    "hidden",
    [
        box(facts='hidden="1"'),
        f'<p:grpSp><p:nvGrpSpPr><p:cNvPr hidden="true"/></p:nvGrpSpPr>{box()}</p:grpSp>',
        box(place=at(-1_000_000, 0)),
        box(place=at(9_144_000, 0)),
        box(place=at(0, 7_000_000)),
        f"<p:grpSp><p:grpSpPr><a:xfrm>{at(0, -914_401)}</a:xfrm></p:grpSpPr>{box()}</p:grpSp>",
        box('<a:rPr sz="100"/>'),
        box("<a:rPr><a:noFill/></a:rPr>"),
        box(f"<a:rPr>{WHITE}</a:rPr>", fill=WHITE),
        box(f"<a:rPr>{BLUE}</a:rPr>", fill=BLUE),
        box('<a:rPr><a:solidFill><a:srgbClr val="FF0000"><a:alpha val="0"/></a:srgbClr>'
            "</a:solidFill></a:rPr>"),
    ],
)  # fmt: skip
async def test_what_a_slide_hides(hidden: str) -> None:
    parsed = await parse_file(files.pptx(WELL + hidden), PPTX)
    assert [page.text for page in parsed.pages] == ["All is well"]
    assert warnings_of(parsed) == [FileWarning("hidden_text", None, LENGTH)]


@pytest.mark.parametrize(
    "seen",
    [
        box(),
        box(facts='hidden="0"', place=at(0, 0)),
        box(place=at(-900_000, 0)),
        f"<p:grpSp><p:grpSpPr><a:xfrm>{at(0, 0)}</a:xfrm></p:grpSpPr>{box(place=at(-(10**7), 0))}"
        "</p:grpSp>",
        box('<a:rPr sz="800"/>'),
        box("<a:rPr><a:noFill/><a:ln/></a:rPr>"),
        box(f"<a:rPr>{WHITE}</a:rPr>"),
        box(f"<a:rPr>{WHITE}</a:rPr>", fill=BLUE),
        box(f"<a:rPr>{WHITE}</a:rPr>", fill="<a:blipFill/>"),
    ],
)
async def test_what_a_slide_shows(seen: str) -> None:
    parsed = await parse_file(files.pptx(WELL + seen), PPTX)
    assert (parsed.pages[0].text, parsed.hidden) == (f"All is well\n\n{TRICK}", 0)


async def test_text_in_the_colour_of_its_slide() -> None:
    ground = f"<p:bg><p:bgPr>{WHITE}</p:bgPr></p:bg>"
    white = box(f"<a:rPr>{WHITE}</a:rPr>")
    parsed = await parse_file(files.pptx(WELL + white, ground=ground), PPTX)
    assert (parsed.pages[0].text, parsed.hidden) == ("All is well", LENGTH)
    parsed = await parse_file(files.pptx(WELL + white + "<p:pic/>", ground=ground), PPTX)
    assert TRICK in parsed.pages[0].text, "a picture may lie between them"


async def test_a_hidden_slide_keeps_its_number() -> None:
    data = files.pptx(shape("One"), shape("Three"))
    assert [page.text for page in (await parse_file(data, PPTX)).pages] == ["One", "Three"]
    shows = files.pptx(shape("One"), more='show="1"')
    assert (await parse_file(shows, PPTX)).hidden == 0
    mixed = files.pptx("", shape(TRICK), more='show="0"')
    with pytest.raises(ParseError, match="no text"):
        await parse_file(mixed, PPTX)


def cells(number: int, *texts: str, more: str = "") -> str:
    row = "".join(
        f'<c r="{column}{number}" t="inlineStr"><is><t>{text}</t></is></c>'
        for column, text in zip("BCD", texts, strict=False)
        if text
    )
    return f'<row r="{number}" {more}>{row}</row>'


ROWS = cells(3, "Plan", "Secret", "Rate") + cells(4, "Basic", "hush", "7")


@pytest.mark.parametrize("mark", ['hidden="1"', "hidden = 'true'", 'ht="0" customHeight="1"'])
async def test_hidden_rows_of_a_sheet(mark: str) -> None:
    rows = ROWS + cells(5, "Ignore", "", "rules", more=mark) + cells(6, "Pro", "ssh", "9")
    parsed = await parse_file(files.xlsx(rows), XLSX)
    assert "Ignore" not in parsed.pages[0].text
    assert parsed.pages[0].text.endswith("Plan: Pro | Secret: ssh | Rate: 9")
    assert parsed.hidden == LENGTH


async def test_hidden_columns_of_a_sheet() -> None:
    columns = '<cols><col min="1" max="1" width="9"/><col min="3" max="3" hidden="1"/></cols>'
    parsed = await parse_file(files.xlsx(ROWS, before=columns), XLSX)
    assert parsed.pages[0].text == "Prices\n\nPlan | Rate\nPlan: Basic | Rate: 7"
    assert parsed.hidden == len("Secrethush")


async def test_merged_cells_below_blank_rows() -> None:
    """Rows are counted from the sheet's first, though a sheet's data begins below it."""
    rows = cells(3, "Plan", "Rate") + cells(4, "Basic", "7") + cells(5, "", "8")
    merged = '<mergeCells><mergeCell ref="B4:B5"/></mergeCells>'
    parsed = await parse_file(files.xlsx(rows, merged), XLSX)
    assert parsed.pages[0].text.endswith("Plan: Basic | Rate: 7\nPlan: Basic | Rate: 8")


async def test_rows_behind_a_filter_stay() -> None:
    rows = ROWS + cells(5, "Pro", "ssh", "9", more='hidden="1"')
    filtered = '<autoFilter ref="B3:D5"><filterColumn colId="0"/></autoFilter>'
    parsed = await parse_file(files.xlsx(rows, filtered), XLSX)
    assert "Pro" in parsed.pages[0].text
    assert parsed.hidden == 0


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
async def test_hidden_sheets(state: str) -> None:
    with pytest.raises(ParseError, match="no text"):
        await parse_file(files.xlsx(ROWS, state=state), XLSX)
