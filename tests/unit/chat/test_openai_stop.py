"""A stop sequence ends the text in the same place, however the text is sliced."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.openai_stop import Stop


def told(sequences: tuple[str, ...], *pieces: str) -> str:
    stop = Stop(sequences)
    return "".join(stop.take(piece) for piece in pieces) + stop.take("", last=True)


@pytest.mark.parametrize(
    ("sequences", "text", "left"),
    [
        ((), "all of it", "all of it"),
        (("x",), "all of it", "all of it"),
        ((" of",), "all of it", "all"),
        (("all",), "all of it", ""),
        (("it", "of"), "all of it", "all "),
        (("it.",), "all of it", "all of it"),
        (("ll of it", "f"), "all of it", "all o"),
    ],
)
def test_where_the_text_ends(sequences: tuple[str, ...], text: str, left: str) -> None:
    assert told(sequences, text) == left


def test_only_what_may_begin_a_sequence_is_held_back() -> None:
    stop = Stop(("abc",))
    assert [stop.take(piece) for piece in ("xa", "b", "x", "ab", "c", "more")] == [
        "x", "", "abx", "", "", "",
    ]  # fmt: skip
    assert stop.reached


TEXT = st.text("ab", max_size=12)


@given(
    st.lists(st.text("ab", min_size=1, max_size=3), max_size=3), TEXT, st.sets(st.integers(0, 12))
)
def test_slicing_never_matters(sequences: list[str], text: str, cuts: set[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert told(tuple(sequences), *pieces) == told(tuple(sequences), text)
    assert not any(one in told(tuple(sequences), text) for one in sequences)
