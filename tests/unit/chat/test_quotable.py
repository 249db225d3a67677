"""What a claim rests on is found in a passage's text, exactly or by its words."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.quotable import Quotable
from tests.unit.chat.test_citations import TEXT, odd


@given(st.data())
def test_a_sentence_copied_with_other_white_space_is_found_exactly(data: st.DataObject) -> None:
    words = TEXT.split()
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    gaps = data.draw(
        st.lists(st.sampled_from([" ", "  ", "\n", "\t", "\xa0"]), min_size=99, max_size=99)
    )
    copied = "".join(word + gap for word, gap in zip(words[first : last + 1], gaps, strict=False))
    start, end, verified = Quotable(TEXT).locate(copied)
    assert verified
    assert TEXT[start:end].split() == copied.split()


@given(odd, odd.filter(str.strip))
def test_what_stands_there_is_found_where_a_pattern_finds_it(text: str, said: str) -> None:
    pattern = r"\s+".join(map(re.escape, said.split()))
    expected = re.search(pattern, text)
    start, end, verified = Quotable(text).locate(said)
    if expected:
        assert (start, end, verified) == (expected.start(), expected.end(), True)


def test_a_quote_may_begin_and_end_within_words() -> None:
    assert Quotable("ab  12 MB,\nor so").locate("2 MB, o") == (5, 12, True)


def test_spans_cover_a_text_without_sentences() -> None:
    assert Quotable("word " * 30).locate("nothing") == (0, 149, False)
    assert Quotable("word").locate("") == (0, 4, False)
    text = Quotable("Sentence 1. Sentence 2. Sentence 3.")
    starts = [text.locate(f"sentence {n}")[0] for n in (1, 2, 3)]
    assert all(before < after for before, after in pairwise(starts))


@pytest.mark.parametrize(
    ("said", "verified"),
    [
        ("At most 10 MB may be in one file.", True),
        ("At most 20 MB may be in one file.", False),
        ("At most ten MB may be in one file.", True),
    ],
)
def test_a_quote_with_another_figure_does_not_carry_the_claim(said: str, verified: bool) -> None:
    assert Quotable("One file may be of 10 MB at most.").locate(said)[2] is verified


def test_a_quote_that_denies_the_claim_does_not_carry_it() -> None:
    text = "Hot standby is supported. Operation with sea water is not supported."
    assert Quotable(text).locate("The operation with sea water is supported.")[2] is False
    assert Quotable(text).locate("Supported: hot standby.")[2] is True


def test_sentences_without_spaces_are_told_apart() -> None:
    text = "客户数据保存七年。超期的数据由信息安全部删除。"
    start, end, verified = Quotable(text).locate("数据由安全部删除。")
    assert (start, end, verified) == (9, len(text), True)


TABLE = """Year | Revenue | Costs
Year: 2021 | Revenue: $ 4.1 million | Costs: $ 2.9 million
Year: 2022 | Revenue: $ 5.3 million | Costs: $ 3.4 million

Item | 2022 | 2021
Item: Sales | 2022: 4,812 | 2021: 4,310
Item: Wages | 2022: 3,105 | 2021: 2,874"""


@pytest.mark.parametrize(
    ("said", "verified", "quote"),
    [
        ("The revenue in 2021 was $ 4.1 million.", True, "Year: 2021 | "),
        ("The revenue in 2021 was $ 5.3 million.", False, "Year: "),
        ("Costs in 2022 were $ 3.4 million.", True, "Year: 2022 | "),
        ("Sales in 2021 were 4,310.", True, "Item: Sales | "),
        ("Sales in 2021 were 4,812.", False, "Item: Sales | "),
        ("Sales were 3,105 in 2022.", False, "Item: "),
        ("Sales were 4,812 in 2022 and 4,310 in 2021.", True, "Item: Sales | "),
        ("Sales rose from 4,310 to 4,812.", True, "Item: Sales | "),
    ],
)
def test_a_figure_of_another_row_or_column_does_not_carry_a_claim(
    said: str, verified: bool, quote: str
) -> None:
    start, end, carried = Quotable(TABLE).locate(said)
    assert TABLE[start:end].startswith(quote)
    assert "\n" not in TABLE[start:end]
    assert carried is verified
