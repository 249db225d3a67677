"""What a trace says of a question and its answer, and what it does not."""

from dataclasses import replace

import pytest

from app.auth.caller import Caller
from app.chat.answer import Question
from app.chat.pipeline import ChatPipeline
from app.chat.rephrase import Rephraser
from app.infra.tracing import Tracer
from app.llm.completion import Account, Completion, Message
from tests.fakes import NO_CACHE, FixedRetriever, Kept, KeptSpans, ScriptedProvider, passage

ADA = Caller("ten_1", "key_1", frozenset({"chat"}), user_id="usr_1")
SAID = "The limit is 10 MB [1]."
SECRET = "ada@example.org"
ASKED = Question(f"How large is it for {SECRET}?", "ses_1", 5)


async def traced(question: Question, *, content: bool = False, found: bool = True) -> KeptSpans:
    spans = KeptSpans()
    provider = ScriptedProvider(Completion(SAID, "scripted", "m"))
    retriever = FixedRetriever(passage()) if found else FixedRetriever()
    chat = ChatPipeline(retriever, provider, Kept(), NO_CACHE)  # type: ignore[arg-type]
    with Tracer([spans], content=content).begin("root", kind="server") as root:
        answer = await chat.answer(ADA, question)
        assert answer.trace_id == root.trace_id
    return spans


async def test_an_answer_is_told_without_a_word_of_it() -> None:
    spans = await traced(ASKED)
    root = spans.named("root")
    assert root.trace.about == "question"
    assert root.trace.shared == {
        "session.id": "key_1/ses_1",
        "gen_ai.conversation.id": "key_1/ses_1",
        "user.id": "usr_1",
        "docent.tenant.id": "ten_1",
    }
    assert str(root.attributes.pop("docent.answer.id")).startswith("ans_")
    assert root.attributes == {
        "docent.answer.status": "complete",
        "docent.answer.provider": "scripted",
        "docent.answer.citations": 1,
        "docent.answer.groundedness": 1.0,
    }
    grounding = spans.named("grounding")
    assert grounding.attributes == {
        "docent.grounding.cited": 1,
        "docent.answer.groundedness": 1.0,
        "docent.grounding.unsupported": 0,
    }
    assert not any("MB" in str(span.attributes) for span in spans.spans)


async def test_an_abstention_has_its_reason() -> None:
    spans = await traced(ASKED, found=False)
    assert spans.named("root").attributes["docent.answer.reason"] == "no_match"
    assert [span.name for span in spans.spans] == ["root"]


async def test_question_and_answer_leave_masked_if_they_are_wanted() -> None:
    root = (await traced(ASKED, content=True)).named("root")
    assert root.attributes["docent.question"] == "How large is it for ***?"
    assert root.attributes["docent.answer"] == SAID


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        (SECRET, "key_1/***"),
        ("x" * 128, "key_1/" + "x" * 128),
        ("größe \ud83d", "key_1/gr??e ?"),
    ],
)
async def test_a_session_is_its_callers_and_hostile_names_are_harmless(
    name: str, seen: str
) -> None:
    spans = await traced(replace(ASKED, session_id=name))
    assert spans.named("root").trace.shared["session.id"] == seen


async def test_untraced_an_answer_names_no_trace() -> None:
    provider = ScriptedProvider(Completion(SAID, "scripted", "m"))
    chat = ChatPipeline(FixedRetriever(passage()), provider, Kept(), NO_CACHE)  # type: ignore[arg-type]
    assert (await chat.answer(ADA, ASKED)).trace_id is None


@pytest.mark.parametrize(("says", "by"), [("How large is a file?", "model"), ("", "words")])
async def test_a_rewritten_question_is_a_span(says: str, by: str) -> None:
    spans = KeptSpans()
    history = (Message("user", "What is a file?"), Message("assistant", "A thing."))
    asked = Question("And how large is it?", "ses_1", 5, history=history)
    rephraser = Rephraser(ScriptedProvider(Completion(says, "scripted", "m")))
    with Tracer([spans]).begin("root", kind="server"):
        text, _ = await rephraser.standalone(asked, account=Account("ten_1", "key_1"))
    assert text
    assert spans.named("rewrite").attributes == {"docent.rewrite.by": by}
