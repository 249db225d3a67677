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


def test_a_list_stands_below_its_heading() -> None:
    text = "2. Not insured\n- damage by rust or mould;\n- boats, drones and motor cars."
    assert sentences(text, heading="Policy > 2. Not insured") == [
        "2. Not insured - damage by rust or mould; - boats, drones and motor cars."
    ]


def test_a_heading_below_a_heading_is_no_list() -> None:
    text = "Home Contents Policy\n\n1. What is insured\n\nWe insure what is in your home."
    assert not any("Policy" in one for one in sentences(text, heading="Home Contents Policy"))


def test_a_list_ends_where_its_items_are_marked_otherwise() -> None:
    text = "Ingredients:\n- 2 large onions\n- 1 litre of stock\n1. Chop both onions and cook them."
    assert sentences(text)[0] == "Ingredients: - 2 large onions - 1 litre of stock"


def test_the_names_of_a_tables_columns_are_no_row() -> None:
    text = "A: in-house | B: bought in\nCost | A: in-house: 38 EUR | B: bought in: 31 EUR"
    assert sentences(text) == ["Cost | A: in-house: 38 EUR | B: bought in: 31 EUR"]


@pytest.mark.parametrize(
    ("header", "row", "lead"),
    [
        ("Vento 1.6 petrol Vento 2.0 diesel Vento e", "Top speed (km/h) 187 205 160", True),
        ("Segment Revenue 2025 Employees 2025", "Panels 141.5 905", True),
        ("Total of 1,200 employees", "Panels 141.5 905", False),
    ],
)
def test_columns_may_be_named_with_figures(header: str, row: str, lead: bool) -> None:
    found = read(source(f"{header}\n{row}"), english=True).sentences
    assert [one.lead for one in found if one.text == row] == ([(header,)] if lead else [])


def test_a_row_whose_figures_have_units_ends_no_table() -> None:
    text = "Model Vento Model Falco\nPower 88 110\nTank 50 l 55 l\nWeight 1,245 1,410"
    found = read(source(text), english=True).sentences
    assert [(one.text, bool(one.lead)) for one in found] == [
        ("Power 88 110", True), ("Tank 50 l 55 l", True), ("Weight 1,245 1,410", True),
    ]  # fmt: skip


def test_years_name_the_columns_of_the_next_table() -> None:
    text = "EUR million 2025 2024\nRevenue 412 384\nSegment Sales 2025 Staff 2025\nPanels 141 905"
    assert read(source(text), english=True).sentences[-1].lead == ("Segment Sales 2025 Staff 2025",)


def test_what_a_message_quotes_is_told_without_its_marks() -> None:
    text = "From: Ann\n\n> From: Bob\n> Date: 5 May\n>\n> The roof holds 150 people at most."
    assert sentences(text)[-1] == "The roof holds 150 people at most."
