import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.completion import Source
from app.llm.evidence import gather
from app.llm.sentences import tidy
from tests.unit.llm.asking import source


def best(question, *sources):
    return gather(question, sources).ranked[0].sentence.text


def texts(question, *sources):
    return [scored.sentence.text for scored in gather(question, sources).ranked]


def test_the_sentence_that_holds_the_words_wins():
    text = "Files are stored by time. Packets are filtered by rate. The disk is large enough."
    assert best("How are packets filtered?", source(text)) == "Packets are filtered by rate."


def test_the_kind_of_answer_counts():
    text = "Each frame schedules activities. Each frame schedules at most five activities."
    assert "five" in best("How many activities does each frame schedule?", source(text))


def test_a_pronoun_leans_on_the_sentence_before():
    text = "The Meteor was launched in spring. It carried two cameras. The rest came by road."
    ranked = texts("What did the Meteor carry?", source(text))
    assert ranked[0] == "It carried two cameras."


def test_the_title_tells_what_a_sentence_is_about():
    first = source("The limit is 10 MB for every file.", 1, title="Gateway manual")
    second = source("The limit is 20 MB for every file.", 2, title="Printer manual")
    assert "20" in best("What is the file limit of the printer?", first, second)


@pytest.mark.parametrize(
    "line",
    [
        "1.1 File limit ........................ 7",
        "What is the file limit?",
        "File limit",
        "| 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 |",
    ],
)
def test_debris_is_never_quoted(line):
    text = f"{line}\n\nThe file limit is 10 MB for all users."
    assert texts("What is the file limit?", source(text)) == [
        "The file limit is 10 MB for all users."
    ]


def test_a_list_comes_with_the_line_that_introduces_it():
    text = (
        "The header contains the following fields:\n• Content type\n• Length\n\nMore follows here."
    )
    assert best("Which fields does the header contain?", source(text)) == (
        "The header contains the following fields: • Content type • Length"
    )


def test_a_bullet_is_not_part_of_its_sentence():
    text = "• The percent sign marks a variable part.\n• The other sign marks nothing at all."
    assert best("What does the percent sign mark?", source(text))[0] == "T"


def test_known_is_the_share_of_the_best_source():
    text = source("Saturn has rings of ice.")
    assert gather("Does Saturn have rings?", [text]).known == 1
    assert gather("Does Neptune have oceans?", [text]).known == 0
    assert 0 < gather("Does Saturn have oceans?", [text]).known < 1


def test_nothing_to_weigh():
    assert gather("What?", []).ranked == ()
    assert gather("", [source("A sentence of some words.")]).known == 0
    assert gather("What is it?", [source("")]).ranked == ()


@given(st.text(max_size=80), st.lists(st.text(max_size=200), max_size=4))
def test_whatever_comes_every_sentence_is_verbatim(question, parts):
    sources = [source(text, marker) for marker, text in enumerate(parts, 1)]
    for scored in gather(question, sources).ranked:
        assert scored.sentence.text in tidy(scored.sentence.source.text)
        assert 0 <= scored.coverage <= 1.000001


ROWS = (
    "Model | Flow | Price\nModel: R-1 | Flow: 12 | Price: $ 90\nModel: R-2 | Flow: 9 | Price: $ 8"
)


def test_a_row_is_read_with_its_columns_and_their_header_alone_is_not():
    assert (
        best("What is the price of the R-2?", source(ROWS)) == "Model: R-2 | Flow: 9 | Price: $ 8"
    )
    assert len(texts("What is the price?", source(ROWS))) == 2


def test_a_chinese_sentence_with_a_number_set_apart_is_a_sentence():
    text = "\u516c\u53f8\u4e8e 1961 \u5e74\u5728\u4e0a\u6d77\u6210\u7acb\u3002"
    assert texts("\u516c\u53f8\u4f55\u65f6\u6210\u7acb\uff1f", source(text)) == [text]


def test_a_german_question_is_not_read_as_english():
    text = (
        "Der Mindestbestellwert liegt bei tausend Euro. Die Haftungsgrenze ist hoch und steht fest."
    )
    evidence = gather("Was ist die Grenze der Haftung?", [source(text)])
    assert evidence.absent == ()
    assert evidence.ranked[0].sentence.text.startswith("Die Haftungsgrenze")


def test_of_the_sources_those_are_read_that_speak_of_whom_is_asked() -> None:
    zephyr = source("The maximum temperature is 70 degrees.", 1, title="Zephyr datasheet")
    falcon = source("The battery lasts for 18 months.", 2, title="Falcon handbook")
    found = gather("What is the maximum temperature of the Falcon?", [zephyr, falcon])
    assert found.sources == (falcon,)
    assert [scored.sentence.source for scored in found.ranked] == [falcon]
    both = gather("What do the Falcon and the Zephyr have?", [zephyr, falcon])
    assert both.sources == (zephyr, falcon)
    assert gather("What is the maximum temperature?", [zephyr, falcon]).sources == (zephyr, falcon)


QUARTERS = """Quarter | Units sold
Quarter: Q1 2023 | Units sold: 1,204
Quarter: Q2 2023 | Units sold: 1,377

Returns are counted apart, in a list of their own."""


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("How many units were sold in Q2 2023?", ["Q2"]),
        ("How many units were sold in Q1 and in Q2?", ["Q1", "Q2"]),
        ("How many units were sold in 2023?", ["Q1", "Q2"]),
        ("How many units were sold in Q4 2023?", []),
        ("How many units were sold in Q2 2020?", []),
        ("How many units were sold?", ["Q1", "Q2"]),
        ("Wie viele Units wurden im Q2 2023 verkauft?", ["Q2"]),
    ],
)
def test_a_row_of_another_period_is_no_answer(question: str, rows: list[str]) -> None:
    found = sorted(text[9:11] for text in texts(question, source(QUARTERS)) if "Quarter: " in text)
    assert found == rows


def test_a_period_may_stand_before_the_table() -> None:
    text = f"Figures of the year 2020.\n\n{QUARTERS}"
    assert "Quarter: Q2" in best("How many units were sold in Q2 2020?", source(text))


FILING = """Summary of segments
(Dollars in millions)
Years ended December 31, 2022 2021
Revenues:
Global Services $ 17,611 $ 16,328
Unallocated items, eliminations and other (231) \u2014
Total revenues 66,608 62,286
Earnings from operations:
Global Services 2,727 2,017
These figures are part of the notes.
Order 12 13"""
YEARS = "Years ended December 31, 2022 2021"


@pytest.mark.parametrize(
    ("question", "lines"),
    [
        ("What revenues did Global Services have in 2022?",
         (YEARS, "Revenues:", "Global Services $ 17,611 $ 16,328")),
        ("What were the earnings of Global Services in FY2021?",
         (YEARS, "Earnings from operations:", "Global Services 2,727 2,017")),
        ("Wie hoch waren 2021 die Total revenues?",
         (YEARS, "Revenues:", "Total revenues 66,608 62,286")),
    ],
)  # fmt: skip
def test_a_row_of_figures_is_quoted_under_its_years(question: str, lines: tuple[str, ...]) -> None:
    assert gather(question, [source(FILING)]).ranked[0].sentence.lines == lines


def test_figures_are_not_quoted_for_years_that_their_table_has_not_or_without_years() -> None:
    found = texts("What revenues did Global Services have in 2020?", source(FILING))
    assert found == [
        "These figures are part of the notes.", "Summary of segments (Dollars in millions)"
    ]  # fmt: skip
    assert "Order 12 13" not in texts("What was the order?", source(FILING))


def test_a_heading_is_no_answer() -> None:
    text = "Falcon data logger handbook\n\nThe logger records the temperature of the air."
    found = texts("Falcon logger handbook", source(text, heading="Falcon data logger handbook"))
    assert found == ["The logger records the temperature of the air."]


def test_what_is_called_by_capitals_is_no_filler() -> None:
    text = "The logger has a Controller Area Network (CAN) bus. It can be mounted on any rail."
    assert "(CAN)" in best("What does CAN stand for?", source(text))
    assert gather("What does CAN stand for?", [source(text)]).known == 1


def test_of_equal_sources_the_one_that_speaks_of_the_name_is_ahead() -> None:
    """Beyond English names do not choose the sources: their spelling changes too much."""
    first = source("La torre tiene setenta metros de altura.", 1, title="Oslo")
    second = source("La torre tiene noventa metros de altura.", 2, title="Quito")
    found = gather("\u00bfCu\u00e1ntos metros de altura tiene la torre de Quito?", [first, second])
    assert found.sources == (first, second)
    assert [scored.sentence.source for scored in found.ranked] == [second, first]


def test_a_sentence_that_leans_on_something_else_strays() -> None:
    text = (
        "The size_limit setting bounds a file. It defaults to 10 MB.\n\n"
        "The hub keeps a list of all colours. It defaults to a dozen."
    )
    found = gather("What does size_limit default to?", [source(text)])
    assert {one.sentence.text: one.strays for one in found.ranked} == {
        "The size_limit setting bounds a file.": False,
        "It defaults to 10 MB.": False,
        "The hub keeps a list of all colours.": False,
        "It defaults to a dozen.": True,
    }


GAS = "Call the emergency line on 0800 555 0142 at any time."
WATER = "Every leak of water is to be reported to the agent in writing."


@pytest.mark.parametrize(
    "faq",
    [source(GAS, 1, heading="Help > How do I report a gas leak?"),
     source(f"How do I report a gas leak?\n{GAS}", 1)],
)  # fmt: skip
def test_what_stands_below_the_very_question_answers_it(faq: Source) -> None:
    found = gather("How can I report a gas leak?", [source(WATER, 2), faq])
    assert found.ranked[0].sentence.text == GAS


def test_below_another_question_stands_no_answer() -> None:
    faq = source(GAS, 1, heading="How do I report a gas leak?")
    found = gather("How is a leak of water reported?", [faq, source(WATER, 2)])
    assert found.ranked[0].sentence.text == WATER


def test_a_year_alone_is_no_answer() -> None:
    other = source("The library has had a new director since 2019.", 1)
    rent = source("The rent is 900 euros.", 2)
    assert texts("What was the rent in 2019?", other, rent) == ["The rent is 900 euros."]
    assert texts("What changed in 2019?", source("In 2019 the rent was 900 euros.", 1))


def test_of_releases_the_one_that_was_asked_for_is_quoted() -> None:
    new = source("The changed version of the library is 3.", 1, heading="4.2.0 (May)")
    old = source("Uploads are now 250 MB.", 2, heading="4.1.0 (June)")
    assert texts("What changed in version 4.1.0 of it?", new, old) == ["Uploads are now 250 MB."]
    found = gather("What changed in version 4.1.0 of it?", [new, old])
    assert found.sources == (new, old)


def test_a_section_is_asked_for_by_its_heading() -> None:
    text = "8.24 Appeals\n\nAny decision may be taken to the Council within fifteen days."
    section = source(text, 1, heading="Code > 8.24 Appeals")
    other = source(
        "8.23 Fines\n\nA first violation costs 250 dollars.", 2, heading="Code > 8.23 Fines"
    )
    quoted = "Any decision may be taken to the Council within fifteen days."
    for question in ("What does section 8.24 say?", "What are the appeals?", "appeals"):
        found = gather(question, [other, section]).ranked[0]
        assert (found.sentence.text, found.coverage > 0) == (quoted, True)
    assert not gather("Who heard the appeals in 2019?", [other, section]).ranked[0].coverage


def test_an_exception_is_asked_for() -> None:
    said = source("Bicycles and boats are covered everywhere. Boats at sea are not covered by it.")
    assert texts("What is not covered?", said)[0] == "Boats at sea are not covered by it."
    assert texts("What is covered?", said)[0] == "Bicycles and boats are covered everywhere."


def test_what_columns_are_called_makes_no_row_an_answer() -> None:
    table = source("Vento petrol Vento diesel Vento e\nBoot volume (l) 410 410 375", 1)
    prose = source("The Vento petrol takes unleaded fuel.", 1)
    assert texts("Tell me about the Vento petrol", table, prose)[0] == prose.text
    assert texts("What is the boot volume of the Vento e?", table, prose)[0].startswith("Boot")
