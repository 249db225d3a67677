"""What is measured, each thing said once; where it goes is a backend's business (ADR 0012).

Rooms call :class:`Metrics` with plain values. Every metric stands in the catalogue with its labels,
which come from code, routes and configuration and never from a caller's data. An
observation costs about 8 µs with Prometheus and nothing waits for anybody.
"""

import asyncio
from dataclasses import dataclass
from typing import Literal, Protocol

from app.infra.metrics_catalogue import (
    ALERTS,
    ANSWERS,
    ATTEMPTS,
    CACHE,
    CIRCUIT,
    COST,
    FIRST_TOKEN_SECONDS,
    FLAGGED,
    JOB_SECONDS,
    JOBS,
    LOOP_LAG,
    POOL,
    POOL_WAITING,
    PROCESSES,
    PROVIDER_SECONDS,
    QUEUE_AGE,
    QUEUE_DEPTH,
    RECALL,
    RECORDS_DROPPED,
    REDIS_AWAY,
    REQUEST_SECONDS,
    REQUESTS,
    RERANKS,
    SEARCH_SECONDS,
    SEARCHES,
    SPANS_DROPPED,
    TOKENS,
    Labels,
    Metric,
)

CircuitState = Literal["closed", "half_open", "open"]

#: Label sets of one metric in one process; what comes after them is counted as ``other``. Routes
#: with all their statuses are some hundreds: this is for a label that should not have been one.
MAX_SERIES = 1000
OTHER = "other"
#: Methods that a route here may have; anything else a client invents is ``other``.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STATES: dict[CircuitState, int] = {"closed": 0, "half_open": 1, "open": 2}


@dataclass(frozen=True, slots=True)
class Page:
    """What a scrape is answered with."""

    media_type: str
    body: bytes


class Backend(Protocol):
    """Where observations go; every call returns at once and raises nothing."""

    def count(self, metric: Metric, labels: Labels, amount: float) -> None: ...

    def observe(self, metric: Metric, labels: Labels, value: float) -> None: ...

    def set(self, metric: Metric, labels: Labels, value: float) -> None: ...

    def page(self) -> Page | None:
        """All processes' figures, where they can be fetched; takes milliseconds."""


class NullBackend:
    """Measures nothing."""

    def count(self, metric: Metric, labels: Labels, amount: float) -> None:
        """Forget it."""

    def observe(self, metric: Metric, labels: Labels, value: float) -> None:
        """Forget it."""

    def set(self, metric: Metric, labels: Labels, value: float) -> None:
        """Forget it."""

    def page(self) -> Page | None:
        """Nothing to fetch."""
        return None


class Metrics:
    """What the rooms say happened."""

    def __init__(self, backend: Backend | None = None) -> None:
        self._backend: Backend = backend or NullBackend()
        self._series: dict[Metric, set[Labels]] = {}
        self._rendering = asyncio.Lock()

    async def page(self) -> Page | None:
        """What a scrape is answered with, one at a time; None when nothing can be fetched here."""
        async with self._rendering:
            return await asyncio.to_thread(self._backend.page)

    def request(self, method: str, handler: str, status: int, seconds: float) -> None:
        """A request was answered; ``handler`` is the route's template."""
        method = method if method in _METHODS else OTHER
        self._count(REQUESTS, handler, method, str(status))
        self._observe(REQUEST_SECONDS, seconds, handler, method)

    def provider_attempt(self, provider: str, model: str, outcome: str, seconds: float) -> None:
        """A try at a provider ended; one that was skipped as cooling down took no time."""
        self._count(ATTEMPTS, provider, model, outcome)
        if outcome != "cooling_down":
            self._observe(PROVIDER_SECONDS, seconds, provider, model)

    def provider_first_token(self, provider: str, model: str, seconds: float) -> None:
        """The first text of a provider arrived."""
        self._observe(FIRST_TOKEN_SECONDS, seconds, provider, model)

    def provider_usage(
        self,
        provider: str,
        model: str,
        *,
        prompt_tokens: int,
        completion_tokens: int,
        cost_usd: float | None,
    ) -> None:
        """What an answer of a provider took; ``cost_usd`` is None when its price is unknown.

        A provider that needs no tokens, the extractive one, has no such figures.
        """
        if prompt_tokens:
            self._count(TOKENS, provider, model, "prompt", amount=prompt_tokens)
        if completion_tokens:
            self._count(TOKENS, provider, model, "completion", amount=completion_tokens)
        if cost_usd:
            self._count(COST, provider, model, amount=cost_usd)

    def provider_alert(self, provider: str, reason: str) -> None:
        """A provider refuses us until somebody acts."""
        self._count(ALERTS, provider, reason)

    def circuit(self, provider: str, model: str, state: CircuitState) -> None:
        """A provider's circuit is now in ``state``."""
        self._set(CIRCUIT, _STATES[state], provider, model)

    def search(self, model: str, status: Literal["ok", "error"], seconds: float) -> None:
        """A search of the chunk table ended; ``model`` is the embedding model."""
        self._count(SEARCHES, status)
        self._observe(SEARCH_SECONDS, seconds, status, model)

    def recall(self, k: int, share: float) -> None:
        """The index found ``share`` of the ``k`` nearest chunks."""
        self._set(RECALL, share, str(k))

    def rerank(self, outcome: Literal["ok", "failed", "late"]) -> None:
        """A reranking model was asked for another order of what a search found."""
        self._count(RERANKS, outcome)

    def answer(self, status: str, reason: str | None) -> None:
        """A question was answered, abstained from, or failed."""
        self._count(ANSWERS, status, reason or "none")

    def flagged(self, shape: str) -> None:
        """A question has a known shape of attack."""
        self._count(FLAGGED, shape)

    def job(self, outcome: str, seconds: float | None = None) -> None:
        """An ingestion job ended; ``seconds`` is None when no work was done on it now."""
        self._count(JOBS, outcome)
        if seconds is not None:
            self._observe(JOB_SECONDS, seconds, outcome)

    def backlog(self, waiting: int, oldest_s: float) -> None:
        """So many jobs wait, the first of them for ``oldest_s``."""
        self._set(QUEUE_DEPTH, waiting)
        self._set(QUEUE_AGE, oldest_s)

    def loop_lag(self, seconds: float) -> None:
        """A timer of the event loop was so late."""
        self._observe(LOOP_LAG, seconds)

    def pool(self, *, used: int, idle: int, waiting: int) -> None:
        """How this process uses its connections to the database."""
        self._set(POOL, used, "used")
        self._set(POOL, idle, "idle")
        self._set(POOL_WAITING, waiting)

    def redis_away(self, event: Literal["failed", "skipped", "full"]) -> None:
        """Something went on without Redis."""
        self._count(REDIS_AWAY, event)

    def cache(self, name: Literal["answer", "semantic"], event: Literal["hit", "miss"]) -> None:
        """A cache was asked."""
        self._count(CACHE, name, event)

    def record_dropped(self) -> None:
        """A record of an answer was given up: too many waited for the database."""
        self._count(RECORDS_DROPPED)

    def spans_dropped(
        self, exporter: str, reason: Literal["full", "failed", "refused", "ended"], count: int = 1
    ) -> None:
        """Spans of traces were given up by an exporter."""
        self._count(SPANS_DROPPED, exporter, reason, amount=count)

    def running(self, role: Literal["api", "worker"]) -> None:
        """This process runs."""
        self._set(PROCESSES, 1, role)

    def _count(self, metric: Metric, *labels: str, amount: float = 1) -> None:
        self._backend.count(metric, self._bounded(metric, labels), amount)

    def _observe(self, metric: Metric, value: float, *labels: str) -> None:
        self._backend.observe(metric, self._bounded(metric, labels), value)

    def _set(self, metric: Metric, value: float, *labels: str) -> None:
        self._backend.set(metric, self._bounded(metric, labels), value)

    def _bounded(self, metric: Metric, labels: Labels) -> Labels:
        known = self._series.setdefault(metric, set())
        if labels not in known:
            if len(known) >= MAX_SERIES:
                return (OTHER,) * len(labels)
            known.add(labels)
        return labels
