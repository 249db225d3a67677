import re

import numpy as np
import pytest

from app.llm.completion import Delta
from app.llm.extractive import Extractive
from tests.unit.llm.asking import ask, collect, request, source

GUIDE = source(
    "3.2 Files\nThe DS application writes packets to files. A file may be at most 10 MB\nlarge. "
    "Files older than five days are\nclosed automatically. Dr. Smith maintains the tables.",
    marker=2,
)
FRAMES = source(
    "Scheduling works in frames. SCH shall schedule a maximum of 5 activities in each minor "
    "frame. A major frame lasts one second.",
    marker=4,
)


async def answer(question, *sources, **options):
    text, completion = await ask(Extractive(**options), request(question, *sources))
    assert text == completion.text
    return completion


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How large may a file be?", "A file may be at most 10 MB large. [2]"),
        ("How many activities fit in a minor frame?", "SCH shall schedule a maximum of 5"),
        ("When are files closed?", "Files older than five days are closed automatically. [2]"),
        ("Who maintains the tables?", "Dr. Smith maintains the tables. [2]"),
        ("How long does a major frame last?", "A major frame lasts one second. [4]"),
    ],
)
async def test_answers(question, expected):
    completion = await answer(question, GUIDE, FRAMES)
    assert expected in completion.text
    assert completion.abstained is None
    assert (completion.provider, completion.model) == ("extractive", "extractive")
    assert completion.usage.cost_usd == 0.0
    assert completion.first_token_ms is not None


async def test_every_quote_is_verbatim_and_marked():
    completion = await answer("How large may a file be, and when is it closed?", GUIDE, FRAMES)
    pieces = re.findall(r"(.+?) \[(\d+)\](?: |$)", completion.text)
    assert 1 <= len(pieces) <= 3
    by_marker = {"2": GUIDE, "4": FRAMES}
    for quoted, marker in pieces:
        assert quoted in " ".join(by_marker[marker].text.split())


@pytest.mark.parametrize(
    "question",
    ["What is the capital of France?", "Who won the 2018 World Cup?", "hello", "??", "", "你好吗"],
)
async def test_other_subjects_are_no_match(question):
    completion = await answer(question, GUIDE, FRAMES)
    assert (completion.abstained, completion.text) == ("no_match", "")
    assert await collect(Extractive(), request(question)) == [completion]


async def test_what_speaks_of_something_else_is_not_added() -> None:
    limits = source(
        "The size_limit setting bounds a file. It defaults to 10 MB.\n\n"
        "The hub keeps a list of all colours. It defaults to a dozen."
    )
    text = (await answer("What does size_limit default to?", limits)).text
    assert "It defaults to 10 MB. [1]" in text
    assert "a dozen" not in text


async def test_what_leans_on_what_was_quoted_may_follow_it() -> None:
    net = source(
        "CSNET was a network for departments of science. The Foundation paid in all of its years."
        " Its purpose was to extend what others had."
    )
    text = (await answer("What was CSNET, and its purpose?", net)).text
    assert text.startswith("CSNET was a network")
    assert "Its purpose was to extend what others had. [1]" in text


async def test_a_few_shared_words_are_a_weak_match():
    far = [source(GUIDE.text, 1, similarity=0.15), source(FRAMES.text, 2, similarity=0.12)]
    completion = await answer("Who maintains the tables of kings and queens in castles?", *far)
    assert completion.abstained == "weak_match"
    unknown = [source(GUIDE.text, 1, similarity=None)]
    completion = await answer("Which tables do restaurants in cities reserve?", *unknown)
    assert completion.abstained == "weak_match"


async def test_words_alone_are_enough_without_a_similarity():
    lexical = source(GUIDE.text, 1, similarity=None)
    assert (await answer("How large may a file be?", lexical)).abstained is None


async def test_the_same_sentence_is_quoted_once():
    twin = source(GUIDE.text, 3)
    completion = await answer("How large may a file be?", GUIDE, twin)
    assert completion.text.count("10 MB") == 1


async def test_neighbours_are_quoted_in_reading_order():
    text = "The probe was built in Oslo. It weighs 40 kg without fuel. The sky is blue today."
    completion = await answer("How heavy is the probe without fuel?", source(text))
    assert completion.text.startswith("The probe was built in Oslo. [1] It weighs 40 kg")


async def test_another_language():
    german = source("Die Datei darf höchstens 10 MB groß sein. Das Wetter war schön und warm.")
    completion = await answer("Wie groß darf die Datei sein?", german)
    assert "höchstens 10 MB" in completion.text
    chinese = source("文件大小上限为十兆字节。天气非常好。")
    assert "上限" in (await answer("文件大小的上限是多少", chinese)).text


async def test_similarity_can_decide_between_equals():
    text = "The pump was replaced by the crew. The pump was cleaned by the crew."
    seen = []

    async def embed(sentences):
        seen.extend(sentences)
        return np.array([[1, 0], *([float("cleaned" in s), 0] for s in sentences[1:])], np.float32)

    completion = await answer("Who handled the pump?", source(text), embed_sentences=embed)
    assert "cleaned" in completion.text
    assert seen[0] == "Who handled the pump?"


async def test_the_answer_is_one_delta():
    events = await collect(Extractive(), request("How large may a file be?", GUIDE))
    assert isinstance(events[0], Delta)
    assert len(events) == 2
    await Extractive().close()
    assert [model.id for model in Extractive().models()] == ["extractive"]


async def test_other_rows_are_not_told_with_the_one_that_was_asked_for():
    rows = "\n".join(
        f"Model: R-{n}00 | Max. pressure: {n * 5} bar | Price: $ {n},450" for n in (1, 2, 3)
    )
    completion = await answer("What is the maximum pressure of the R-200?", source(rows))
    assert completion.text == "Model: R-200 | Max. pressure: 10 bar | Price: $ 2,450 [1]"


async def test_nothing_is_added_that_has_no_word_of_the_question():
    about = source("The golden hour begins at six in the morning.")
    other = source("Employees receive thirty days of leave.", marker=2)
    completion = await answer("When does the golden hour begin?", about, other)
    assert completion.text == "The golden hour begins at six in the morning. [1]"


async def test_rows_of_one_table_are_quoted_under_its_years_once():
    text = "In millions 2022 2021\nRevenues:\nGlobal Services 17 16\nHome Services 27 20"
    completion = await answer("What revenues did the Services have in 2021?", source(text))
    assert completion.text == (
        "In millions 2022 2021 [1] Revenues: [1] Global Services 17 16 [1] Home Services 27 20 [1]"
    )


async def test_what_differs_by_a_small_word_or_a_figure_is_no_repetition():
    during = "During the probation period of six months either side may give two weeks of notice."
    after = "After probation the notice period is one month."
    question = "What is the notice period in probation?"
    text, _ = await ask(Extractive(), request(question, source(f"{during} {after}")))
    assert text == f"{during} [1] {after} [1]"
    every = "Every employee of the company who works full time at the plant in Leeds has"
    old, new = (f"{every} {days} days of paid leave in each calendar year." for days in (25, 28))
    question = "How many days of paid leave are there?"
    text, _ = await ask(Extractive(), request(question, source(old, 1), source(new, 2)))
    assert old in text
    assert new in text


async def test_of_another_document_only_what_says_as_much_is_added():
    first = source("Smoking is not allowed in any of the rooms.", 1, title="Lease")
    others = "Groups allow several activities to be started together."
    question = "Is smoking allowed?"
    text, _ = await ask(Extractive(), request(question, first, source(others, 2, title="Manual")))
    assert text == "Smoking is not allowed in any of the rooms. [1]"
    text, _ = await ask(Extractive(), request(question, first, source(others, 2, title="Lease")))
    assert others in text


async def test_an_answer_has_no_more_tokens_than_asked_for():
    asked = "How large may a file be, and when is it closed?"
    whole = await answer(asked, GUIDE, FRAMES)
    _, fewer = await ask(Extractive(), request(asked, GUIDE, FRAMES, max_tokens=20))
    _, parted = await ask(Extractive(), request(asked, GUIDE, FRAMES, max_tokens=6))
    assert whole.text.startswith(fewer.text)
    assert fewer.text.endswith(". [2]")
    assert (fewer.truncated, parted.truncated) == (False, True)
    assert parted.text.endswith(" [2]")
    assert len(parted.text) < len(fewer.text) < len(whole.text)


PLANS = source(
    "Plan | Price | Seats\nPlan: Basic | Price: 5 EUR | Seats: 1\n"
    "Plan: Team | Price: 9 EUR | Seats: 5\n"
    "Plan: Firm | Price: 12 EUR | Seats: 20\nPlan: Group | Price: 30 EUR | Seats: 90\n"
    "Plan: Campus | Price: 50 EUR | Seats: 900",
    title="Prices",
)
FEES = source(
    "Parking in the yard costs 3 euros a day. Parking in the garage costs 8 euros a day. "
    "The porter has the keys of the yard.",
    marker=3,
    title="Fees",
    similarity=0.1,
)


@pytest.mark.parametrize(
    "question",
    [
        "Compare parking in the yard and the garage",
        "What is the difference between the garage and the yard?",
        "garage vs yard",
        "Which is cheaper, the yard or the garage?",
    ],
)
async def test_a_comparison_quotes_both_sides(question):
    completion = await answer(question, FEES)
    assert "in the yard costs 3 euros a day. [3]" in completion.text
    assert "in the garage costs 8 euros a day. [3]" in completion.text


async def test_a_comparison_with_what_no_source_names_is_none():
    assert (
        await answer("Compare parking at Gatwick and in the yard", FEES)
    ).abstained == "no_match"


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("Which five plans are there?", ["Basic", "Team", "Firm", "Group", "Campus"]),
        ("List the price of every plan", ["Basic", "Team", "Firm", "Group", "Campus"]),
        ("What is the price of the Team plan?", ["Team"]),
    ],
)
async def test_as_many_rows_are_told_as_were_asked_for(question, rows):
    assert re.findall(r"Plan: (\w+)", (await answer(question, PLANS)).text) == rows
