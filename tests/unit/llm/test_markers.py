"""Markers and what only looks like one."""

import time

import pytest

from app.llm.markers import GIVEN, without_references


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It was founded in 1200.[2] It grew [3].", "It was founded in 1200. It grew."),
        ("page = reader.pages[0] # [1]", "page = reader.pages[0] #"),
        ("Paris[12] lies on the Seine.", "Paris lies on the Seine."),
        ("No brackets.", "No brackets."),
    ],
)
def test_a_sources_own_references_go_and_its_code_stays(text: str, expected: str) -> None:
    assert without_references(text) == expected


def test_a_marker_that_was_given_out_stands_behind_white_space() -> None:
    assert GIVEN.findall("[1] a.pages[2] b [3] [4].\n[5]") == ["1", "3", "4", "5"]


@pytest.mark.parametrize("text", ["a" * 50_000 + "[1]", "a(" * 25_000 + "[1]", "[9]" * 20_000])
def test_long_text_is_linear(text: str) -> None:
    started = time.process_time()
    without_references(text)
    assert time.process_time() - started < 5
