"""Annotations stand where the markers stand, and a finish says how the answer ended."""

import dataclasses
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from app.chat.answer import ABSTENTION, Answer, Timings
from app.chat.openai_answer import CompletionOut, annotations, finish_reason
from app.llm.completion import Attempt, Usage
from tests.fakes import passage
from tests.unit.chat.citing import cite


def answered(text: str = "The limit is 10 MB [1].", **changes: Any) -> Answer:
    said, citations = cite(text, [passage(), passage("It is checked twice.", page=4)])
    whole = Answer(
        "ans_1", "", said, "complete", None, citations, "groq", "llama", Usage(800, 60, 0.5),
        (Attempt("groq", "llama", "ok", 8.04),), Timings(1, 2, 3, 4, 5),
    )  # fmt: skip
    return dataclasses.replace(whole, **changes)


def test_every_marker_has_an_annotation_where_it_stands() -> None:
    answer = answered("Größe 🚀: the limit is 10 MB [1]. It is checked [2]. Still 10 MB [1][9].")
    found = annotations(answer)
    assert len(found) == 3
    by_marker = {f"[{citation.marker}]": citation for citation in answer.citations}
    for annotation in found:
        cited = by_marker[answer.text[annotation.start_index : annotation.end_index]]
        assert (annotation.file_id, annotation.quote, annotation.page, annotation.filename) == (
            cited.document_id, cited.quote, cited.page, "guide.pdf",
        )  # fmt: skip
    assert {annotation.page for annotation in found} == {4, 12}


def test_linked_annotations_are_what_openais_own_schema_asks_for() -> None:
    shape = CompletionOut.of(answered(), "docent", linked=True).model_dump_json()
    checked = ChatCompletion.model_validate_json(shape)  # as pydantic-ai checks it
    [annotation] = checked.choices[0].message.annotations or []
    assert annotation.url_citation.model_dump() == {
        "start_index": 19, "end_index": 22, "title": "Guide",
        "url": "/api/v1/docs/doc_1/pages/12?version=3",
    }  # fmt: skip
    assert (annotation.model_extra or {})["quote"] == "The limit is 10 MB"


def test_the_link_of_a_document_that_came_from_one_is_its_own() -> None:
    answer = answered()
    [citation] = answer.citations
    fetched = dataclasses.replace(citation, url="https://example.com/guide.pdf")
    [annotation] = annotations(dataclasses.replace(answer, citations=(fetched,)), linked=True)
    assert annotation.model_dump()["url_citation"]["url"] == "https://example.com/guide.pdf"


def test_a_bracket_that_is_no_citation_is_not_annotated() -> None:
    assert annotations(answered(text="See [7] and [x].", citations=())) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({}, "stop"), ({"status": "incomplete"}, "length"),
     ({"status": "abstained", "reason": "refused"}, "content_filter"),
     ({"status": "abstained", "reason": "no_match"}, "stop")],
)  # fmt: skip
def test_why_it_ends(changes: dict, reason: str) -> None:
    assert finish_reason(answered(**changes)) == reason


def test_the_whole_answer() -> None:
    shape = CompletionOut.of(answered(), "docent").model_dump()
    assert shape.pop("created") > 1_700_000_000
    assert shape == {
        "id": "ans_1", "object": "chat.completion", "model": "docent",
        "choices": [{"index": 0, "logprobs": None, "finish_reason": "stop", "message": {
            "role": "assistant", "content": "The limit is 10 MB [1].", "refusal": None,
            "annotations": [{
                "type": "file_citation", "file_id": "doc_1", "filename": "guide.pdf",
                "quote": "The limit is 10 MB", "page": 12, "start_index": 19, "end_index": 22,
                "version": 3, "title": "Guide", "verified": True,
            }],
        }}],
        "usage": {"prompt_tokens": 800, "completion_tokens": 60, "total_tokens": 860},
        "docent": {"status": "complete", "reason": None, "groundedness": None,
                   "provider": "groq", "model": "llama",
                   "attempts": [{"provider": "groq", "model": "llama", "outcome": "ok",
                                 "ms": 8.0}]},
    }  # fmt: skip


def test_an_abstention_is_a_message_without_annotations() -> None:
    answer = answered(text=ABSTENTION, citations=(), status="abstained", reason="weak_match")
    [choice] = CompletionOut.of(answer, "docent").choices
    assert (choice.message.content, choice.message.annotations) == (ABSTENTION, [])
