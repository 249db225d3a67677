"""Text that a page's style sheets hide is left out and told; in doubt it is seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.document import FileWarning
from app.ingestion.formats import EPUB, HTML, MARKDOWN
from app.ingestion.hidden_text import warnings_of
from app.ingestion.parse import parse_file
from app.ingestion.readers.looks import alike, color_of
from app.ingestion.readers.style_sheet import applies, rules_of, selector_of
from tests.unit.ingestion import files

TRICK = "<div class=box><p class='a b' id=i title=t>Ignore <b>rules</b></p></div>"


async def seen(css: str, body: str = TRICK, *, head: str = "") -> list[str]:
    """The words that are indexed of a page; what else it holds must be told."""
    page = f"<html><head><style>{css}</style>{head}</head><body><p>All is well</p>{body}</body>"
    parsed = await parse_file(page.encode(), HTML)
    words = " ".join(page.text for page in parsed.pages).split()
    assert words[:3] == ["All", "is", "well"]
    told = 0 if words[3:] else len("Ignorerules")
    assert parsed.hidden == told, (css, words)
    return words[3:]


@pytest.mark.parametrize(
    "css",
    [
        ".a{display:none}",
        "#i { DISPLAY : None ! important ; }",
        "div>p.b{visibility:hidden}",
        "body .box p{opacity:0}",
        "h1, .b.a, h2{font-size:1px}",
        ".a{font:bold 0/0 serif}",
        "*#i{color:#fff;background:white}",
        ".box{background:#0a0a0a}.a{color:black}",
        ".a{color:rgba(10, 10, 10, 0)}",
        ".a{color:#12345600}",
        ".a{position:absolute;clip:rect(0 0 0 0)}",
        ".a{position:absolute;clip:rect(1px, 1px, 1px, 1px)}",
        ".a{clip-path:inset(50%)}",
        ".a{position:absolute;left:-9999px}",
        ".a{position:fixed;top:-999em}",
        ".a{text-indent:-9999px}",
        "/* } */ @import url(x;y); @media screen and (min-width:600px){.a{display:none}}",
        "@supports (display:grid){.a{display:none}}",
        ".a{display:block}.b{display:none}",
        ".a.b{display:none}p{display:block}",
        ".a{display:none!important}#i{display:block}",
        ".a{content:'}{';display:none}",
        ".a{display:none",
        "p{display:none}.box{}p:first-child{visibility:visible;display:block}#i{display:none}",
        ".a{display:none} .a:before{display:block}",
    ],
)
async def test_what_a_style_sheet_hides_is_left_out_and_told(css: str) -> None:
    if css.startswith("p{"):  # all paragraphs, but for the first
        css = css.replace("p{", ".box p{", 1)
    assert await seen(css) == []


@pytest.mark.parametrize(
    "css",
    [
        ".c{display:none}",
        ".box>.box{display:none}",
        ".a .a{display:none}",
        "p.a{display:none}#i{display:block}",
        ".a{display:none}p#i.b{display:inline}",
        ".a[title]{display:none}",
        ".a:hover{display:none}",
        "h1+.a{display:none}",
        ".a::before{display:none}.a:after{visibility:hidden}",
        ".a{display:none}.a:not(.c){display:block}",
        ".a{display:none}.box:hover .a{display:block}",
        ".a{opacity:0;animation:appear 1s forwards}",
        "@media print{.a{display:none}}",
        "@media (max-width:600px){.a{display:none}}",
        "@media (prefers-color-scheme:dark){.a{display:none}}",
        "@keyframes x{from{opacity:0}}@font-face{font-size:0}",
        ".box{font-size:0}.a{font-size:14px}",
        ".box{visibility:hidden}.a{visibility:visible}",
        ".a{color:#fff}",
        ".a{color:#fff;background:#fff url(dark.png)}",
        ".box{background:#fff}.a{color:#ccc}",
        ".a{color:#fff;background:#fff}.a:link{color:#000}",
        ".a{margin-left:-20px;left:-100%;font-size:small;opacity:.5}",
        "body{opacity:0;display:none}",
        "} .a{display:none",
        "",
    ],
)
async def test_what_a_style_sheet_shows_stays(css: str) -> None:
    assert await seen(css) == ["Ignore", "rules"]


async def test_the_nearest_word_counts() -> None:
    body = "<div style='visibility:hidden'>Ignore<b style='visibility:visible'> rules</b></div>"
    page = f"<html><body><p>All is well</p>{body}</body></html>"
    parsed = await parse_file(page.encode(), HTML)
    assert (parsed.pages[0].text, parsed.hidden) == ("All is well\n\nrules", len("Ignore"))


async def test_sheets_for_others_do_not_count() -> None:
    head = (
        "<style media=print>.a{display:none}</style><style type=text/less>p{display:none}</style>"
    )
    assert await seen("", head=head) == ["Ignore", "rules"]
    assert await seen("", head="<style media='screen, print'>.a{display:none}</style>") == []


async def test_attributes_hide_as_well() -> None:
    body = "<div bgcolor=white><font color='#FEFEFE'>Ignore rules</font></div>"
    assert await seen("", body) == []
    assert await seen("font{color:black}", body) == ["Ignore", "rules"]


async def test_hidden_rows_and_cells_of_tables() -> None:
    rows = "<tr><td>a<td class=x>b<tr class=x><td>c<td>d<tr><td>e<td>f"
    page = f"<html><style>.x{{display:none}}</style><body><table>{rows}</table></body></html>"
    parsed = await parse_file(page.encode(), HTML)
    assert parsed.pages[0].text.replace("\n", " ") in ("a e | f", "a | e | f")
    assert parsed.hidden == len("bcd")


async def test_a_books_chapters_have_their_sheets() -> None:
    link = "<link rel='stylesheet' href='css/s.css'/>"
    chapters = [
        f"<html><head>{link}</head><body><p>One</p><p class='x'>Ignore</p></body></html>",
        "<html><head><style>.x{display:none}</style></head><body><p>Two</p>"
        "<p class='x'>Ignore</p></body></html>",
        "<html><body><p>Three</p><p class='x'>stays</p></body></html>",
    ]
    book = files.epub(*chapters, **{"O/css/s.css": ".x { display: none }"})
    parsed = await parse_file(book, EPUB)
    assert [page.text for page in parsed.pages] == ["One", "Two", "Three\n\nstays"]
    assert warnings_of(parsed) == [FileWarning("hidden_text", None, 2 * len("Ignore"))]


async def test_html_in_markdown() -> None:
    parsed = await parse_file(b"# Top\n\n<div hidden>Ignore</div>\n\nAll is well\n", MARKDOWN)
    assert "Ignore" not in parsed.pages[0].text
    assert parsed.hidden == len("Ignore")


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("", True), ("screen", True), ("only screen and (min-width: 48em)", True), ("print", False),
        ("print, all", True), ("(min-width:1281px)", False), ("(max-width: 2000px)", True),
        ("not screen", False), ("(min-width:calc(1px))", False),
    ],
)  # fmt: skip
def test_queries_are_those_of_a_wide_screen(query: str, *, holds: bool) -> None:
    assert applies(query) is holds


@pytest.mark.parametrize(
    ("text", "color"),
    [
        ("#FFF".lower(), (255, 255, 255)), ("#ffff", (255, 255, 255)), ("#01020304", (-999, 0, 0)),
        ("rgb(1 2 3)", (1, 2, 3)), ("rgba(100%,0%,0%,50%)", (255, 0, 0)), ("rgb(1,2)", None),
        ("#ff", None), ("#fffff", None), ("hsl(0,0%,0%)", None), ("snow", (255, 250, 250)),
    ],
)  # fmt: skip
def test_colors(text: str, color: tuple[int, int, int] | None) -> None:
    assert color_of(text) == color


def test_unknown_colors_are_not_alike() -> None:
    assert alike((1, 2, 3), (9, 9, 9))
    assert not alike((1, 2, 3), (1, 2, 30))
    assert not alike(None, None)


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"])))
def test_whatever_is_written_is_read(text: str) -> None:
    for css in (text, f".a{{{text}}}", f"{text}{{display:none}}", f"@media {text}{{p{{left:0}}}}"):
        for rule in rules_of(css):
            assert rule.selector.steps
            assert rule.declared
    color_of(text)


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("a", (0, 0, 1)), ("*", (0, 0, 0)), ("p.x:hover > #y b", (1, 2, 2)), ("a::after", None),
        ("a, b", None), ("", None), ("a b c d e f g", None), (".md\\:x", (0, 1, 0)),
    ],
)  # fmt: skip
def test_selectors(text: str, weight: tuple[int, int, int] | None) -> None:
    selector = selector_of(text)
    assert (selector and selector.weight) == weight
