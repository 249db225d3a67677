"""Spans and scores for Langfuse 5: OTLP to its own path, in its own words beside the usual ones.

A span of a model becomes a generation, one of a search a retriever. Only questions and jobs go
there: a list of documents that somebody asked for is nothing it shows anything about. Attributes:
https://langfuse.com/integrations/native/opentelemetry, scores: ``POST /api/public/scores``.
"""

from base64 import b64encode
from collections import deque
from datetime import UTC, datetime

import orjson

from app.infra.metrics import Metrics
from app.infra.tracing import KeptSpan, Score, Value
from app.infra.tracing_otlp import OtlpExporter

#: Scores that wait; readers give some a minute.
MOST_SCORES = 256
#: What Langfuse calls an operation's span.
_TYPES = {
    "chat": "generation",
    "embeddings": "embedding",
    "retrieval": "retriever",
}
#: Spans that begin a trace here.
_DOORS = ("server", "consumer")
#: Where what was said is shown.
_SAID = {
    "docent.question": "langfuse.observation.input",
    "gen_ai.input.messages": "langfuse.observation.input",
    "gen_ai.retrieval.query.text": "langfuse.observation.input",
    "docent.answer": "langfuse.observation.output",
    "gen_ai.output.messages": "langfuse.observation.output",
}


class LangfuseExporter(OtlpExporter):
    """Keeps the spans and scores of this process until Langfuse has them."""

    name = "langfuse"

    def __init__(self, base_url: str, keys: tuple[str, str], metrics: Metrics) -> None:
        """``keys`` are a project's public and secret one."""
        base = f"{base_url.rstrip('/')}/api/public"
        credential = b64encode(":".join(keys).encode()).decode()
        headers = {"Authorization": f"Basic {credential}", "x-langfuse-ingestion-version": "4"}
        super().__init__(f"{base}/otel/v1/traces", headers, metrics)
        self._scores_url = f"{base}/scores"
        self._scores: deque[Score] = deque(maxlen=MOST_SCORES)

    def take(self, span: KeptSpan) -> None:
        """Let a span wait that is about a question or a job."""
        if span.trace.about != "route":
            super().take(span)

    def score(self, score: Score) -> None:
        """Let a score wait; the oldest of too many goes."""
        self._scores.append(score)

    async def push(self) -> bool:
        """Deliver what waits, spans first; a score whose trace comes later is no error there."""
        if not await super().push():
            return False
        if not self._scores:
            return True
        batch = [*self._scores]
        if not await self._delivered(self._scores_url, orjson.dumps(list(map(_shape, batch))), 0):
            return False
        # Not a clear(): meanwhile others came, and may have pushed some of these out.
        self._scores = deque((s for s in self._scores if s not in batch), MOST_SCORES)
        return True

    def attributes(self, span: KeptSpan) -> dict[str, Value]:
        """Also in Langfuse's words."""
        found = super().attributes(span)
        operation = str(found.get("gen_ai.operation.name"))
        found["langfuse.observation.type"] = _TYPES.get(operation, "span")
        if span.kind in _DOORS:
            # Or a trace whose parent is a caller's, which is never seen there, has no root.
            found["langfuse.internal.as_root"] = True
            found["langfuse.trace.name"] = span.name
        if span.error is not None:
            found["langfuse.observation.level"] = "ERROR"
            found["langfuse.observation.status_message"] = span.error
        for name, theirs in _SAID.items():
            if name in found:
                found[theirs] = found.pop(name)
        cost_usd = found.get("docent.usage.cost_usd")
        if cost_usd is not None:
            found["langfuse.observation.cost_details"] = orjson.dumps({"total": cost_usd}).decode()
        first_token_s = found.get("gen_ai.response.time_to_first_chunk")
        if isinstance(first_token_s, float):
            at = datetime.fromtimestamp(span.started_ns / 1e9 + first_token_s, UTC)
            found["langfuse.observation.completion_start_time"] = at.isoformat()
        return found


def _shape(score: Score) -> dict[str, str | float]:
    shape: dict[str, str | float | None] = {
        "id": score.id,
        "traceId": score.trace_id,
        "name": "feedback",
        "value": score.value,
        "dataType": "NUMERIC",
        "comment": score.comment,
    }
    return {key: value for key, value in shape.items() if value is not None}
