import asyncio
from collections.abc import Sequence

import pytest

from app.infra.metrics import Metrics
from app.infra.metrics_catalogue import RERANKS
from app.retrieval.cross_encoder import RerankingFailed
from app.retrieval.reranker import RelevanceModel, Reranker
from tests.fakes import Recorder, passage

FOUND = [
    passage(text, id=text, score=score) for text, score in (("a", 0.9), ("b", 0.8), ("c", 0.7))
]


class Fixed:
    """Gives the scores it was made with."""

    def __init__(self, *scores: float) -> None:
        self.given = scores
        self.asked: list[tuple[str, Sequence[str]]] = []

    async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        self.asked.append((question, texts))
        return list(self.given)

    async def close(self) -> None:
        """Holds nothing."""


class Failing(Fixed):
    async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        raise RerankingFailed


class Waiting(Fixed):
    async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        await asyncio.Event().wait()
        return []


def reranker(model: RelevanceModel, recorder: Recorder) -> Reranker:
    return Reranker(model, candidates=20, limit_s=0.02, metrics=Metrics(recorder))


async def test_passages_are_put_in_the_models_order_with_its_scores() -> None:
    model, recorder = Fixed(0.1, 0.5, 0.3), Recorder()
    found = await reranker(model, recorder).reranked("q", FOUND)
    assert [(one.text, one.score) for one in found] == [("b", 0.5), ("c", 0.3), ("a", 0.1)]
    assert model.asked == [("q", [f"Guide\n2 Limits\n{one.text}" for one in FOUND])]
    assert recorder.of(RERANKS) == [(("ok",), 1)]


async def test_equal_scores_keep_the_built_in_order() -> None:
    found = await reranker(Fixed(0.5, 0.5, 0.5), Recorder()).reranked("q", FOUND)
    assert [one.text for one in found] == ["a", "b", "c"]


@pytest.mark.parametrize(("model", "outcome"), [(Failing(), "failed"), (Waiting(), "late")])
async def test_the_built_in_order_stays_when_the_model_fails_or_is_late(
    model: RelevanceModel, outcome: str
) -> None:
    recorder = Recorder()
    assert await reranker(model, recorder).reranked("q", FOUND) == FOUND
    assert recorder.of(RERANKS) == [((outcome,), 1)]


async def test_nothing_found_asks_nobody() -> None:
    model = Fixed()
    assert await reranker(model, Recorder()).reranked("q", []) == []
    assert model.asked == []
