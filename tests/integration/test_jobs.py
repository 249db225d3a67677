"""Jobs are retried, given up with a reason, and outlive their worker."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest

from app.errors import Unavailable
from app.infra.postgres import DatabaseUnavailable, tenant_transaction
from app.ingestion.folder import watch
from app.retrieval.embedding import Vectors
from tests import forks
from tests.conftest import FreshDatabase
from tests.fakes import CountingEmbedder
from tests.integration.workshop import Workshop, open_workshop, owner_rows, write_book


async def test_a_database_that_stops_while_a_job_is_recorded_is_away(
    database: FreshDatabase,
) -> None:
    """What the queue says of it is no mistake of ours."""
    async with open_workshop(database, "stops") as shop:
        with psycopg.connect(database.database_url) as other:
            other.execute("LOCK TABLE jobs.procrastinate_jobs IN SHARE MODE")
            with pytest.raises(DatabaseUnavailable):  # noqa: PT012 - a transaction of two
                async with tenant_transaction(shop.pool, shop.tenant_id) as connection:
                    await connection.execute("SET LOCAL statement_timeout = 100")
                    await shop.queue.defer(connection, shop.tenant_id, "doc_x", 1)


class Hanging(CountingEmbedder):
    """Never comes back, and leaves a file to show that it got so far."""

    def __init__(self, reached: Path) -> None:
        super().__init__()
        self.reached = reached

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        self.reached.touch()
        await asyncio.Event().wait()
        raise AssertionError


async def work_and_hang(database: FreshDatabase, reached: Path) -> None:
    embedder = Hanging(reached)
    async with open_workshop(database, "any", embedder=embedder, stalled_after_s=0.9) as shop:
        await shop.worker.run()


def hanging(database: FreshDatabase, reached: Path) -> None:
    """A worker that hangs in the middle of its first job."""
    asyncio.run(work_and_hang(database, reached))


class Failing(CountingEmbedder):
    """Fails in the ways it is given, one a call, then works."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        if self.errors:
            raise self.errors.pop(0)
        return await super().embed_passages(texts)


def jobs(shop: Workshop) -> list[dict]:
    return shop.rows(
        "SELECT id, status::text, attempts, scheduled_at > now() AS waits"
        " FROM jobs.procrastinate_jobs WHERE args->>'tenant_id' = %s ORDER BY id",
        shop.tenant_id,
    )


def time_passes(shop: Workshop) -> None:
    """Retries wait for seconds; the test does not."""
    shop.rows("UPDATE jobs.procrastinate_jobs SET scheduled_at = now() WHERE scheduled_at > now()")


async def state(shop: Workshop) -> tuple[str, str | None, str | None]:
    [document] = await shop.documents()
    return document.status, document.error_code, document.error_detail


async def test_a_job_is_tried_again_when_a_dependency_was_away(
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_workshop(database, "retry", embedder=Failing(Unavailable(), OSError())) as shop:
        await shop.ingest(write_book(tmp_path / "a.pdf"))
        assert [(job["status"], job["attempts"], job["waits"]) for job in jobs(shop)] == [
            ("todo", 1, True)
        ]
        assert await state(shop) == ("processing", None, None)
        time_passes(shop)
        await shop.worker.run(until_empty=True)
        assert [job["status"] for job in jobs(shop)] == ["todo"]
        time_passes(shop)
        await shop.worker.run(until_empty=True)
        assert jobs(shop) == [], "the work is done"
        assert await state(shop) == ("ready", None, None)


async def test_a_job_is_given_up_with_the_reason_and_blocks_nobody(
    database: FreshDatabase, tmp_path: Path
) -> None:
    embedder = Failing(*(Unavailable("The embedding service is away.") for _ in range(2)))
    async with open_workshop(database, "give up", embedder=embedder, attempts=2) as shop:
        path = write_book(tmp_path / "a.pdf")
        await shop.ingest(path)
        time_passes(shop)
        await shop.worker.run(until_empty=True)
        assert await state(shop) == (
            "failed",
            "dependency_unavailable",
            "The embedding service is away.",
        )
        assert jobs(shop) == [], "nothing is left to wait for"
        [again] = await shop.ingest(path)
        assert again.verdict == "new"
        assert await state(shop) == ("ready", None, None)


async def test_a_mistake_of_ours_is_given_up_at_once_and_the_queue_goes_on(
    database: FreshDatabase, tmp_path: Path
) -> None:
    embedder = Failing(ValueError("SELECT hunter2"))
    async with open_workshop(database, "mistake", embedder=embedder) as shop:
        await shop.ingest(write_book(tmp_path / "a.pdf"), write_book(tmp_path / "b.pdf"))
        states = {
            d.filename: (d.status, d.error_code, d.error_detail) for d in await shop.documents()
        }
        assert states == {
            "a.pdf": ("failed", "internal_error", "An internal error."),
            "b.pdf": ("ready", None, None),
        }
        assert jobs(shop) == []


async def test_a_file_that_kills_its_worker_every_time_is_given_up(
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_workshop(database, "poison") as shop:
        await shop.receive(write_book(tmp_path / "poison.pdf"))
        shop.rows(
            "UPDATE jobs.procrastinate_jobs SET attempts = 3 WHERE args->>'tenant_id' = %s",
            shop.tenant_id,
        )
        await shop.worker.run(until_empty=True)
        assert await state(shop) == (
            "failed",
            "worker_died",
            "The worker died on this file each time.",
        )
        assert shop.embedder.passages == []


@pytest.mark.parametrize("pruned", [False, True])
async def test_the_job_of_a_killed_worker_is_taken_over(
    database: FreshDatabase, tmp_path: Path, pruned: bool
) -> None:
    tenant = f"killed {pruned}"
    async with open_workshop(database, tenant, stalled_after_s=0.9) as shop:
        [received] = await shop.receive(write_book(tmp_path / "a.pdf"))
        assert received.document_id is not None
        victim = forks.fork(hanging, database, reached := tmp_path / "reached", env=os.environ)
        while not reached.exists():
            assert victim.is_alive()
            await asyncio.sleep(0.01)
        victim.kill()
        victim.join()
        assert (await state(shop))[0] == "processing"
        assert [job["status"] for job in jobs(shop)] == ["doing"]
        if pruned:  # the record of the worker may go before its jobs are rescued
            shop.rows("DELETE FROM jobs.procrastinate_workers")
        working = asyncio.create_task(shop.worker.run())
        async with asyncio.timeout(30):
            async for progress in watch(shop.pool, shop.tenant_id, [(received.document_id, 1)]):
                assert progress.failures == {}
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert await state(shop) == ("ready", None, None)
        assert len(shop.rows("SELECT 1 FROM chunks WHERE tenant_id = %s", shop.tenant_id)) == 3
        assert (
            len(shop.rows("SELECT 1 FROM document_versions WHERE tenant_id = %s", shop.tenant_id))
            == 1
        )


async def test_a_worker_survives_a_database_that_hangs_up(
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_workshop(database, "hang up", stalled_after_s=0.9) as shop:
        working = asyncio.create_task(shop.worker.run())
        [first] = await shop.receive(write_book(tmp_path / "a.pdf"))
        assert first.document_id is not None
        async with asyncio.timeout(20):
            async for _ in watch(shop.pool, shop.tenant_id, [(first.document_id, 1)]):
                pass
        ended = owner_rows(
            database.database_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        assert ended
        async with open_workshop(database, "hang up") as other:
            [second] = await other.receive(write_book(tmp_path / "b.pdf"))
            assert second.document_id is not None
            async with asyncio.timeout(30):
                async for progress in watch(other.pool, other.tenant_id, [(second.document_id, 1)]):
                    assert not working.done() or working.result() is None
                    assert progress.failures == {}
        assert not working.done(), "the worker goes on"
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working


async def test_jobs_and_documents_are_accepted_together_or_not_at_all(
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_workshop(database, "together") as shop:
        real = shop.intake._defer

        async def interrupted(*arguments) -> None:
            await real(*arguments)
            raise ConnectionResetError("pulled the plug")

        shop.intake._defer = interrupted
        with pytest.raises(ConnectionResetError):
            await shop.receive(write_book(tmp_path / "a.pdf"))
        assert jobs(shop) == []
        assert await shop.documents() == []


async def test_jobs_of_one_document_run_in_order(database: FreshDatabase, tmp_path: Path) -> None:
    async with open_workshop(database, "order", embedder=Failing(Unavailable())) as shop:
        path = write_book(tmp_path / "a.pdf")
        await shop.receive(path)
        await shop.ingest(write_book(path, [["Version two."]]))
        assert [(job["status"], job["attempts"]) for job in jobs(shop)] == [
            ("todo", 1),
            ("todo", 0),
        ]
        time_passes(shop)
        await shop.worker.run(until_empty=True)
        assert jobs(shop) == []
        [document] = await shop.documents()
        assert document.version == 2


async def test_the_lock_is_taken_by_publishers_in_turn(
    database: FreshDatabase, tmp_path: Path
) -> None:
    """Many documents of one tenant published at once: all ready, and the counts add up."""
    async with open_workshop(database, "turns", pool_size=8) as shop:
        received = await shop.receive(
            *(write_book(tmp_path / f"{n}.pdf", [[f"Page {n} of the set."]]) for n in range(6))
        )
        await asyncio.gather(
            *(shop.pipeline.process(shop.tenant_id, item.document_id or "", 1) for item in received)
        )
        assert {document.status for document in await shop.documents()} == {"ready"}
        [tenant] = shop.rows(
            "SELECT chunk_count, corpus_revision FROM tenants WHERE id = %s", shop.tenant_id
        )
        assert (tenant["chunk_count"], tenant["corpus_revision"]) == (6, 6)
        async with tenant_transaction(shop.pool, shop.tenant_id) as connection:
            cursor = await connection.execute(
                "SELECT chunk_count FROM lexemes WHERE lexeme = 'set'"
            )
            assert await cursor.fetchone() == {"chunk_count": 6}
