"""Quotes are exact, markers count from 1, and nothing a model says can break either."""

import re
import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.chat.citations import Citer
from app.llm.markers import GIVEN
from tests.fakes import passage
from tests.unit.chat.citing import cite

TEXT = (
    "2 Limits\n\nThe limit is 10 MB. Larger files are refused\nwith a clear reason. "
    "Contact Ada, e.g. by mail.\n\nThe queue holds five jobs."
)
#: Text in which everything the code looks for is frequent.
odd = st.text(st.sampled_from("aB1.!? \n\t\xa0[]()*+\\é字\u0301\u2028\U0001f600"), max_size=120)
said = st.lists(
    st.one_of(
        odd, st.sampled_from(["[1]", "[2]", " [3]", "[0]", "[999]", "[1][2]", "[", "]", "1]", "[1"])
    ),
    max_size=12,
).map("".join)


@given(said, st.lists(odd.filter(str.strip), min_size=0, max_size=3))
@example("[[9]1]", ["a"])
@example("[1[9]]", ["a"])
@example("[[9][9]1]", ["a"])
def test_whatever_is_said_quotes_are_exact_and_markers_count(answer: str, texts: list[str]) -> None:
    passages = [passage(text, start=7 * n, page=n) for n, text in enumerate(texts, 1)]
    text, citations = cite(answer, passages)
    for citation in citations:
        cited = passages[citation.page - 1]
        assert (
            citation.quote == cited.text[citation.start - cited.start : citation.end - cited.start]
        )
        assert citation.quote == citation.quote.strip()
        assert citation.quote
    assert [citation.marker for citation in citations] == list(range(1, len(citations) + 1))
    shown = [int(number) for number in GIVEN.findall(text)]
    assert set(shown) == {citation.marker for citation in citations}
    firsts = list(dict.fromkeys(shown))
    assert firsts == sorted(firsts)
    places = [(c.page, c.start, c.end) for c in citations]
    assert len(set(places)) == len(places)
    kept = re.sub(r"\s*\[\d{1,3}\]|\s", "", answer)
    assert re.sub(r"\s*\[\d{1,3}\]|\s", "", text) == kept or "[" in kept


@given(said, st.lists(odd.filter(str.strip), max_size=3), st.lists(st.integers(0, 400)))
def test_a_text_that_comes_in_pieces_is_cited_like_a_whole_one(
    answer: str, texts: list[str], cuts: list[int]
) -> None:
    passages = [passage(text, page=n) for n, text in enumerate(texts, 1)]
    citer = Citer(passages)
    ends = [*sorted({min(cut, len(answer)) for cut in cuts}), len(answer)]
    told = [citer.feed(answer[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
    text, citations = cite(answer, passages)
    assert "".join(told) + citer.end() == text
    assert tuple(citer.citations) == citations


@pytest.mark.parametrize(
    ("answer", "quote", "verified"),
    [
        ("The limit is 10 MB. [1]", "The limit is 10 MB.", True),
        ("The limit is 10 MB [1].", "The limit is 10 MB", True),
        ("Yes: the limit is 10 MB [1].", "The limit is 10 MB.", True),
        ("Larger files are refused with a clear reason. [1]",
         "Larger files are refused\nwith a clear reason.", True),
        ("Contact Ada, e.g. by mail. [1]", "Contact Ada, e.g. by mail.", True),
        ("Five jobs are what the queue holds [1].", "The queue holds five jobs.", True),
        ("Bananas bend [1].", "2 Limits", False),
        ("[1]", "2 Limits", False),
        ("It is 5. The limit is 10 MB. [1]", "The limit is 10 MB.", True),
    ],
)  # fmt: skip
def test_the_quote_is_the_sentence_that_supports_the_claim(
    answer: str, quote: str, verified: bool
) -> None:
    _, [citation] = cite(answer, [passage(TEXT)])
    assert (citation.quote, citation.verified) == (quote, verified)
    assert TEXT[citation.start - 100 : citation.end - 100] == quote


def test_a_row_of_figures_and_what_it_stands_under_are_quotes_of_their_own() -> None:
    text = "In millions 2022 2021\nRevenues:\nGlobal Services $ 17 $ 16\nHome Services 27 20"
    lines = ["In millions 2022 2021", "Revenues:", "Home Services 27 20"]
    _, citations = cite(" ".join(f"{line} [1]" for line in lines), [passage(text, start=0)])
    assert [text[one.start : one.end] for one in citations] == lines
    assert [(one.quote, one.verified) for one in citations] == [(line, True) for line in lines]


def test_markers_are_renumbered_in_the_order_of_the_answer() -> None:
    passages = [
        passage("One is one.", page=1),
        passage("Two is two.", page=2),
        passage("Three is three.", page=3),
    ]
    text, citations = cite("Three is three [3]. One is one [1]. Three is three [3].", passages)
    assert text == "Three is three [1]. One is one [2]. Three is three [1]."
    assert [(c.marker, c.page) for c in citations] == [(1, 3), (2, 1)]


def test_two_quotes_of_one_source_are_two_citations() -> None:
    text, citations = cite(
        "The limit is 10 MB [1]. The queue holds five jobs [1].", [passage(TEXT)]
    )
    assert text == "The limit is 10 MB [1]. The queue holds five jobs [2]."
    assert [c.quote for c in citations] == ["The limit is 10 MB", "The queue holds five jobs"]


def test_the_full_stop_behind_a_marker_is_not_part_of_the_next_quote() -> None:
    source = passage("The limit is 10 MB. Larger files are refused.")
    text, citations = cite("The limit is 10 MB [1]. Larger files are refused [1].", [source])
    assert text == "The limit is 10 MB [1]. Larger files are refused [2]."
    assert [c.quote for c in citations] == ["The limit is 10 MB", "Larger files are refused"]


def test_neighbouring_markers_stand_behind_the_same_words() -> None:
    passages = [
        passage("The limit is 10 MB."),
        passage("Note: the limit is 10 MB in all.", id="chk_2", page=13),
    ]
    text, citations = cite("The limit is 10 MB [1][2].", passages)
    assert text == "The limit is 10 MB [1] [2]."
    assert [(c.page, c.verified) for c in citations] == [(12, True), (13, True)]


@pytest.mark.parametrize("dangling", ["[2]", "[0]", "[999]", " [7]"])
def test_a_marker_that_points_nowhere_is_removed(dangling: str) -> None:
    text, citations = cite(f"The limit is 10 MB{dangling}. Ask Ada{dangling}", [passage(TEXT)])
    assert (text, citations) == ("The limit is 10 MB. Ask Ada", ())


@pytest.mark.parametrize(
    "code",
    [
        "page = reader.pages[0]",
        "print(pages[1])",
        "self->table[1]",
        "Take `pages[1]`",
        "x = rows[12]",
    ],
)
def test_an_index_in_code_is_no_marker(code: str) -> None:
    text, citations = cite(f"{code} is the limit [1].", [passage(f"{code} is the limit.")])
    assert text == f"{code} is the limit [1]."
    assert [(one.quote, one.verified) for one in citations] == [(f"{code} is the limit", True)]


def test_a_source_may_have_references_of_its_own() -> None:
    source = "It was founded in 1200.[2] It grew."
    _, citations = cite("It was founded in 1200. [1]", [passage(source)])
    assert [(one.quote, one.verified) for one in citations] == [("It was founded in 1200.", True)]


@pytest.mark.parametrize("prose", ["It ended.", "Ada", "The U.S", "It costs 3.5", "f(x)", "`Ada`"])
def test_what_is_attached_to_prose_is_a_marker(prose: str) -> None:
    assert cite(f"{prose}[1]", [passage(TEXT)])[0] == f"{prose} [1]"


def test_a_citation_says_where_it_is_from_and_where_it_stands() -> None:
    text = "The limit is 10 MB."
    words = np.array(
        [
            [100 + a, 100 + b, a, 10, b, 20]
            for a, b in [(0, 3), (4, 9), (10, 12), (13, 15), (16, 19)]
        ],
        "<f4",
    )
    _, [citation] = cite(
        "limit is 10 [1]", [passage(text, boxes=words.tobytes(), url="https://x/", score=0.25)]
    )
    assert (citation.document_id, citation.version, citation.title, citation.filename) == (
        "doc_1",
        3,
        "Guide",
        "guide.pdf",
    )
    assert (citation.tags, citation.page, citation.url, citation.score) == (
        ("safety",),
        12,
        "https://x/",
        0.25,
    )
    assert (citation.quote, citation.start, citation.end) == ("limit is 10", 104, 115)
    assert citation.boxes == [[4.0, 10.0, 15.0, 20.0]]


@pytest.mark.parametrize(
    "shape", ["a" + " " * 60_000, "[" * 60_000, "\n" * 60_000, "a. " * 20_000, "[1]" * 300,
    "[9]" * 20_000],
    ids=["spaces", "brackets", "newlines", "sentences", "markers", "dangling"],
)  # fmt: skip
def test_a_pathological_answer_takes_linear_time(shape: str) -> None:
    begin = time.process_time()
    cite(shape + "x [1]", [passage(TEXT)])
    assert time.process_time() - begin < 1.5
