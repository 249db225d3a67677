import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.sentences import is_figures, split, tidy

PIECES = [*"aAbB 1.?!,;:\n\r\t()[]\"'•-o。é", "\n\n", ". ", "...", "e.g.", "3.2.1 ", "word "]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=80).map("".join)


def sentences(text):
    return [tidy(text[start:end]) for start, end in split(text)]


@given(TEXTS | st.text(max_size=200))
def test_spans_cover_the_text_verbatim(text):
    spans = split(text)
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(start < end for start, end in spans)


@pytest.mark.parametrize(
    "text",
    [
        "See e.g. Fig. 3 for the limit of 3.5 MB.",
        "Dr. A. Cudmore wrote it, cf. Sec. 2.4 and others.",
        "The file is 1,000.5 bytes (approx. 1 KB) long.",
        "Version 4.1.2 of the U.S. edition is current.",
        "He asked for Ref. 12 etc. and got it.",
        "Ulta Beauty, Inc. (NASDAQ: ULTA) told its results.",
        "A wrapped line of text that goes on for quite some while until it\n"
        "Reaches the next line, which begins with a capital although it is\nthe same sentence.",
    ],
)
def test_one_sentence(text):
    assert sentences(text) == [tidy(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One here. Two there! Three?  Four", ["One here.", "Two there!", "Three?", "Four"]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("It fell to 5. In 2010 it rose.", ["It fell to 5.", "In 2010 it rose."]),
        ("It ended.[12] Then more.", ["It ended.[12]", "Then more."]),
        ("これは文です。次の文。", ["これは文です。", "次の文。"]),
        ("Title line\n\nBody text.", ["Title line", "Body text."]),
        ("Do this:\n• first item\n• second item", ["Do this:", "• first item", "• second item"]),
        (
            "Overtime on weekdays is paid at\n1.5 times the rate.\n2.5 Sundays\nAll is double.",
            [
                "Overtime on weekdays is paid at 1.5 times the rate.",
                "2.5 Sundays",
                "All is double.",
            ],
        ),
        ("1. Open the lid.\n2. Close it.", ["1. Open the lid.", "2. Close it."]),
        (
            "The unit is ready\n3.2.1 Setup\nPress start.",
            ["The unit is ready", "3.2.1 Setup", "Press start."],
        ),
        (
            "DS shall stop\n7032 DS5001 DS shall begin",
            ["DS shall stop", "7032 DS5001 DS shall begin"],
        ),
        (
            "1.1 Purpose.............3\nThe purpose is clear.",
            ["1.1 Purpose.............3", "The purpose is clear."],
        ),
        (
            "Overview\nThe first line of this paragraph is about as wide as the page.\n"
            "The second one is as wide as the first, and ends here as well.",
            [
                "Overview",
                "The first line of this paragraph is about as wide as the page.",
                "The second one is as wide as the first, and ends here as well.",
            ],
        ),
        ("", []),
    ],
)
def test_boundaries(text, expected):
    assert [sentence for sentence in sentences(text) if sentence] == expected


def test_long_text_is_linear():
    assert len(split("A short one. " * 20_000)) == 20_000


def test_every_row_of_a_table_is_a_sentence():
    rows = [
        "Model | Flow | Price",
        "Model: R-1 | Flow: 12 | Price: 9",
        "Model: R-2 | Flow: 14 | Price: 8",
    ]
    assert sentences("\n".join(["The models:", *rows, "All are new."])) == [
        "The models:", *rows, "All are new.",
    ]  # fmt: skip


def test_where_clauses_end_with_spaces_some_make_a_sentence():
    clause = "\u0e1e" * 50
    text = f"{clause} {clause} {clause} {clause}. {clause}"
    found = sentences(text)
    assert [len(one) for one in found] == [152, 51, 50]
    assert "".join(text[start:end] for start, end in split(text)) == text


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("Total revenues $66,608 $62,286 $58,158", True),
        ("Gain on sale \u2014 $ (373,445)", True),
        ("Net sales $ 3,226,773 100.0% $ 2,729,388 100.0%", True),
        ("Basic \u20ac 0.48 \u20ac (0.09)", True),
        ("2022 2021 2020", False),
        ("We built 12", False),
        ("for the year ended December 31, 2022", False),
        ("it fell from 12 to 10", False),
        ("It fell from 12 to 10.", False),
        ("", False),
    ],
)
def test_rows_of_figures_are_told_from_prose(line: str, row: bool) -> None:
    assert is_figures(line) is row


def test_each_row_of_figures_is_a_sentence() -> None:
    text = "Revenue:\nHardware and all other things $ 91 $ 84\nBitcoin 45 51\nSee the notes."
    assert sentences(text) == text.split("\n")


WIDE = "The delay of two weeks came from the supplier of the boards, who had none of them left in\n"


@pytest.mark.parametrize(
    "lines",
    [
        ["Oil can Red Oil pressure too low Stop at once and wait here",
         "Thermometer Red Coolant too hot Stop and let the engine idle",
         "Battery Red Not charging Drive to a workshop without a stop"],
        ["CHE 152 Topics in Chemistry 4 Fall Dimitriou CHE 135 and a good deal more, as it is said",
         "CHE 169 Seminar in Chemistry 3 Spring Eze CHE 152"],
        ["From: Dmitri Volkov of the Orchard Hall Venue Team, at the reception of the first floor",
         "Date: Mon, 5 Oct 2026"],
    ],
)  # fmt: skip
def test_rows_of_words_stand_alone(lines):
    assert sentences(f"{WIDE}store.\n\n" + "\n".join(lines))[-len(lines) :] == lines


def test_wrapped_lines_that_begin_with_capitals_go_on():
    text = (
        "The board of the Norwegian Panel Company met on the third of May in Oslo with all of\n"
        "Halvorsen Timber, which had come from Kirkholm by night with lawyers and with all the\n"
        "Papers that Lund Panels had asked for."
    )
    assert len(sentences(text)) == 1
