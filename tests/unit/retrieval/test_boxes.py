"""A quote's offsets become the rectangles to highlight."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.retrieval.boxes import boxes_of

#: Two lines: "The limit" / "is 10 MB"
WORDS = np.array(
    [
        [0, 3, 72, 100, 90, 110],
        [4, 9, 94, 101, 120, 112],
        [10, 12, 72, 114, 80, 124],
        [13, 15, 84, 114, 95, 124],
        [16, 18, 99, 114.04, 120.01, 124],
    ],
    dtype=np.float32,
)


def test_words_of_one_line_become_one_box() -> None:
    assert boxes_of(WORDS, 0, 9) == [[72.0, 100.0, 120.0, 112.0]]


def test_a_quote_over_two_lines_has_two_boxes_rounded_outwards() -> None:
    assert boxes_of(WORDS, 4, 18) == [[94.0, 101.0, 120.0, 112.0], [72.0, 114.0, 120.1, 124.0]]


def test_a_word_partly_inside_is_covered_whole() -> None:
    assert boxes_of(WORDS, 5, 7) == [[94.0, 101.0, 120.0, 112.0]]


def test_the_space_between_words_and_no_words_have_no_box() -> None:
    assert boxes_of(WORDS, 3, 4) == []
    assert boxes_of(np.zeros((0, 6), np.float32), 0, 10) == []


def test_columns_at_the_same_height_stay_apart() -> None:
    words = np.array([[0, 3, 72, 100, 90, 110], [4, 7, 320, 100, 340, 110]], dtype=np.float32)
    assert len(boxes_of(words, 0, 7)) == 2


@given(st.integers(0, 20), st.integers(0, 20))
def test_boxes_are_plain_numbers_and_cover_every_touched_word(start: int, end: int) -> None:
    boxes = boxes_of(WORDS, start, end)
    assert all(type(number) is float for box in boxes for number in box)
    for word_start, word_end, x0, y0, x1, y1 in WORDS.tolist():
        if word_start < end and word_end > start:
            assert any(b[0] <= x0 and b[1] <= y0 and b[2] >= x1 and b[3] >= y1 for b in boxes)
