"""Another opinion on what a search found, by a model that reads question and passage together.

Off by default. With a model in a folder or behind an API (ADR 0022), the best candidates are put in
a new order; whenever that fails or takes too long, the built-in order stays.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from app.errors import AppError
from app.infra.metrics import Metrics
from app.retrieval.passage import Passage

log = structlog.get_logger(__name__)


class RelevanceModel(Protocol):
    """Says how well texts answer a question."""

    async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """One for each of ``texts``, 0..1, more is better.

        Raises:
            AppError: the model does not answer as it should.
        """
        ...

    async def close(self) -> None:
        """Releases threads and connections."""
        ...


class Reranker:
    """Puts passages in the order of a model's scores, or leaves them as they are."""

    def __init__(
        self, model: RelevanceModel, *, candidates: int, limit_s: float, metrics: Metrics
    ) -> None:
        """Read ``candidates`` passages, and wait for their scores for ``limit_s``."""
        self.candidates = candidates
        self._model, self._limit_s, self._metrics = model, limit_s, metrics

    async def reranked(self, question: str, passages: Sequence[Passage]) -> list[Passage]:
        """``passages`` with the model's scores, best first; as they were when it fails."""
        if not passages:
            return []
        try:
            async with asyncio.timeout(self._limit_s):
                texts = [f"{one.title}\n{one.heading}\n{one.text}" for one in passages]
                scores = await self._model.scores(question, texts)
        except (AppError, TimeoutError) as error:
            is_late = isinstance(error, TimeoutError)
            self._metrics.rerank("late" if is_late else "failed")
            log.warning("not_reranked", error=type(error).__name__, detail=str(error))
            return list(passages)
        self._metrics.rerank("ok")
        scored = [replace(one, score=score) for one, score in zip(passages, scores, strict=True)]
        return sorted(scored, key=lambda passage: -passage.score)
