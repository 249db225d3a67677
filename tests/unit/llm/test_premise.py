"""Names in questions: found where they are names, and missed where capitals say nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.evidence import gather
from app.llm.premise import names_in
from tests.unit.llm.asking import source


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("What is Lockheed Martin's FY2020 asset turnover?", [("Lockheed", "Martin")]),
        ("how much did Nike have at the end of FY2019? Answer in USD millions.", [("Nike",)]),
        ("Nike's inventory turnover is what?", [("Nike",)]),
        ("Which of JPMorgan's segments is the largest?", [("JPMorgan",)]),
        ("What did the Bank of America report?", [("Bank", "America")]),
        ("When was it signed in January?", []),
        ("How large may a file be?", []),
        ("How Large May A File Of Nike Be, And Who Is It?", []),
        ("", []),
    ],
)
def test_names(question: str, names: list[tuple[str, ...]]) -> None:
    assert list(names_in(question)) == names


def test_a_name_that_no_source_has_is_absent() -> None:
    filing = source("Ulta Beauty's total revenue was 10 billion.", title="ULTABEAUTY 2023")
    assert gather("What was Nike's total revenue?", [filing]).absent == ("Nike",)
    assert gather("What was Ulta Beauty's total revenue?", [filing]).absent == ()
    titled = source("The total revenue was 10 billion.", title="ULTABEAUTY 2023")
    assert gather("What was Ulta Beauty's total revenue?", [titled]).absent == ()
    assert gather("Wie hoch war der Umsatz von Nike?", [filing]).absent == ()


@given(st.text(max_size=200))
def test_any_question_has_names_or_none(question: str) -> None:
    assert all(word for name in names_in(question) for word in name)


@pytest.mark.parametrize(
    ("question", "absent"),
    [
        ("What is the price of the R-150?", ("R-150",)),
        ("Was kostet die R-150?", ("R-150",)),
        ("R-150\u7684\u4ef7\u683c\u662f\u591a\u5c11\uff1f", ("R-150",)),
        ("What is the price of the R200?", ()),
        ("What is the price of the R 200?", ()),
        ("Does ISO 9001 apply to the pump?", ("ISO 9001",)),
        ("What did the pump cost in FY2021 and Q3?", ()),
    ],
)
def test_a_code_that_no_source_has_is_absent(question: str, absent: tuple[str, ...]) -> None:
    pumps = source("Model: R-100 | Price: $ 1,450\nModel: R-200 | Price: $ 2,990", title="pump")
    assert gather(question, [pumps]).absent == absent
