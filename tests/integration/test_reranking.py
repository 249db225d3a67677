"""A reranking model that the settings name, over the real search."""

from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from app.infra.metrics import Metrics
from app.infra.metrics_catalogue import RERANKS
from app.retrieval.passage import Scope
from app.retrieval.wiring import open_retriever
from app.settings import Settings
from tests.conftest import FreshDatabase
from tests.fakes import Recorder
from tests.integration.workshop import open_workshop, write_book

QUESTION = "the disk limit of the recorder"


async def by_heat(request: web.Request) -> web.Response:
    body = await request.json()
    rows = [
        {"index": index, "relevance_score": 0.9 if "heater" in text else 0.1}
        for index, text in enumerate(body["documents"])
    ]
    return web.json_response({"results": rows})


async def test_its_order_is_the_searchs_and_without_it_the_built_in_one_stays(
    database: FreshDatabase, tmp_path: Path
) -> None:
    app = web.Application()
    app.router.add_post("/rerank", by_heat)
    async with open_workshop(database, tmp_path.name) as shop, TestServer(app) as server:
        await shop.ingest(write_book(tmp_path / "book.pdf"))
        scope, recorder = Scope(shop.tenant_id), Recorder()
        plain = (await shop.retriever.retrieve(QUESTION, scope, top_k=2)).passages
        assert "disk" in plain[0].text
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]
            rerank_api_base_url=str(server.make_url("")),
            rerank_model="tiny",
            rerank_timeout_s=30,
        )
        metrics = Metrics(recorder)
        async with open_retriever(settings, shop.pool, shop.embedder, metrics) as retriever:
            found = (await retriever.retrieve(QUESTION, scope, top_k=2)).passages
            assert len(found) == 2
            assert "heater" in found[0].text
            assert [one.score for one in found] == [0.9, 0.1]
            await server.close()
            assert (await retriever.retrieve(QUESTION, scope, top_k=2)).passages == plain
        assert [labels for labels, _ in recorder.of(RERANKS)] == [("ok",), ("failed",)]


async def test_a_folder_that_holds_a_model_is_used(database: FreshDatabase, tmp_path: Path) -> None:
    from tests.unit.retrieval.test_cross_encoder import write

    async with open_workshop(database, tmp_path.name) as shop:
        await shop.ingest(write_book(tmp_path / "book.pdf"))
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]
            rerank_model_path=write(tmp_path),
            rerank_timeout_s=30,
        )
        recorder = Recorder()
        async with open_retriever(
            settings, shop.pool, shop.embedder, Metrics(recorder)
        ) as retriever:
            found = await retriever.retrieve(QUESTION, Scope(shop.tenant_id), top_k=2)
        assert len(found.passages) == 2
        assert [labels for labels, _ in recorder.of(RERANKS)] == [("ok",)]
