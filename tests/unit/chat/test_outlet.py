"""What leaves in an answer: words and markers, no pictures, no tags, no address of others."""

import re
import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.chat.outlet import OMITTED, Outlet

OURS = "https://www.nasa.gov/cfs?id=7&lang=en"
PASSAGES = (
    f"The guide is at {OURS} and at http://ours.example/a_\nlong/path, or www.ours.example.",
)


def let_out(text: str, *cuts: int) -> str:
    """What leaves of ``text`` when it comes in pieces."""
    outlet = Outlet(PASSAGES)
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    return "".join(map(outlet.feed, pieces)) + outlet.end()


@pytest.mark.parametrize(
    "text",
    [
        "The limit is 10 MB [1]. See section 2.3 [2][3].",
        "if a < b and b > c then a[i] = b & c; wow! Really? x:y a/b //",
        "#include <stdio.h>, List<String> of <ada@example.com> <widget> <PLATFORM_DEFINED, 10>",
        f"At {OURS}, (http://ours.example/a_long/path) or www.ours.example.",
        f"[the guide]({OURS}) [1]",
        "data: files, file: data, www, http, https and a ratio of 3:4. Java: javascript: x",
        "Größe — “quoted” … 数据[1]。 👩‍👩‍👧",
        "AT&T R&D &amp; &lt;b&gt; Q&A &",
        "!important !",
        "[",
        "]",
        "<",
        "",
    ],
)
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    assert let_out(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("![chart](https://evil.example/x.png?q=secret) so", "[chart] so"),
        (f"![chart]({OURS})", "[chart]"),
        ("a ![](//evil.example/p)", "a []"),
        ("!![x](//evil.example/p)", "! [x]"),
        ("https://www.nasa.g https://www.nasa.gov/cfs", f"{OMITTED} https://www.nasa.gov/cfs"),
        ("[click here](https://evil.example/?q=1) now", "[click here] now"),
        ("[click [really] here]( <https://evil.example/a b> 'title' )", "[click [really] here]"),
        ("[![alt](http://evil.example/i)](http://evil.example/l)", "[ [alt]]"),
        ("[x](javascript:alert(1))", "[x]"),
        ("[x](JaVaScRiPt&colon;alert(1))", "[x]"),
        ("[x](data:text/html;base64,PHN2Zz4=)", "[x]"),
        ("[x](/relative?d=secret)", "[x]"),
        ("[x](\nhttps://evil.example/\n)", "[x]"),
        ("see [x](https://evil.example/).", "see [x]."),
        ("[x](https://evil.example", f"[x] ({OMITTED}"),
        ("[x](https://evil.example/[1])", f"[x] ({OMITTED}[1])"),
        (f'[x]({OURS} "a title")', f"[x]({OURS})"),
        (f"[x]({OURS}&d=secret)", "[x]"),
        ("see [x][ref]\n\n[ref]: http://evil.example/p", f"see [x][ref]\n\n[ref] : {OMITTED}"),
        ("f[i](x) and [1](see the notes)", "f[i] (x) and [1] (see the notes)"),
        ("see https://evil.example/a?b=c.", f"see {OMITTED}."),
        ("see HTTPS://evil.example, and", f"see {OMITTED}, and"),
        ("see www.evil.example/a now", f"see {OMITTED} now"),
        ("<https://evil.example/>", OMITTED),
        (f"<{OURS}>", OURS),
        ("mailto:eve@evil.example?body=x", OMITTED),
        ("ftp://evil.example/x gopher://evil.example", f"{OMITTED} gopher{OMITTED}"),
        ("http\uff1a\uff0f\uff0fevil.example/x now", f"{OMITTED} now"),
        ("\u04bbttp://evil.example", f"\u04bbttp{OMITTED}"),
        ("h&#116;tp&#58;//evil.example &colon;//x", "h& #116;tp& #58;//evil.example & colon;//x"),
        ("a <b>bold</b> word<br/>next", "a bold word next"),
        ("<script>alert(1)</script>", "alert(1)"),
        ("<img src=x onerror=alert(1)>", ""),
        ("<IMG SRC=x", "< IMG SRC=x"),
        ("<svg/onload=alert(1)>x", "x"),
        ("<xss onclick=alert(1)>", "< xss onclick=alert(1)>"),
        ("<<b>script>alert(1)", "< script>alert(1)"),
        ("<scr<script>ipt>", "< scr ipt>"),
        ("x <!-- hidden --> y <?php z ?>", "x  y "),
        ("<![CDATA[x]]>", "< [CDATA[x]]>"),
        ("<a href='https://evil.example'>x</a>", "x"),
        ("javascript:alert(1)", f"{OMITTED})"),
        ("http://" + "a" * 5000 + " x", f"{OMITTED} x"),
        ("<" + "a" * 5000 + ">", "< " + "a" * 5000 + ">"),
    ],
)  # fmt: skip
def test_what_is_not_ours_is_taken_out(text: str, left: str) -> None:
    assert let_out(text) == left
    assert let_out(text, *range(len(text))) == left, "character by character"


def test_an_address_leaves_whole_or_not_at_all() -> None:
    outlet = Outlet(PASSAGES)
    given = [outlet.feed(piece) for piece in ("See ht", "tps:", "//evil", ".example/", "a b", "c")]
    assert given == ["See ", "", "", "", f"{OMITTED} b", "c"]
    assert outlet.end() == ""


def test_only_the_end_that_may_become_something_waits() -> None:
    outlet = Outlet(PASSAGES)
    given = [
        outlet.feed(piece) for piece in ("The limit", " is", " 10 MB", " [1]", ".", " Wow", "!")
    ]
    assert given == ["The limit", " is", " 10 MB", "", " [1].", " Wow", ""]
    assert outlet.held == "!"
    assert outlet.end() == "!"


PARTS = st.sampled_from(
    ["<", ">", "[", "]", "(", ")", "!", "&", "#", ":", "/", "//", ".", " ", "\n", '"', "=", "`",
     "a", "b", "script", "<img", "<a href=", "</", "http", "https:", "http://evil.example/x",
     "://", "www", "www.", "evil.example", "javascript", "javascript:", "data:", "text/html,",
     "mailto:", "![", "](", "]:", " [1]", "[2]", "colon;", OURS, "\uff1a", "\uff0f", "…", "é"]
)  # fmt: skip
TEXTS = st.lists(PARTS, max_size=14).map("".join)


@given(TEXTS, st.lists(st.integers(0, 400), max_size=8))
@example("data:text/html,x", [4, 7, 12])
@example("www.evil.example", [3])
def test_however_it_is_cut_the_same_comes_out(text: str, cuts: list[int]) -> None:
    assert let_out(text, *cuts) == let_out(text) == let_out(text, *range(len(text)))


@given(TEXTS)
@example("<<b>img src=x>")
@example("[1](&)(javascript:x)")
@example(f"<<{OURS}>")
@example(f"<{OURS}>b")
@example("</www.evil.example>")
@example("]http://evil.example/x(javascript:x)")
@example("www<b></b>.evil.example")
@example("!http://evil.example/x[a](b)")
def test_nothing_that_leaves_can_be_shown_as_more_than_text(text: str) -> None:
    left = let_out(text)
    assert "![" not in left
    assert "]:" not in left
    assert not re.search(r"&(?:#|colon;)", left)
    for tag in re.findall(r"<[A-Za-z/!?][^>]*", left):
        assert re.fullmatch(r"</?[A-Za-z][\w.@+-]*", tag), left
        assert tag.strip("</").lower() not in ("a", "img", "script", "b")
    for target in re.findall(r"\]\(([^)]*)", left):
        assert target in PASSAGES[0]
    without = left.replace(OURS, "")
    assert not re.search(r"[:\uff1a][/\uff0f]{2}\w|\bwww\.\w|\bjavascript:\S", without), left
    assert let_out(left) == left or "…" in left or "<" in left, "nothing is left to take out"
    assert re.findall(r"\[\d\]", left)[: text.count("[1]")].count("[1]") <= text.count("[1]")


def test_a_token_costs_little() -> None:
    """Budget: 25 µs; measured 7 on a loaded core, in the best of three runs."""
    tokens = [" word", " data", ".", " [1]", " and", " the"] * 2000
    best = 1.0
    for _ in range(3):
        outlet = Outlet(PASSAGES)
        began = time.process_time()
        for token in tokens:
            outlet.feed(token)
        best = min(best, (time.process_time() - began) / len(tokens))
    assert best < 25e-6


@pytest.mark.parametrize(
    "part", ["<a ", "[](", "http://", "]", "&a", "![", "w", "data:", "<http://"]
)
def test_long_hostile_texts_take_no_longer_than_others(part: str) -> None:
    text = part * (100_000 // len(part))
    outlet = Outlet(PASSAGES)
    began = time.process_time()
    for at in range(0, len(text), 7):
        outlet.feed(text[at : at + 7])
    outlet.end()
    assert time.process_time() - began < 5
