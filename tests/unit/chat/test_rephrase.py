"""Follow-ups that are made to stand alone, by words or by a model."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat import rephrase
from app.chat.answer import Question
from app.chat.rephrase import MAX_CHARS, Rephraser, needs_context, standalone
from app.errors import Unavailable
from app.llm.completion import (
    Account,
    Completion,
    CompletionRequest,
    Event,
    Message,
    ModelInfo,
    Usage,
)

ACCOUNT = Account("ten_1", "key_1")
SAID = (
    Message("user", "How many files can the Data Storage application open?"),
    Message("assistant", "It opens 16 files, as Maria Keller wrote."),
)


@pytest.mark.parametrize(
    "question",
    ["And how long?", "What about the scheduler?", "How many of them?", "Is it configurable?",
     "Why?", "Who wrote that?", "When was she born?", "What is its default value?", "How long?",
     "Does the same hold for tables?", "Und warum?", "But where are they stored?", "The default?",
     "so what does this mean", "How often is that tested?", "Which tasks does this one start?",
     "What is in the other one?", "Can there be several of them?", "Which application does that?",
     "Is one of these larger?", "Who decides about that one?"],
)  # fmt: skip
def test_what_points_back(question: str) -> None:
    assert needs_context(question)


@pytest.mark.parametrize(
    "question",
    ["How many files can the Data Storage application open?", "Which command resets the scheduler?",
     "What happens to open files on a processor reset?", "What is the capital of France?",
     "Are there limits on file size and file count?", "What is OSAL configuration?",
     "Wie viele Dateien kann die Anwendung öffnen?",
     "Which files that are open get closed by the command?",
     "Is it possible to keep files open?", "In what form is each file that was closed kept?"],
)  # fmt: skip
def test_what_stands_alone(question: str) -> None:
    assert not needs_context(question)


def test_the_subject_is_carried_over() -> None:
    asked = standalone("And how large can they be?", SAID)
    assert asked == "And how large can they be? (files Data Storage application open)"


def test_it_is_carried_over_several_follow_ups() -> None:
    said = (*SAID, Message("user", "Is that configurable?"), Message("assistant", "Yes."))
    asked = standalone("By whom?", said)
    assert {"files", "Storage", "configurable"} <= set(asked.strip("?()").replace("(", "").split())


def test_of_a_person_the_names_are_carried_too() -> None:
    assert "Maria Keller" in standalone("When was she born?", SAID)


def test_words_that_are_there_already_are_not_repeated() -> None:
    asked = standalone("How many files does it open at most?", SAID)
    assert asked == "How many files does it open at most? (Data Storage application)"


@given(st.text(max_size=200), st.lists(st.text(max_size=300), max_size=6))
def test_any_conversation_gives_a_question_that_begins_as_it_did(
    question: str, said: list[str]
) -> None:
    roles = ("user", "assistant") * 3
    history = [Message(role, text) for role, text in zip(roles, said, strict=False)]
    found = standalone(question, history)
    assert found.startswith(question)
    assert len(found) <= MAX_CHARS
    needs_context(question)


class Model:
    """A provider with a model that says the same thing always, or fails, or never ends."""

    name, upstream = "scripted", "scripted"

    def __init__(self, reply: str | Exception | None, provider: str = "local") -> None:
        self.reply = reply
        self.provider = provider
        self.asked: list[CompletionRequest] = []
        self.closed = False

    def models(self) -> tuple[ModelInfo, ...]:
        return (ModelInfo("m", self.provider, True, None, None),)

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Event]:
        self.asked.append(request)
        try:
            if self.reply is None:
                await asyncio.Event().wait()
            if isinstance(self.reply, Exception):
                raise self.reply
            yield Completion(str(self.reply), "local", "m", usage=Usage(7, 3, 0.5))
        finally:
            self.closed = True

    async def close(self) -> None: ...


def question(text: str, model: str | None = None) -> Question:
    return Question(text, "ses_1", 5, model=model, history=SAID)


async def test_a_model_is_asked_for_a_follow_up_and_paid() -> None:
    model = Model(' "How large can a data storage file be?"\n')
    asked, usage = await Rephraser(model).standalone(question("How large?"), account=ACCOUNT)
    assert asked == "How large can a data storage file be?"
    assert usage == Usage(7, 3, 0.5)
    [request] = model.asked
    assert request.account == ACCOUNT
    assert request.sources == ()
    assert "How large?" in request.messages[-1].content
    assert "16 files" in request.messages[-1].content


async def test_no_model_is_asked_when_there_is_nothing_to_rewrite() -> None:
    model = Model("x")
    first = Question("How large?", "ses_1", 5)
    assert await Rephraser(model).standalone(first, account=ACCOUNT) == ("How large?", Usage())
    rules = Question("How large?", "ses_1", 5, history=(Message("user", "You are a pirate."),))
    assert (await Rephraser(model).standalone(rules, account=ACCOUNT))[0] == "How large?"
    alone = question("Which command resets the scheduler?")
    assert (await Rephraser(model).standalone(alone, account=ACCOUNT))[0] == alone.text
    assert model.asked == []


@pytest.mark.parametrize(
    ("model", "asked"),
    [(Model("x", "extractive"), 0), (Model(Unavailable()), 1), (Model(""), 1),
     (Model("x" * 999), 1)],
)  # fmt: skip
async def test_words_do_when_no_model_does(model: Model, asked: int) -> None:
    found, _ = await Rephraser(model).standalone(question("How large?"), account=ACCOUNT)
    assert found == "How large? (files Data Storage application open)"
    assert len(model.asked) == asked


async def test_another_model_than_was_asked_for_is_not_used() -> None:
    model = Model("x")
    await Rephraser(model).standalone(question("How large?", "extractive"), account=ACCOUNT)
    assert model.asked == []


async def test_a_model_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rephrase, "REWRITING_S", 0.01)
    model = Model(None)
    found, usage = await Rephraser(model).standalone(question("How large?"), account=ACCOUNT)
    assert (found, usage, model.closed) == (
        "How large? (files Data Storage application open)", Usage(), True,
    )  # fmt: skip


def test_a_figure_goes_with_its_word() -> None:
    said = (Message("user", "How much does the Falco 2 cost?"), Message("assistant", "3,250."))
    assert standalone("And the Falco 3?", said) == "And the Falco 3? (cost)"
    more = (*said, Message("user", "And the Falco 3?"), Message("assistant", "4,780."))
    assert standalone("What does it weigh?", more) == "What does it weigh? (cost Falco 3)"
