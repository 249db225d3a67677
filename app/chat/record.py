"""How an answer came about, in a shape that can be kept: without any document's text."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from app.auth.caller import Caller
from app.chat.answer import Answer, Question
from app.errors import NotFound
from app.infra.times import rfc3339
from app.llm.completion import Attempt
from app.retrieval.search import Retrieved


class AnswerNotFound(NotFound):
    """There is no such answer, or it was forgotten."""

    code = "answer_not_found"


@dataclass(frozen=True, slots=True)
class Record:
    """One answer's record; ``facts`` is what ``GET /api/v1/answers/{id}`` shows."""

    tenant_id: str
    caller_id: str
    answer_id: str
    facts: dict[str, Any]

    def encoded(self) -> bytes:
        """As JSON, with whose it is."""
        return orjson.dumps({"caller_id": self.caller_id, **self.facts})

    @classmethod
    def decoded(cls, tenant_id: str, kept: bytes) -> "Record":
        """What ``encoded`` gave, of a tenant."""
        facts = orjson.loads(kept)
        return cls(tenant_id, facts.pop("caller_id"), facts["answer_id"], facts)


def record_of(caller: Caller, question: Question, retrieved: Retrieved, answer: Answer) -> Record:
    """The record of an answer that was just given."""
    cited = dict.fromkeys((c.document_id, c.version, c.page) for c in answer.citations)
    facts = {
        "answer_id": answer.answer_id,
        "session_id": answer.session_id,
        "asked_at": rfc3339(datetime.now(UTC)),
        "question": question.text,
        "rephrased": None if answer.standalone == question.text else answer.standalone,
        "filters": {
            "document_ids": list(question.document_ids or ()),
            "tags": list(question.tags or ()),
            "as_of": question.as_of.isoformat() if question.as_of else None,
            "top_k": question.top_k,
        },
        "candidates": [
            {
                "document_id": passage.document_id,
                "version": passage.version,
                "page": passage.page,
                "score": passage.score,
                "similarity": passage.similarity,
                "dense_rank": passage.dense_rank,
                "text_rank": passage.text_rank,
                "cited": (passage.document_id, passage.version, passage.page) in cited,
            }
            for passage in retrieved.passages
        ],
        "cited": [
            {"document_id": document_id, "version": version, "page": page}
            for document_id, version, page in cited
        ],
        "whole_document": answer.whole_document and asdict(answer.whole_document),
        "history_messages": len(question.history),
        "status": answer.status,
        "reason": answer.reason,
        "groundedness": answer.groundedness,
        "provider": answer.provider,
        "model": answer.model,
        "cached": answer.cached,
        "trace_id": answer.trace_id,
        "made_for": answer.made_for,
        "usage": {
            "prompt_tokens": answer.usage.prompt_tokens,
            "completion_tokens": answer.usage.completion_tokens,
            "cost_usd": answer.usage.cost_usd,
        },
        "attempts": [_attempt(attempt) for attempt in answer.attempts],
        "timings": answer.timings.rounded(),
    }
    return Record(caller.tenant_id, caller.id, answer.answer_id, facts)


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "ms": round(attempt.ms, 1),
        "first_token_ms": attempt.first_token_ms and round(attempt.first_token_ms, 1),
        "prompt_tokens": attempt.usage.prompt_tokens,
        "completion_tokens": attempt.usage.completion_tokens,
        "cost_usd": attempt.usage.cost_usd,
    }
