from dataclasses import replace

import pytest

from app.llm.completion import Source
from app.llm.errand import Errand
from app.llm.extractive import Extractive
from app.llm.gist import MOST_LINES, MOST_SECTIONS, gist_of
from tests.unit.llm.asking import ask, request, source

ALL = Errand("list", "safety requirements")
SUMMARY = Errand("summary", "")
MANUAL = (
    source("Safety requirements\n\nThe safety requirements of the pump are strict.", 1),
    source("The pump is blue. It was built in 1990 by a firm in Kiel.", 2),
    source(
        "Below are the limits of the pump:\n- The pressure stays below 9 bar.\n- No heat.\n"
        "The pump is serviced in May.",
        3,
        heading="4 Safety requirements",
    ),
    source("Further requirements of safety are met by the valve.", 4),
)


def test_a_list_is_every_line_about_the_topic_in_order_with_its_count() -> None:
    assert gist_of(ALL, MANUAL).text.split("\n") == [
        "safety requirements: 4",
        "The safety requirements of the pump are strict. [1]",
        "The pressure stays below 9 bar. [3]",
        "No heat. [3]",
        "Further requirements of safety are met by the valve. [4]",
    ]


def test_what_stands_twice_is_counted_once() -> None:
    twice = [MANUAL[3], replace(MANUAL[3], marker=5)]
    assert gist_of(ALL, twice).text.startswith("safety requirements: 1\n")


def test_a_long_list_is_shortened_and_counted_whole() -> None:
    many = [source(f"Safety requirements of part {n} are met.", n) for n in range(1, 99)]
    found = gist_of(ALL, many)
    assert found.shortened
    assert found.text.startswith("safety requirements: 98\n")
    assert found.text.count("\n") == MOST_LINES


@pytest.mark.parametrize("topic", ["unicorns", "all of the", "", "??"])
def test_nothing_is_said_of_what_is_not_there(topic: str) -> None:
    assert gist_of(Errand("count", topic), MANUAL).text == ""
    assert gist_of(ALL, ()).text == ""


def section(name: str, *texts: str) -> list[Source]:
    return [source(text, 0, heading=name, score=1 - index / 10) for index, text in enumerate(texts)]


def numbered(*sections: list[Source]) -> list[Source]:
    every = [one for many in sections for one in many]
    return [replace(one, marker=marker) for marker, one in enumerate(every, 1)]


def test_a_summary_has_a_sentence_of_each_sections_most_central_source() -> None:
    sources = numbered(
        section("1 Pump", "The pump moves water through the pipe. It is blue.", "Paint it in May."),
        section("2 Valve", "The valve closes the pipe when the water is too hot. Fine."),
    )
    assert gist_of(SUMMARY, sources).text == (
        "1 Pump\nThe pump moves water through the pipe. [1]\n"
        "2 Valve\nThe valve closes the pipe when the water is too hot. [3]"
    )


def test_a_summary_is_of_the_longest_sections() -> None:
    short = [section(f"{n} Part", "Nothing much is said of this part.") for n in range(30)]
    long = section("30 Heart", "The heart of the matter is said in this long section of it. " * 9)
    text = gist_of(SUMMARY, numbered(*short, long)).text
    assert "30 Heart\nThe heart of the matter" in text
    assert text.count("[") == MOST_SECTIONS


def test_a_document_without_sentences_has_no_summary() -> None:
    assert gist_of(SUMMARY, [source("1 2 3"), source(""), source("....")]).text == ""


async def test_the_extractive_provider_carries_errands_out() -> None:
    text, completion = await ask(Extractive(), request("q", *MANUAL, errand=ALL))
    assert text == gist_of(ALL, MANUAL).text
    assert (completion.provider, completion.abstained, completion.truncated) == (
        "extractive",
        None,
        False,
    )
    _, nothing = await ask(Extractive(), request("q", *MANUAL, errand=Errand("list", "unicorns")))
    assert (nothing.text, nothing.abstained) == ("", "no_match")
    many = [source(f"Safety requirements of part {n} are met.", n) for n in range(1, 99)]
    _, cut = await ask(Extractive(), request("q", *many, errand=ALL))
    assert cut.truncated
