"""What is shown of much costs what is shown: pages of jobs, samples of what a check finds."""

from pathlib import Path

import psycopg
import pytest

from app.documents.corpus import SAMPLES, check_corpus
from app.documents.job import JobStatus
from app.documents.job_store import list_jobs, outcomes
from app.infra.postgres import Connection, tenant_transaction
from app.ingestion import folder
from tests.conftest import FreshDatabase
from tests.integration.workshop import BOOK, Workshop, changed, open_workshop, write_book

MANY, PAGE = 2_000, 20
_VERSIONS = """
    INSERT INTO document_versions (tenant_id, document_id, number, sha256, size_bytes, status,
                                   job_id, created_at, media_type, filename)
    SELECT tenant_id, id, n, sha256(n::text::bytea), 1, 'ready', 'job_' || n,
           now() - make_interval(secs => n), 'application/pdf', 'a.pdf'
    FROM documents, generate_series(2, %s) AS n WHERE tenant_id = %s"""
#: Rows of versions that the open transaction has read, by an index or without.
_READ = """
    SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_xact_user_tables
    WHERE relname = 'document_versions'"""


async def rows_read(connection: Connection) -> int:
    row = await (await connection.execute(_READ)).fetchone()
    assert row is not None
    return int(row["rows"])


async def filled(shop: Workshop, tmp_path: Path) -> None:
    await shop.ingest(write_book(tmp_path / "a.pdf"))
    shop.rows(_VERSIONS, MANY, shop.tenant_id)
    with psycopg.connect(shop.url, autocommit=True) as owner:
        owner.execute("ANALYZE document_versions")


@pytest.mark.parametrize("status", [None, "succeeded"])
async def test_a_page_of_jobs_reads_the_versions_that_it_shows(
    database: FreshDatabase, tmp_path: Path, status: JobStatus | None
) -> None:
    async with open_workshop(database, f"listed {status}") as shop:
        await filled(shop, tmp_path)
        after: str | None = None
        for _ in range(3):
            async with tenant_transaction(shop.pool, shop.tenant_id) as connection:
                before = await rows_read(connection)
                found = await list_jobs(
                    connection, shop.tenant_id, status=status, after=after, limit=PAGE
                )
                read = await rows_read(connection) - before
            assert [job.id for job in found] == sorted(
                (job.id for job in found), key=lambda id: int(id[4:]) if id[4:].isdigit() else 0
            )
            assert (len(found), read <= 2 * PAGE) == (PAGE + 1, True), read
            after = found[-2].id
        shop.rows("DELETE FROM document_versions WHERE number > 1")


async def test_a_check_of_the_corpus_brings_what_it_shows(
    database: FreshDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[int] = []
    fetchall = psycopg.AsyncCursor.fetchall

    async def counted(self: psycopg.AsyncCursor[object]) -> list[object]:
        rows = await fetchall(self)
        fetched.append(len(rows))
        return rows

    async with open_workshop(database, "broken") as shop:
        pages = [[f"Page {number} tells of pump {number}."] for number in range(3 * SAMPLES)]
        await shop.ingest(write_book(tmp_path / "a.pdf", pages))
        shop.rows("UPDATE chunks SET live = false WHERE tenant_id = %s", shop.tenant_id)
        monkeypatch.setattr(psycopg.AsyncCursor, "fetchall", counted)
        found = await check_corpus(
            shop.pool, shop.blobs, shop.tenant_id, quoted=shop.quoted, memory=shop.memory
        )
        [broken] = [one for one in found if one.name == "current_chunks_that_are_not_live"]
        ids = shop.rows("SELECT id FROM chunks WHERE tenant_id = %s", shop.tenant_id)
        assert broken.found == len(ids) == 3 * SAMPLES
        assert list(broken.samples) == sorted(row["id"] for row in ids)[:SAMPLES]
        assert max(fetched) <= SAMPLES


async def test_what_is_settled_is_not_waited_for_again(
    database: FreshDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at twenty thousand files was at all of them, four times a second."""
    looked_at: list[int] = []

    async def counted(connection: Connection, versions: list[tuple[str, int]]) -> object:
        looked_at.append(len(versions))
        return await outcomes(connection, versions)

    monkeypatch.setattr(folder, "outcomes", counted)
    async with open_workshop(database, "waited for") as shop:
        done = await shop.ingest(write_book(tmp_path / "a.pdf"))
        [late] = await shop.receive(write_book(tmp_path / "b.pdf", [["Of little use."]]))
        versions = [(one.document_id or "", 1) for one in (*done, late)]
        reports = []
        async for report in folder.watch(shop.pool, shop.tenant_id, versions):
            reports.append((report.done, report.pages_done))
            await shop.worker.run(until_empty=True)
    pages = len(BOOK)
    assert (reports, looked_at) == ([(1, pages), (2, pages + 1)], [2, 1])


async def test_what_waits_already_is_not_taken_in_again(
    database: FreshDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun again after a Ctrl-C, a folder of thousands took as long as the first time."""
    async with open_workshop(database, "waits") as shop:
        path = write_book(tmp_path / "a.pdf")
        await shop.ingest(path)
        write_book(path, changed(BOOK, 2, "The downlink sends twenty packets."))
        paths = path, write_book(tmp_path / "b.pdf", [["Of little use."]])
        first = await shop.receive(*paths)
        assert [one.verdict for one in first] == ["changed", "new"]
        with monkeypatch.context() as without:
            without.delattr(type(shop.intake), "add")
            assert await shop.receive(*paths) == first
        await shop.worker.run(until_empty=True)
        assert [one.verdict for one in await shop.receive(*paths)] == ["unchanged", "unchanged"]
