"""Reading order and the place of words."""

import re

from hypothesis import given
from hypothesis import strategies as st

from app.ingestion.ocr_lines import PlacedLine, place


def line(text: str, x: float, y: float, width: float = 200.0, fall: float = 0.0) -> PlacedLine:
    middles = [(index + 0.5) / len(text) for index in range(len(text))]
    return PlacedLine(text, (x, y, x + width, y + 10 + abs(fall)), middles, fall)


def test_columns_are_read_one_after_the_other() -> None:
    title = line("The title over both", 50, 20, 420)
    left = [line(f"left {n}", 50, 50 + 14 * n) for n in range(6)]
    right = [line(f"right {n}", 270, 50 + 14 * n) for n in range(6)]
    text = place([*right, title, *left]).text
    expected = ["The title over both", *(f"left {n}" for n in range(6))]
    assert text.split("\n") == [*expected, *(f"right {n}" for n in range(6))]


def test_a_table_is_read_row_by_row() -> None:
    rows = [("Plan", "Seats"), ("Basic edition", "5"), ("Large", "50"), ("Huge", "500")] * 2
    cells = [
        line(text, x, 40 + 14 * n, 6 * len(text))
        for n, row in enumerate(rows)
        for text, x in zip(row, (50, 300), strict=True)
    ]
    assert place(cells[::-1]).text.split("\n") == [" ".join(row) for row in rows]


def test_words_stand_on_their_share_of_the_line() -> None:
    placed = place([line("ab cd", 0, 0, 50)])
    assert placed.text == "ab cd"
    assert placed.spans == [(0, 2), (3, 5)]
    assert placed.boxes == [(0, 0, 25, 10), (25, 0, 50, 10)]


def test_words_of_a_skewed_line_follow_its_slope() -> None:
    for fall, tops in ((20.0, [0.0, 15.0]), (-20.0, [15.0, 0.0])):
        boxes = place([line("aa bb", 0, 0, 100, fall)]).boxes
        assert [round(box[3] - box[1], 1) for box in boxes] == [20.0, 20.0]
        assert boxes[0][1] < boxes[1][1] if tops[0] < tops[1] else boxes[0][1] > boxes[1][1]


@given(
    st.lists(
        st.builds(
            line,
            st.text("ab ", min_size=1, max_size=9),
            st.floats(0, 500),
            st.floats(0, 500),
            st.floats(1, 300),
            st.floats(-9, 9),
        ),
        max_size=60,
    )
)
def test_any_lines_keep_their_words_with_exact_offsets(lines: list[PlacedLine]) -> None:
    placed = place(lines)
    words = [placed.text[start:end] for start, end in placed.spans]
    assert sorted(words) == sorted(word for one in lines for word in one.text.split())
    assert words == placed.text.split()
    assert not re.search(r"^\s|\s$|\s\s", placed.text)
    assert all(x0 <= x1 and y0 <= y1 for x0, y0, x1, y1 in placed.boxes)
