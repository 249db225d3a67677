"""The rules by hand: what asks the same, and what only nearly does (all pairs: tests/quality)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.same_question import ask_the_same, reading

SAME = [
    ("What is the maximum file size?", "What's the largest size of a file?"),
    ("When must I file the report?", "At what time do I have to file the report?"),
    ("May guests use the pool?", "Are guests allowed to use the pool?"),
    ("How often is the filter cleaned?", "How frequently is the filter cleaned?"),
    ("Who approves travel above 500 euros?", "Who approves travel of more than 500 euros?"),
    ("In 2023, what was the revenue of Nike?", "What was Nike's revenue in 2023?"),
    ("What is the customer's supplier called?", "What is the supplier of the customer called?"),
    ("If a pump fails, what happens?", "What happens when a pump fails?"),
    ("Which rooms have a desk?", "What rooms have a desk, please?"),
    ("Why does the pump not start?", "For what reason does the pump not start?"),
]
NEARLY = [
    ("What was the revenue in 2023?", "What was the revenue in 2024?"),
    ("What was the revenue in 2023?", "What will the revenue be in 2023?"),
    ("Does Ada report to Bob?", "Does Bob report to Ada?"),
    ("Who leads the team of Ada?", "Who does the team of Ada lead?"),
    ("Who manages the fund?", "Who managed the fund?"),
    ("Is the pump sealed?", "Is the pump not sealed?"),
    ("When is the pump sealed?", "Why is the pump sealed?"),
    ("How long is the pump test?", "How much is the pump test?"),
    ("May the tenant leave early?", "Must the tenant leave early?"),
    ("What happens before the test?", "What happens after the test?"),
    ("What is the largest dose?", "What is the smallest dose?"),
    ("Is the order void if the bill is paid?", "Is the bill paid if the order is void?"),
    ("What is the filter table?", "What is in the filter table?"),
    ("What does the slot manager do?", "What is the slot manager?"),
    ("Which offers exceed $5?", "Which offers exceed €5?"),
    ("Does it run at -5 degrees?", "Does it run at 5 degrees?"),
    ("Are exports to the US taxed?", "Are exports to us taxed?"),
    ("How do I move data from A to B?", "How do I move data from B to A?"),
    ("What is the share of women in boards?", "What is the share of boards in women?"),
    ("What is the hold Alpha has on Beta?", "What is the hold Beta has on Alpha?"),
    (
        "What is the name of the customer's supplier?",
        "What is the name of the supplier's customer?",
    ),
    ("What are the tenants' landlord's duties?", "What are the landlord's tenants' duties?"),
    (
        "What is the minimum age of drivers and the maximum age of pilots?",
        "What is the maximum age of drivers and the minimum age of pilots?",
    ),
    (
        "What can the tenant do and what must the landlord do?",
        "What must the tenant do and what can the landlord do?",
    ),
    (
        "What is the maximum load and the weight of the crane?",
        "What is the load and the maximum weight of the crane?",
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_these_ask_the_same(one: str, other: str) -> None:
    assert ask_the_same(one, other), (reading(one), reading(other))


@pytest.mark.parametrize(("one", "other"), NEARLY)
def test_these_do_not(one: str, other: str) -> None:
    assert not ask_the_same(one, other), reading(one)


@pytest.mark.parametrize(
    "question",
    [
        "", "?", "What is it?", "And why?", "Wie hoch ist die Strafe für die Verspätung?",
        "Is the pump sealed? And why is it?", "x" * 301, "Is the pump\nsealed?",
    ],
)  # fmt: skip
def test_what_is_compared_with_nothing(question: str) -> None:
    assert not ask_the_same(question, question)


@given(st.text(max_size=120), st.text(max_size=120))
def test_whatever_is_asked_is_read_and_order_says_nothing(one: str, other: str) -> None:
    assert ask_the_same(one, other) == ask_the_same(other, one)
