"""Strangers' text stays text: checked with a CommonMark parser and against Streamlit's rewrites."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from streamlit_app import prose
from tests.unit.streamlit_app.canned import HOSTILE_TEXT, RESET_PAGE, RESET_QUOTE

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
PLAIN_TOKENS = {"paragraph_open", "paragraph_close", "inline", "text", "text_special", "hardbreak"}
ANSWER_TOKENS = PLAIN_TOKENS | {
    *("strong_open", "strong_close", "code_inline", "fence", "softbreak"),
    *("bullet_list_open", "bullet_list_close", "ordered_list_open", "ordered_list_close"),
    *("list_item_open", "list_item_close"),
}
#: What reverses the text behind it.
TURNING = "[\u202a-\u202e\u2066-\u2069]"
#: What Streamlit does to finished text: addresses become links, names emoji, arrows symbols.
REWRITES = re.compile(
    r"https?://|www\.|mailto:\S|[-.\w+]+@[-\w]+\.|:[\w+-]+:|:material|:streamlit|<->|->|<-|--|>=|<=|~=",
    re.IGNORECASE,
)
#: Text rich in what means something to Markdown.
SPICY = st.lists(
    st.one_of(
        st.sampled_from(list("\\`*_{}[]()#+-.!|<>~=$:@&;\"' \t\r\n\x00\x0c\u2028/0a1")),
        st.sampled_from(
            [
                *("http://a.b", "www.a.b", "a@b.cd", ":smile:", ":red[x]", "![i](u)", "<b>"),
                *("\n\n", "    ", "```", "**", "1. ", "- ", "# ", "> ", "[1]", "$$", "|-|", "->"),
                "&amp;",
            ]
        ),
        st.text(max_size=4),
    ),
    max_size=25,
).map("".join)

#: A busy machine is no bug.
relaxed = settings(deadline=None)


def leaves(markdown: str) -> list[Token]:
    found: list[Token] = []
    for token in PARSER.parse(markdown):
        found += [token, *(token.children or [])]
    return found


def shown(markdown: str) -> str:
    """What a reader sees, joiners and the kind of white space aside."""
    pieces = [
        "\n" if t.type == "hardbreak" else t.content for t in leaves(markdown) if t.type != "inline"
    ]
    return squeezed("".join(pieces).replace(prose.WORD_JOINER, ""))


def squeezed(text: str) -> str:
    text = re.sub(TURNING, "", text)
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).split())


@relaxed
@given(SPICY)
@example(HOSTILE_TEXT)
@example("ends with a backslash\\")
@example("\\\n\\")
@example("\n\n a\n\n\n  b \n")
@example("[x]: http://a.b\n\n[x]")
def test_plain_shows_the_text_and_nothing_else(text: str) -> None:
    markdown = prose.plain(text)
    assert {token.type for token in leaves(markdown)} <= PLAIN_TOKENS
    assert shown(markdown) == squeezed(text.replace(prose.WORD_JOINER, ""))


@relaxed
@given(SPICY)
@example(HOSTILE_TEXT)
@example("HTTPS://A.B WwW.a.b")
def test_nothing_is_left_for_streamlit_to_rewrite(text: str) -> None:
    for markdown in (prose.plain(text), prose.answer(text.replace("`", ""), {1})):
        for token in leaves(markdown):
            if token.type in ("text", "text_special"):
                assert not REWRITES.search(token.content.replace(":primary", ""))


def test_nothing_turns_the_text_behind_it() -> None:
    text = "\u202eגdm.exe\u2067 `a\u202db`\n```\nx\u202ey\n```"
    assert not re.search(TURNING, prose.plain(text) + prose.answer(text, ()))


@relaxed
@given(SPICY)
def test_every_sign_is_escaped(text: str) -> None:
    assert not re.search(
        r"(?<!\\)[!-/:-@\[-`{-~]", re.sub(r"\\.", "", prose.plain(text)).replace("\\\n", "")
    )


@relaxed
@given(SPICY, st.integers(-3, 60), st.integers(-3, 60))
def test_highlighting_changes_only_the_colour(text: str, start: int, end: int) -> None:
    marked = prose.highlighted(text, start, end)
    directive = r"(\\.)|:orange-background\[((?:\\.|[^\]\\])*)\]"
    bare = re.sub(directive, lambda match: match[1] or match[2], marked)
    assert shown(bare) == shown(prose.plain(text))


def test_highlight_covers_exactly_the_quote_line_by_line() -> None:
    start = RESET_PAGE.index(RESET_QUOTE)
    marked = prose.highlighted(RESET_PAGE, start, start + len(RESET_QUOTE))
    pieces = re.findall(r"(?<!\\):orange-background\[(.*)\]", marked)
    assert [shown(piece) for piece in pieces] == RESET_QUOTE.splitlines()


@relaxed
@given(SPICY)
@example(HOSTILE_TEXT)
@example("**a** `b` [1]\n- x\n```\n[a](b)\n````\n```")
def test_an_answer_holds_only_harmless_formatting(text: str) -> None:
    assert {token.type for token in leaves(prose.answer(text, {1}))} <= ANSWER_TOKENS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ten [1].", r"Ten :primary[**\[1\]**]\."),
        ("Ten [2].", r"Ten \[2\]\."),
        ("## Head\ntext", "**Head**\n\ntext"),
        ("one\ntwo\n\nthree", "one\\\ntwo\n\nthree"),
        ("do\n- a\n* b\n1) c", "do\n\n- a\n- b\n1. c"),
        ("**bold** `x*y`", "**bold** `x*y`"),
        ("```sh\nls | wc\n```", "```\nls | wc\n```"),
        ("```\na ``` b", "````\na ``` b\n````"),
        ("", ""),
    ],
)
def test_answer_formatting(text: str, expected: str) -> None:
    assert prose.answer(text, {1}) == expected
