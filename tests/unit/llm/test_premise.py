"""Names in questions: found where they are names, and missed where capitals say nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.evidence import gather
from app.llm.premise import capitals_in, names_in, numbered_in, put_together_in
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
        ("What is CVE-2026-99999 of the pump about?", ("CVE-2026-99999",)),
        ("What is CVE-2026-11873 of the pump about?", ()),
    ],
)
def test_a_code_that_no_source_has_is_absent(question: str, absent: tuple[str, ...]) -> None:
    rows = "Model: R-100 | Price: $ 1,450\nModel: R-200 | Price: $ 2,990\nFixed: CVE-2026-11873."
    assert gather(question, [source(rows, title="pump")]).absent == absent


CITY = source(
    "The Summer Theatre stood in the Saxon Garden until 1939. The Royal Palace and the Saxon Palace"
    " were razed. Jan Andrzej Menich was the first President. The poet Artur Oppman tells of two"
    " of Triton's daughters. The Panthers line beat the team of Denver, and Carolina got the ball."
    " The Grammy winner and an Academy Award nominee sang.",
    title="Warsaw",
)


@pytest.mark.parametrize(
    ("question", "made"),
    [
        ("When was the Summer Palace razed?", ["Summer Palace"]),
        ("What does Artur Triton tell of?", ["Artur Triton"]),
        ("When was the Royal Theatre closed?", ["Royal Theatre"]),
        # It stands there, with another word between, or spelled otherwise.
        ("When was the Summer Theatre closed?", []),
        ("Who was Jan Menich?", []),
        ("What is the SummerTheatre?", []),
        # Each word stands there by itself as well.
        ("Who are the Carolina Panthers?", []),
        # Two names, or one behind another's possessive.
        ("What became of the Theatre and Palace?", []),
        ("What became of Oppman's Summer Theatre?", []),
        ("What did President Oppman tell of?", []),
        # What the title says is said of all below it.
        ("When was the Warsaw Palace razed?", []),
        # Of such the sources say nothing; a word that is no name there is none here.
        ("When was the Winter Palace razed?", []),
        ("What did Artur Oppman Tell?", []),
        ("how large is the garden?", []),
    ],
)
def test_a_name_made_of_others_is_put_together(question: str, made: list[str]) -> None:
    assert [" ".join(name) for name in put_together_in(question, [CITY])] == made
    assert gather(question, [CITY]).absent == tuple(made)


def test_names_of_two_sources_may_be_put_together_too() -> None:
    here = source("The Summer Theatre is closed.", 1, title="Stages")
    there = source("The Saxon Palace is open.", 2, title="Houses")
    assert list(put_together_in("Is the Summer Palace open?", [here, there])) == [
        ("Summer", "Palace")
    ]
    whole = source("The Summer Palace is in China.", 3, title="China")
    assert list(put_together_in("Is the Summer Palace open?", [here, there, whole])) == []


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("\u00bfCu\u00e1ndo muri\u00f3 Gengis Kan?", ["Gengis", "Kan"]),
        ("\u0421\u043a\u043e\u043b\u044c\u043a\u043e \u043b\u044e\u0434\u0435\u0439"
         " \u0436\u0438\u0432\u0443\u0442 \u0432 \u0412\u0430\u0440\u0448\u0430\u0432\u0435?",
         ["\u0412\u0430\u0440\u0448\u0430\u0432\u0435"]),
        ("Wie viele Menschen leben in der Stadt Warschau?", []),
        ("", []),
    ],
)  # fmt: skip
def test_capitals_name_something_where_not_every_noun_has_one(
    question: str, names: list[str]
) -> None:
    assert [name for (name,) in capitals_in(question)] == names


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_question_and_any_source(question: str, text: str) -> None:
    list(capitals_in(question))
    assert all(len(name) > 1 for name in put_together_in(question, [source(text)]))


@pytest.mark.parametrize(
    ("question", "absent"),
    [
        ("What is the price of the Falco 7?", [("Falco", "7")]),
        ("What is the price of the Falco 2?", []),
        ("How heavy are the Falco 4 and the Falco 1?", []),
        ("What does the Merlin 7 cost?", []),
        ("What does Section 9 say of it?", []),
        ("Was it sold before May 7?", []),
        ("Falco 7: what does it cost?", []),
        ("What did the Falco 2026 cost?", []),
    ],
)
def test_a_number_that_a_name_has_nowhere_is_absent(
    question: str, absent: list[tuple[str, str]]
) -> None:
    text = "See Section 3. Falco 1 1 1.8 24\nThe Falco 2 and 4 came on May 3, the Merlin Pro later."
    assert list(numbered_in(question, [source(text)])) == absent


@pytest.mark.parametrize(
    ("question", "absent"),
    [
        ("How fast is the Vento 3.0?", [("Vento", "3.0")]),
        ("How fast is the Vento 2.0?", []),
        ("How fast is the Vento 2?", []),
        ("How fast is the Merlin 3.0?", []),
        ("What changed in version 5.0?", [("version", "5.0")]),
        ("What changed in v3.2 or release 4.1?", []),
        ("What does option D cost?", [("option", "D")]),
        ("What do Option B and option c cost?", []),
        ("Are types E and type H insured?", []),
        ("What does plan D cost?", []),
        ("Who met Mr Option D. Smith?", []),
    ],
)
def test_a_version_or_letter_that_others_of_its_kind_have_not_is_absent(
    question: str, absent: list[tuple[str, str]]
) -> None:
    text = (
        "The Vento 1.6 and the Vento 2.0 are sold. Release 3.2 runs and release 4.1 is planned. "
        "Options A, B and C are offered. Types E to H are insured."
    )
    assert list(numbered_in(question, [source(text)])) == absent


def test_without_versions_in_the_text_none_is_absent() -> None:
    assert not list(numbered_in("What changed in version 5.0?", [source("Much has changed.")]))
