"""An answer as the cache keeps it: everything of it that is not one caller's."""

from dataclasses import asdict, replace
from typing import Any

import orjson

from app.chat.answer import Answer, Citation, Timings, WholeDocument
from app.chat.events import Answered, Begun, ChatEvent, Cited, Said
from app.chat.grounding import Grounding, Unsupported
from app.llm.completion import Usage
from app.retrieval.passage import Passage
from app.retrieval.search import Retrieved

_SHOWN = (
    "id", "document_id", "version", "title", "filename", "tags", "url", "page", "start", "end",
    "heading", "text", "score", "similarity", "dense_rank", "text_rank",
)  # fmt: skip

_NO_TIME = Timings(0.0, 0.0, None, 0.0, 0.0)


def encoded(retrieved: Retrieved, answer: Answer) -> bytes:
    """Passages, text and citations."""
    return orjson.dumps(
        {
            "passages": [
                [getattr(passage, name) for name in _SHOWN] for passage in retrieved.passages
            ],
            "text": answer.text,
            "status": answer.status,
            "reason": answer.reason,
            "citations": [asdict(citation) for citation in answer.citations],
            "provider": answer.provider,
            "model": answer.model,
            "standalone": answer.standalone,
            "grounding": answer.grounding,
            "whole_document": answer.whole_document,
        }
    )


def events_of(kept: bytes, *, asked: str | None = None) -> list[ChatEvent]:
    """The events of an answer that was given before; it costs nothing and took no attempt.

    ``asked`` is the question, when the answer was made for one in other words.
    """
    facts: dict[str, Any] = orjson.loads(kept)
    passages = tuple(_passage(row) for row in facts["passages"])
    citations = tuple(Citation(**{**row, "tags": tuple(row["tags"])}) for row in facts["citations"])
    answer = Answer(
        answer_id="",
        session_id="",
        text=facts["text"],
        status=facts["status"],
        reason=facts["reason"],
        citations=citations,
        provider=facts["provider"],
        model=facts["model"],
        usage=Usage(),
        attempts=(),
        timings=_NO_TIME,
        standalone=asked or facts["standalone"],
        grounding=_grounding(facts.get("grounding")),
        whole_document=WholeDocument(**whole) if (whole := facts.get("whole_document")) else None,
        cached="semantic" if asked else "exact",
        made_for=facts["standalone"] if asked else None,
    )
    begun = Begun("", "", Retrieved(passages, 0.0, 0.0))
    return [begun, Said(answer.text), *map(Cited, citations), Answered(answer)]


def as_cached(answer: Answer) -> Answer:
    """The same answer to another question: it costs nothing and took no attempt."""
    cached = answer.cached or "exact"
    return replace(answer, usage=Usage(), attempts=(), timings=_NO_TIME, cached=cached)


def question_of(kept: bytes) -> str:
    """The question that a kept answer was made for."""
    return str(orjson.loads(kept)["standalone"])


def _grounding(kept: dict[str, Any] | None) -> Grounding | None:
    if kept is None:
        return None
    return Grounding(kept["share"], tuple(Unsupported(**one) for one in kept["unsupported"]))


def _passage(row: list[Any]) -> Passage:
    values = dict(zip(_SHOWN, row, strict=True))
    return Passage(**{**values, "tags": tuple(values["tags"]), "boxes": b""})
