"""Chunks are exact spans of one page, bounded, complete, and under the right heading."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingestion.chunk import MAX_CHARS, WORD, chunk_pages
from app.ingestion.headings import find_headings, is_heading, lines_of, running_lines
from app.ingestion.page import Page, Words

NO_WORDS = np.zeros((0, 6), np.float32)
SENTENCE = "The scheduler shall send every message of the slot to its pipe. "


def page(text: str, number: int = 1, words: Words = NO_WORDS) -> Page:
    return Page(number=number, text=text, width=612, height=792, words=words)


@given(
    st.lists(
        st.text(
            st.sampled_from("aB1.,!?\n \t\u3000\u4e2d\u6587\u3002\u0e01\U0001f600-_()"),
            max_size=400,
        ),
        max_size=4,
    ),
    st.integers(1, 40),
)
def test_chunks_are_exact_ordered_bounded_and_complete(texts: list[str], max_words: int) -> None:
    pages = [page(text, number) for number, text in enumerate(texts, 1)]
    chunks = chunk_pages(pages, max_words=max_words)
    for number, text in enumerate(texts, 1):
        mine = [chunk for chunk in chunks if chunk.page == number]
        assert all(chunk.text == text[chunk.start : chunk.end] for chunk in mine)
        assert all(before.end <= after.start for before, after in pairwise(mine))
        assert all(len(WORD.findall(chunk.text)) <= max_words for chunk in mine)
        assert all(0 < len(chunk.text) <= MAX_CHARS for chunk in mine)
        covered = "".join("".join(chunk.text.split()) for chunk in mine)
        assert covered == "".join(text.split())


@pytest.mark.parametrize(
    "text",
    ["x" * 300_000, "\u5b57" * 300_000, "\n" * 1_000_000, "A\n" * 150_000, ". " * 150_000],
    ids=["one word", "no spaces", "newlines", "short lines", "full stops"],
)
def test_a_pathological_page_takes_linear_time(text: str) -> None:
    def seconds(size: int) -> float:
        begin = time.process_time()
        chunks = chunk_pages([page(text[:size])])
        assert all(len(chunk.text) <= MAX_CHARS for chunk in chunks)
        return time.process_time() - begin

    small, large = seconds(len(text) // 10), seconds(len(text))
    assert large < 40 * small + 0.5


def test_a_page_that_fits_is_one_chunk_and_a_blank_page_none() -> None:
    assert [chunk.text for chunk in chunk_pages([page("One.\nTwo."), page(" \n ", 2)])] == [
        "One.\nTwo."
    ]
    assert chunk_pages([]) == []


def test_chunks_end_with_sentences_and_leave_no_tail() -> None:
    chunks = chunk_pages([page(SENTENCE * 16)], max_words=180)  # 192 words
    sizes = [len(chunk.text.split()) for chunk in chunks]
    assert len(chunks) == 2
    assert min(sizes) > 60
    assert all(chunk.text.endswith(".") for chunk in chunks)


def test_a_heading_starts_a_chunk_and_names_what_follows_on_the_next_page() -> None:
    first = SENTENCE * 10 + "\n3.2.1 Scheduler Tables\n" + SENTENCE * 10
    chunks = chunk_pages([page(first), *(page(SENTENCE * 2, number) for number in (2, 3))])
    assert [chunk.heading for chunk in chunks] == ["", *["3.2.1 Scheduler Tables"] * 2, ""]
    assert chunks[1].text.startswith("3.2.1 Scheduler Tables")


def test_a_running_header_is_not_a_heading_and_does_not_hide_one() -> None:
    pages = [
        page(f"FLIGHT SOFTWARE BRANCH\n{n}.1 Section Number\n{SENTENCE}\nPage {n} of 9", n)
        for n in range(1, 5)
    ]
    assert [chunk.heading for chunk in chunk_pages(pages)] == [
        f"{n}.1 Section Number" for n in range(1, 5)
    ]
    assert "FLIGHT SOFTWARE BRANCH" in running_lines([lines_of(p.text) for p in pages])


def test_a_table_of_contents_has_no_headings() -> None:
    text = "TABLE OF CONTENTS\n1.1 Scope ........ 3\n1.2 Purpose ....... 4\n2.0 Design ...... 5\n"
    assert find_headings(lines_of(text), frozenset()) == []


@pytest.mark.parametrize(
    "line",
    ["3.2.1 Scheduler Tables", "1 Introduction", "Appendix A \u2013 Glossary of Terms",
     "DETAILED REQUIREMENTS", "2.8 Load and Run the OSAL Applications"],
)  # fmt: skip
def test_headings(line: str) -> None:
    assert is_heading(line, "some text", "some text")


@pytest.mark.parametrize(
    "line",
    ["The unit shall be tested.", "1.1 Scope ........ 3", "5 Pkt", "12", "CFE_ES_APP_ID", "NASA",
     "SCH2002 SCH shall schedule", "and the", "3.16. As documented above for", "Total:",
     "1. press the button", "\u6b4c\u624b\u5973\u795e\u5361\u5361\u732e\u5531 (ASL) \u56fd\u6b4c",
     "VERY LARGE LETTERS\u3002"],
)  # fmt: skip
def test_not_headings(line: str) -> None:
    assert not is_heading(line, "some text", "some text")


def test_an_unnumbered_title_needs_a_sentence_before_and_text_below() -> None:
    assert is_heading("Storage Element Design", "It ends here.", SENTENCE)
    assert not is_heading("Storage Element Design", "a table cell", SENTENCE)
    assert not is_heading("Storage Element Design", "It ends here.", "another cell")


def test_a_chunk_carries_its_own_rows() -> None:
    text = SENTENCE * 40
    spans = [match.span() for match in WORD.finditer(text)]
    words = np.array([[s, e, 0, 0, 1, 1] for s, e in spans], dtype=np.float32)
    chunks = chunk_pages([page(text, words=words)])
    assert sum(len(chunk.words) for chunk in chunks) == len(words)
    for chunk in chunks:
        assert chunk.words[0, 0] == chunk.start
        assert chunk.words[-1, 1] == chunk.end
        assert chunk.words.base is None


def test_scripts_that_spell_their_words_get_chunks_as_long_as_others() -> None:
    thai = " ".join(["\u0e1e\u0e19\u0e31\u0e01\u0e07\u0e32\u0e19" * 5] * 40)
    assert len(chunk_pages([page(thai)], max_words=180)) == 2
    assert len(chunk_pages([page("\u6570\u636e\u5b58\u50a8" * 90)], max_words=180)) == 2
