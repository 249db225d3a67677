"""The live look at the index: right on a real one, and it tells of one that misses chunks."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from app.infra.metrics import Metrics
from app.infra.metrics_catalogue import RECALL
from app.infra.postgres import tenant_transaction
from app.retrieval.passage import Scope
from app.retrieval.recall import RecallProbe, watching_recall
from tests.conftest import FreshDatabase
from tests.fakes import Recorder
from tests.integration.workshop import open_workshop, write_book


async def test_what_the_index_misses_is_told(database: FreshDatabase, tmp_path: Path) -> None:
    async with open_workshop(database, "recall") as shop:
        await shop.ingest(write_book(tmp_path / "a.pdf"))
        probe, vector = RecallProbe(shop.pool), await shop.embedder.embed_query("the disk limit")
        assert await probe.measure() is None  # nobody has asked
        probe.note(Scope(shop.tenant_id, tags=("x",)), vector)
        probe.note(Scope(shop.tenant_id, as_of=datetime.now(UTC)), vector)
        assert await probe.measure() is None  # only what goes to the whole corpus counts
        probe.note(Scope(shop.tenant_id), vector)
        assert await probe.measure() == 1.0
        assert await probe.measure() is None  # each question once
        probe.note(Scope("ten_nobody"), vector)
        assert await probe.measure() is None
        # An index that misses: the function that searches by it stops after one chunk, as long as
        # index scans are on, which is what the exact search turns off.
        [function] = shop.rows("SELECT pg_get_functiondef('rank_by_vector'::regproc) AS text")
        limit = (
            "CASE WHEN current_setting('enable_indexscan')::boolean THEN 1 ELSE p_candidates END"
        )
        shop.rows(function["text"].replace("LIMIT p_candidates", f"LIMIT {limit}"))
        probe.note(Scope(shop.tenant_id), vector)
        assert await probe.measure() == 1 / 3
        shop.rows(function["text"])


async def test_it_is_measured_beside_the_requests(database: FreshDatabase, tmp_path: Path) -> None:
    told = Recorder()
    async with open_workshop(database, "beside") as shop:
        await shop.ingest(write_book(tmp_path / "a.pdf"))
        async with watching_recall(Metrics(told), shop.retriever.probe, every_s=0.01):
            await shop.search("What is the disk limit?")
            async with asyncio.timeout(20):
                while not told.of(RECALL):  # noqa: ASYNC110 - a recorder has no event
                    await asyncio.sleep(0.01)
    [(labels, share)] = told.of(RECALL)
    assert labels == ("10",)
    assert 0 < share <= 1


async def test_the_beam_is_as_wide_beside_words(database: FreshDatabase) -> None:
    """A narrower one missed the documents of a few among the many chunks of others."""
    async with (
        open_workshop(database, "beam") as shop,
        tenant_transaction(shop.pool, shop.tenant_id) as connection,
    ):
        await connection.execute("SET LOCAL hnsw.ef_search = 400")
        await connection.execute(
            "SELECT search_chunks(%s, NULL, 'disk', 10, 40, NULL, NULL, NULL, 1, 20)",
            (shop.tenant_id,),
        )
        cursor = await connection.execute("SELECT current_setting('hnsw.ef_search') AS beam")
        assert await cursor.fetchone() == {"beam": "400"}
