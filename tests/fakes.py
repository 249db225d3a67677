"""Stand-ins that implement the product's own protocols; they are passed in, never patched in."""

import zlib
from collections.abc import AsyncIterator, Sequence

import numpy as np

from app.auth.audit import AuditEvent
from app.auth.caller import Caller
from app.chat.answer import Answer, Question
from app.chat.cache import AnswerCache
from app.chat.turn import Turn
from app.infra.metrics import NullBackend
from app.infra.metrics_catalogue import Labels, Metric
from app.infra.tracing import KeptSpan, Score
from app.limits.rates import RateLimited
from app.llm.completion import Completion, CompletionRequest, Delta, Event, ModelInfo
from app.retrieval.embedding import Vector, Vectors
from app.retrieval.passage import Passage, Scope
from app.retrieval.search import Retrieved

NO_BOXES = np.zeros((0, 6), "<f4").tobytes()


def passage(text: str = "The limit is 10 MB.", **changes) -> Passage:
    """A passage that stands at offset 100 of page 12."""
    values = {
        "id": "chk_1",
        "document_id": "doc_1",
        "version": 3,
        "title": "Guide",
        "filename": "guide.pdf",
        "tags": ("safety",),
        "url": None,
        "page": 12,
        "start": 100,
        "end": 100 + len(text),
        "heading": "2 Limits",
        "text": text,
        "boxes": NO_BOXES,
        "score": 0.9,
        "similarity": 0.8,
        "dense_rank": 1,
        "text_rank": None,
    }
    return Passage(**{**values, **changes})


class CountingEmbedder:
    """Hashes words into a vector: texts that share words are near; counts what it embeds."""

    def __init__(self, name: str = "all-MiniLM-L6-v2", dimension: int = 384) -> None:
        self.name = name
        self.dimension = dimension
        self.passages: list[str] = []

    async def embed_query(self, text: str) -> Vector:
        return self._vector(text)

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        self.passages += texts
        return np.stack([self._vector(text) for text in texts])

    async def close(self) -> None:
        """Holds nothing."""

    def _vector(self, text: str) -> Vector:
        vector = np.zeros(self.dimension, np.float32)
        for word in text.lower().split():
            vector[zlib.crc32(word.strip(".,?").encode()) % self.dimension] += 1
        return vector / max(float(np.linalg.norm(vector)), 1e-6)


class FixedRetriever:
    """Finds the same passages for every question, and keeps what it was asked."""

    def __init__(self, *passages: Passage) -> None:
        self.passages = passages
        self.asked: list[tuple[str, Scope, int]] = []

    async def retrieve(self, question: str, scope: Scope, *, top_k: int) -> Retrieved:
        self.asked.append((question, scope, top_k))
        return Retrieved(self.passages[:top_k], 1.5, 2.5)


class ScriptedProvider:
    """Says one thing, whatever it is asked; ``None`` ends the stream without an answer."""

    name = "scripted"

    def __init__(self, completion: Completion | None) -> None:
        self.completion = completion
        self.requests: list[CompletionRequest] = []
        self.closed_streams = 0

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Event]:
        self.requests.append(request)
        try:
            if self.completion is None or self.completion.text:
                yield Delta("…" if self.completion is None else self.completion.text)
            if self.completion is not None:
                yield self.completion
        finally:
            self.closed_streams += 1

    def models(self) -> tuple[ModelInfo, ...]:
        return (ModelInfo("scripted", "scripted", True, None, None),)

    async def close(self) -> None:
        """Holds nothing."""


class Kept:
    """Remembers the answers it is given to keep, and recalls nothing, as without Redis."""

    def __init__(self) -> None:
        self.kept: list[tuple[Caller, Question, Retrieved, Answer]] = []

    async def recall(self, caller: Caller, session_id: str) -> tuple[Turn, ...]:
        return ()

    async def keep(
        self, caller: Caller, question: Question, retrieved: Retrieved, answer: Answer
    ) -> None:
        self.kept.append((caller, question, retrieved, answer))


class Recorder(NullBackend):
    """A backend of metrics that remembers what it is told: metric, labels, value."""

    def __init__(self) -> None:
        self.seen: list[tuple[Metric, Labels, float]] = []

    def count(self, metric: Metric, labels: Labels, amount: float) -> None:
        self.seen.append((metric, labels, amount))

    def observe(self, metric: Metric, labels: Labels, value: float) -> None:
        self.seen.append((metric, labels, value))

    def set(self, metric: Metric, labels: Labels, value: float) -> None:
        self.seen.append((metric, labels, value))

    def of(self, metric: Metric) -> list[tuple[Labels, float]]:
        """What it was told of one metric."""
        return [(labels, value) for known, labels, value in self.seen if known is metric]


class KeptSpans:
    """An exporter of traces that keeps what it is given, of so many traces."""

    def __init__(self, rooms: int = 1_000_000) -> None:
        self.spans: list[KeptSpan] = []
        self.scores: list[Score] = []
        self._rooms = rooms
        self.refused = 0

    def accepts(self) -> bool:
        self._rooms -= 1
        self.refused += self._rooms < 0
        return self._rooms >= 0

    def take(self, span: KeptSpan) -> None:
        span.spelt_out()
        self.spans.append(span)

    def score(self, score: Score) -> None:
        self.scores.append(score)

    def named(self, name: str) -> KeptSpan:
        """The only span of that name."""
        [found] = [span for span in self.spans if span.name == name]
        return found


#: Keeps no answer.
NO_CACHE = AnswerCache(None, ttl_s=0)  # type: ignore[arg-type] # and so asks no Redis


class Audit:
    """Keeps what is written into the audit log."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    async def record(self, event: AuditEvent) -> None:
        self.events.append(event)


class CountedAttempts:
    """Lets ``most`` attempts fail in all, as `LoginLimits` does of each address."""

    def __init__(self, most: int = 100) -> None:
        self.failed = 0
        self.most = most

    async def take(self, ip: str, email: str) -> None:
        if self.failed >= self.most:
            raise RateLimited
        self.failed += 1

    async def give_back(self, ip: str, email: str) -> None:
        self.failed -= 1
