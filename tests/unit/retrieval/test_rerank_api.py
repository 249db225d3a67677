"""The adapter against a real local HTTP server that speaks the dialect, well and badly."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from app.retrieval.cross_encoder import RerankingFailed
from app.retrieval.rerank_api import RerankApi

KEY = "sk-do-not-tell-4711"
TEXTS = ["one", "three", "twenty"]


class FakeService:
    """Scores a text by its length, or gives the scripted reply; keeps what it was sent."""

    def __init__(self) -> None:
        self.reply: web.Response | None = None
        self.sent: list[tuple[dict[str, Any], str | None]] = []

    async def rerank(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.sent.append((body, request.headers.get("Authorization")))
        if self.reply is not None:
            return self.reply
        scored = [
            {"index": index, "relevance_score": len(text) / 10, "document": {"text": text}}
            for index, text in enumerate(body["documents"])
        ]
        best_first = sorted(scored, key=lambda one: -one["relevance_score"])
        return web.json_response({"id": "x", "results": best_first})


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
async def api(service: FakeService) -> AsyncIterator[RerankApi]:
    app = web.Application()
    app.router.add_post("/v1/rerank", service.rerank)
    async with TestServer(app) as server:
        made = RerankApi(str(server.make_url("/v1/")), KEY, "tiny")
        yield made
        await made.close()


async def test_scores_come_in_the_order_of_the_texts(api: RerankApi, service: FakeService) -> None:
    assert await api.scores("q \ud800", TEXTS) == [0.3, 0.5, 0.6]
    body = {"model": "tiny", "query": "q ?", "documents": TEXTS, "top_n": 3}
    assert service.sent == [(body, f"Bearer {KEY}")]


async def test_scores_beyond_the_scale_are_brought_to_it(
    api: RerankApi, service: FakeService
) -> None:
    rows = [{"index": n, "relevance_score": score} for n, score in enumerate([-3, 0.5, 7])]
    service.reply = web.json_response({"results": rows})
    assert await api.scores("q", TEXTS) == [0.0, 0.5, 1.0]


def results(*rows: tuple[Any, Any]) -> dict[str, Any]:
    return {"results": [{"index": index, "relevance_score": score} for index, score in rows]}


@pytest.mark.parametrize(
    "answer",
    [
        {}, [], None, "x", {"results": None}, {"results": [1]}, {"results": [{}]},
        results((0, 0.1), (1, 0.1)), results((0, 0.1), (0, 0.1), (0, 0.1)),
        results((0, 0.1), (1, 0.1), (3, 0.1)), results((0, 0.1), (1, 0.1), (-1, 0.1)),
        results((0, "high"), (1, 0.1), (2, 0.1)), results((0, None), (1, 0.1), (2, 0.1)),
        results((0, 0.1), (1, 0.1), (2, 0.1), (3, 0.1)), results(([], 1), (1, 0.1), (2, 0.1)),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_refused(
    api: RerankApi, service: FakeService, answer: Any
) -> None:
    service.reply = web.json_response(answer)
    with pytest.raises(RerankingFailed):
        await api.scores("q", TEXTS)


@pytest.mark.parametrize(
    "reply",
    [
        web.Response(status=401, text=f"bad key {KEY}"),
        web.Response(status=500),
        web.Response(status=302, headers={"Location": "/v1/other"}),
        web.Response(text="<html>"),
        web.Response(text="NaN"),
        web.Response(body=b" " * (5 * 2**20)),
    ],
    ids=["401", "500", "302", "html", "nan", "long"],
)
async def test_an_error_tells_no_secret(
    api: RerankApi, service: FakeService, reply: web.Response
) -> None:
    service.reply = reply
    with pytest.raises(RerankingFailed) as caught:
        await api.scores("q", TEXTS)
    assert KEY not in str(caught.value)


async def test_nobody_there_and_no_key(service: FakeService) -> None:
    gone = RerankApi(f"http://127.0.0.1:{unused_port()}", "", "m")
    with pytest.raises(RerankingFailed):
        await gone.scores("q", TEXTS)
    await gone.close()
    assert service.sent == []
