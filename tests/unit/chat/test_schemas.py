"""What a question may say, and how an answer is spelled."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.chat.answer import Answer, Timings
from app.chat.grounding import Grounding, Unsupported
from app.chat.schemas import AnswerOut, ChatIn, ModelOut, PassageOut, RetrieveIn, RetrieveOut
from app.llm.completion import Attempt, Completion, ModelInfo, Usage
from app.retrieval.search import Retrieved
from tests.fakes import passage
from tests.unit.chat.citing import cite

GOOD = {"question": "How large?"}


@pytest.mark.parametrize("model", [ChatIn, RetrieveIn])
def test_a_question_alone_is_enough(model) -> None:
    question = model(**GOOD).to_question()
    assert (question.text, question.top_k, question.document_ids, question.tags) == (
        "How large?",
        5,
        None,
        None,
    )


def test_a_session_is_begun_when_none_is_named() -> None:
    one, two = ChatIn(**GOOD).to_question(), ChatIn(**GOOD).to_question()
    assert one.session_id.startswith("ses_")
    assert one.session_id != two.session_id
    assert ChatIn(**GOOD, session_id="mine").to_question().session_id == "mine"


def test_everything_said_is_handed_on() -> None:
    body = ChatIn.model_validate_json(
        '{"question": " q ", "session_id": null, "stream": "auto", "model": "groq",'
        ' "temperature": 2, "max_tokens": 1, "top_k": 50,'
        ' "filters": {"document_ids": ["doc_1"], "tags": ["a", "b"]},'
        ' "as_of": "2026-11-21T10:00:00+02:00"}'
    )
    question = body.to_question()
    assert (question.text, question.model, question.temperature, question.max_tokens) == (
        "q",
        "groq",
        2,
        1,
    )
    assert (question.top_k, question.document_ids, question.tags) == (50, ("doc_1",), ("a", "b"))
    assert question.as_of == datetime(2026, 11, 21, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("question", ""), ("question", " \n\t\u3000"), ("question", "x" * 4001), ("question", None),
        ("question", 7), ("question", ["x"]), ("question", "a\0b"), ("question", "a\ud800b"),
        ("top_k", 0), ("top_k", 51), ("top_k", 10**400), ("top_k", "many"), ("top_k", 1.5),
        ("top_k", "5"), ("top_k", True), ("as_of", 0), ("as_of", "0"), ("as_of", "2026-11-21"),
        ("top_k", None),
        ("filters", []), ("filters", {"tenant_id": "x"}), ("filters", None),
        ("filters", {"document_ids": ["x"] * 101}), ("filters", {"document_ids": [""]}),
        ("filters", {"document_ids": ["x" * 65]}), ("filters", {"tags": ["a\0"]}),
        ("filters", {"tags": ["\udfff"]}), ("filters", {"tags": [{"$ne": 1}]}), ("filters",
        {"tags": "a"}),
        ("as_of", "2026-11-21T10:00:00"), ("as_of", "yesterday"), ("as_of", float("nan")),
        ("api_base", "http://evil"), ("Question", "x"), ("tenant_id", "ten_x"), ("\ud800", 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("model", [ChatIn, RetrieveIn])
def test_anything_else_is_refused(model, field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        model(**{**GOOD, field: value})
    # Python 3.11's pydantic shows a lone surrogate in a field's name as something printable.
    assert field == "\ud800" or field in {str(error["loc"][0]) for error in caught.value.errors()}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_id", ""), ("session_id", "x" * 129), ("session_id", "a\0"), ("session_id", 7),
        ("stream", "always"), ("stream", "AUTO"), ("stream", 1), ("stream", "true"),
        ("temperature", False),
        ("temperature", "1"), ("max_tokens", "1"), ("model", ""), ("model", "x" * 201), ("model",
        "\ud800"),
        ("temperature", -0.1), ("temperature", 2.1), ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("max_tokens", 0), ("max_tokens", 32769), ("max_tokens", "all"),
    ],
)  # fmt: skip
def test_the_options_of_an_answer_are_bounded(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        ChatIn(**{**GOOD, field: value})
    with pytest.raises(ValidationError):
        RetrieveIn(**{**GOOD, field: 1})  # no options there at all


@given(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1c\x1d\x1e\x1f"),
        min_size=1,
        max_size=4000,
    )
)
def test_any_other_text_is_a_question(text: str) -> None:
    if text.strip():
        assert ChatIn(question=text).to_question().text == text.strip()


def test_the_longest_question() -> None:
    assert len(ChatIn(question="字" * 4000).to_question().text) == 4000


def test_an_answer_has_every_member_of_the_contract() -> None:
    completion = Completion(
        "The limit is 10 MB [1].",
        "groq",
        "m",
        Usage(812, 64, None),
        (Attempt("groq", "m", "ok", 820.04),),
    )
    text, citations = cite(completion.text, (passage(),))
    answer = Answer(
        "ans_1",
        "ses_1",
        text,
        "complete",
        None,
        citations,
        completion.provider,
        completion.model,
        completion.usage,
        completion.attempts,
        Timings(2.123, 3.456, None, 815.0, 825.349),
        grounding=Grounding(0.5, (Unsupported("So it is.", 0.0),)),
    )
    body = json.loads(AnswerOut.json_of(answer, "r1"))
    assert AnswerOut.model_validate(body, extra="forbid").model_dump(mode="json") == body
    assert body == {
        "answer_id": answer.answer_id, "session_id": "ses_1", "answer": "The limit is 10 MB [1].",
        "status": "complete", "reason": None,
        "citations": [{
            "marker": 1, "document_id": "doc_1", "version": 3, "title": "Guide",
            "filename": "guide.pdf",
            "tags": ["safety"], "page": 12, "quote": "The limit is 10 MB", "start": 100, "end": 118,
            "boxes": [], "score": 0.9, "verified": True, "url": None,
        }],
        "groundedness": 0.5, "unsupported": [{"text": "So it is.", "support": 0.0}],
        "provider": "groq", "model": "m", "cached": None,
        "usage": {"prompt_tokens": 812, "completion_tokens": 64, "cost_usd": None},
        "attempts": [{"provider": "groq", "model": "m", "outcome": "ok", "ms": 820.0}],
        "timings": {"embedding_ms": 2.12, "search_ms": 3.46, "first_token_ms": None,
                    "generation_ms": 815.0, "total_ms": 825.35},
        "trace_id": "r1",
    }  # fmt: skip


def test_passages_and_models_are_spelled_as_in_the_contract() -> None:
    out = RetrieveOut.of(Retrieved((passage(),), 1.234, 5.678)).model_dump(mode="json")
    assert out == {
        "passages": [{"document_id": "doc_1", "version": 3, "title": "Guide", "page": 12,
                      "text": "The limit is 10 MB.", "score": 0.9, "dense_rank": 1,
                      "text_rank": None}],
        "timings": {"embedding_ms": 1.23, "search_ms": 5.68},
    }  # fmt: skip
    assert set(PassageOut.model_fields) == set(out["passages"][0])
    model = ModelOut.of(ModelInfo("m", "groq", False, "2026-11-21T09:00:00Z", 8192))
    assert model.model_dump() == {
        "id": "m", "provider": "groq", "available": False,
        "cooling_down_until": "2026-11-21T09:00:00Z", "context_tokens": 8192,
    }  # fmt: skip
