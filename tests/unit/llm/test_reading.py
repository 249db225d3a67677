"""What a source is cut into: sentences that can be quoted, with what their colons introduce."""

import pytest

from app.llm.reading import Sentence, read
from tests.unit.llm.asking import source


def sentences(text: str, **about: str) -> list[str]:
    return [one.text for one in read(source(text, **about), english=True).sentences]


def test_an_item_of_a_list_may_be_several_sentences() -> None:
    text = (
        "The release has the following steps:\n\n1. Update the list of changes. It also names the"
        " version.\n2. Create a commit.\n\nAnybody may do so on any day."
    )
    assert sentences(text) == [
        "The release has the following steps: 1. Update the list of changes. It also names the"
        " version. 2. Create a commit.",
        "Anybody may do so on any day.",
    ]


def test_a_line_after_a_list_is_no_item() -> None:
    text = (
        "The pump that stands in the hall has two modes:\n• Idle mode\n• Full power\n"
        "A switch on its front, which is red, chooses the mode."
    )
    assert sentences(text)[0].endswith("two modes: • Idle mode • Full power")


@pytest.mark.parametrize(
    "shown",
    ["pip install pump[full]", "curl -o pump.tar https://pump.example\ntar -xf pump.tar"],
)
def test_a_line_comes_with_the_command_that_it_introduces(shown: str) -> None:
    text = f"To install every part of it, run:\n\n{shown}\n\nThe rest is done at the first start."
    found = read(source(text), english=True).sentences
    assert found[0].text == f"To install every part of it, run: {' '.join(shown.split())}"
    assert found[0].introduces
    assert found[1].text == "The rest is done at the first start."
    assert not found[1].introduces


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "Pumps of the first kind need a filter in front of them.",
        "Pump: R-1 | Filter: yes\nPump: R-2 | Filter: no",
        "Which of them do you have?",
        " ".join(["word"] * 31),
    ],
)
def test_a_line_without_what_it_introduces_is_not_quoted(rest: str) -> None:
    lead = "The following pumps need a filter in front:"
    assert not [text for text in sentences(f"{lead}\n\n{rest}") if text.startswith(lead)]


def test_the_sentence_below_a_colon_knows_what_stands_above_it() -> None:
    text = "These pumps need a filter:\n\nPump: R-1 | Filter: yes"
    [row] = read(source(text), english=True).sentences
    assert "need" in row.before


@pytest.mark.parametrize(
    ("text", "leans"),
    [
        ("It carried two cameras.", True),
        ("These limits are new.", True),
        ("Its lens is of glass.", True),
        ("Italy has two of them.", False),
        ("The pump is new.", False),
        ("Her pumps are new.", False),
    ],
)
def test_what_speaks_of_the_sentence_before_leans_on_it(text: str, leans: bool) -> None:
    assert Sentence(source(text), 0, text, ()).leans is leans


def test_figures_do_not_make_a_sentence_debris() -> None:
    assert sentences("It defaults to 1 000 000.") == ["It defaults to 1 000 000."]
    assert sentences("12 14 16 18 20 22 24 26 28.") == []


def test_a_heading_by_its_number_or_of_the_title_is_not_quoted() -> None:
    title, said = "Leaflet of the tablets A", "Common are drowsiness, a dry mouth, nausea and rash."
    text = f"{title}\n4. Possible side effects\n{said}"
    assert sentences(text, title=title) == [said]


def test_an_item_of_a_list_by_its_number_is_no_heading() -> None:
    steps = ["1. Open the valve of the pump", "2. Close the door behind it"]
    assert sentences("\n".join(steps)) == steps


def test_a_field_may_be_short() -> None:
    assert sentences("Witness: Peter Okafor. Signed in Bristol.") == ["Witness: Peter Okafor."]


def test_a_row_of_figures_stands_under_the_names_of_its_columns() -> None:
    text = (
        "Machines\nModel Groups Power (kW) Price (EUR)\nFalco 1 1 1.8 1,490\nFalco 2 2 3.6 3,250\n"
        "Orders of ten machines are cheaper than these prices."
    )
    rows = [one.lines for one in read(source(text), english=True).sentences]
    columns = "Model Groups Power (kW) Price (EUR)"
    assert rows[:2] == [(columns, "Falco 1 1 1.8 1,490"), (columns, "Falco 2 2 3.6 3,250")]
    assert rows[2] == ("Orders of ten machines are cheaper than these prices.",)
