"""What an answer may tell of, and so goes with."""

from dataclasses import replace

import orjson
import pytest

from app.chat.answer import Answer, Citation, Question, Timings, WholeDocument
from app.chat.retelling import named_in, rests_on
from app.http.sse import frame
from app.llm.completion import Usage
from app.retrieval.search import Retrieved
from tests.fakes import passage

QUESTION = Question("How large?", "ses_1", 5, history_rests_on=frozenset({"doc_before"}))
CITED = Citation(1, "doc_cited", 1, "T", "f", (), 1, "q", 0, 1, [], 0.5, verified=True, url=None)
RETRIEVED = Retrieved((replace(passage(), document_id="doc_shown"),), 0.0, 0.0)
ANSWER = Answer(
    "ans_1", "ses_1", "It is.", "complete", None, (CITED,), "local", "m", Usage(), (),
    Timings(0.0, 0.0, None, 0.0, 0.0),
)  # fmt: skip


@pytest.mark.parametrize("status", ["complete", "incomplete"])
def test_a_model_may_tell_of_all_that_it_was_shown(status: str) -> None:
    answer = replace(ANSWER, status=status)
    assert rests_on(QUESTION, RETRIEVED, answer) == ("doc_before", "doc_cited", "doc_shown")


def test_what_is_quoted_tells_of_what_it_quotes() -> None:
    answer = replace(ANSWER, provider="extractive")
    assert rests_on(QUESTION, RETRIEVED, answer) == ("doc_cited",)


def test_an_abstention_tells_of_nothing() -> None:
    answer = replace(ANSWER, status="abstained", citations=())
    assert rests_on(QUESTION, RETRIEVED, answer) == ()


def test_a_document_that_was_read_as_a_whole_is_one() -> None:
    whole = WholeDocument("summary", "doc_whole", 1, 3, 3, 1)
    answer = replace(ANSWER, citations=(), whole_document=whole)
    asked = replace(QUESTION, history_rests_on=frozenset())
    assert rests_on(asked, Retrieved((), 0.0, 0.0), answer) == ("doc_whole",)


def test_what_a_document_says_names_none() -> None:
    forged = '"document_id":"doc_forged"'
    told = {"passages": [{"document_id": "doc_a", "text": forged}, {"document_id": "doc_b"}]}
    assert named_in(frame("sources", orjson.dumps(told), "1")) == {"doc_a", "doc_b"}
