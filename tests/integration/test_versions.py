"""Going back, deleting, restoring, cancelling: one whole version is answered from, or none."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from app.documents.corpus import check_corpus, corpus_stats
from app.documents.service import DocumentNotFound, VersionNotFound
from app.documents.sharing import SourceTaken
from app.documents.store import Edit
from app.ingestion.board import JobFinished, JobNotFound, JobNotRetryable
from app.ingestion.intake import EmptyFile, UnsupportedFormat, Upload, clean_filename
from tests.conftest import FreshDatabase
from tests.integration.workshop import BOOK, Workshop, changed, open_workshop, write_book
from tests.pdfs import make_pdf

QUESTION = "how many packets does the downlink send"


async def seen(shop: Workshop, **scope: object) -> str:
    return " ".join(passage.text for passage in await shop.search(QUESTION, **scope))


async def whole(shop: Workshop) -> None:
    """The corpus has nothing in it that should not be there."""
    found = await check_corpus(
        shop.pool, shop.blobs, shop.tenant_id, quoted=shop.quoted, memory=shop.memory
    )
    assert [finding for finding in found if finding.found] == []


async def two_versions(shop: Workshop, tmp_path: Path) -> str:
    """A document whose page 2 says nine, then twenty; its id."""
    path = write_book(tmp_path / "book.pdf")
    await shop.ingest(path)
    write_book(path, changed(BOOK, 2, "The downlink sends twenty packets in each second."))
    [received] = await shop.ingest(path)
    assert received.document_id is not None
    return received.document_id


_SLOW = """
    CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN new; END $$;
    CREATE TRIGGER slow BEFORE UPDATE ON public.chunks FOR EACH ROW EXECUTE FUNCTION slow()"""


async def test_a_large_document_has_the_time_that_its_rows_take(
    database: FreshDatabase, tmp_path: Path
) -> None:
    """Whose chunks took longer than a question may was never gone back to, nor restored."""
    async with open_workshop(database, "large") as shop:
        document_id = await two_versions(shop, tmp_path)
        shop.rows(_SLOW)
        shop.pool.deadline_s = 0.3
        back = await shop.archive.activate(shop.tenant_id, document_id, 1)
        assert back.version == 1
        removed = await shop.archive.delete(shop.tenant_id, document_id)
        assert removed.chunks == len(BOOK)
        restored = await shop.archive.restore(shop.tenant_id, document_id)
        assert restored.status == "ready"
        assert "nine" in await seen(shop)
        shop.rows("DROP FUNCTION public.slow CASCADE")


async def waiting_for_a_lock(shop: Workshop) -> None:
    """Return once one of the shop's connections waits for a row."""
    query = (
        "SELECT FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock' AND query LIKE '%%UPDATE chunks%%'"
    )
    while not shop.rows(query):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("change", ["go back", "restore"])
async def test_others_documents_come_and_go_while_a_large_one_is_switched(
    database: FreshDatabase, tmp_path: Path, change: str
) -> None:
    """Uploads waited for the tenant's row as long as a thousand chunks took, and failed at 5 s."""
    async with open_workshop(database, f"large, {change}") as shop, asyncio.timeout(30):
        document_id = await two_versions(shop, tmp_path)
        other = await shop.intake.add(shop.tenant_id, Upload("a.md", b"# Pumps\n\nThree of them."))
        await shop.worker.run(until_empty=True)
        if change == "restore":
            await shop.archive.delete(shop.tenant_id, document_id)
        with psycopg.connect(database.database_url) as holder:
            # In the place of a thousand chunks on their way into the index.
            holder.execute(
                "SELECT FROM chunks WHERE document_id = %s AND NOT live FOR UPDATE", (document_id,)
            )
            switching = asyncio.create_task(
                shop.archive.restore(shop.tenant_id, document_id)
                if change == "restore"
                else shop.archive.activate(shop.tenant_id, document_id, 1)
            )
            await waiting_for_a_lock(shop)
            await shop.archive.delete(shop.tenant_id, other.document_id)
            await shop.intake.add(shop.tenant_id, Upload("b.md", b"# Valves\n\nFour of them."))
            await shop.worker.run(until_empty=True)
            assert "Four" in await seen(shop)
            assert not switching.done()
        await switching
        assert ("nine" if change == "go back" else "twenty") in await seen(shop)
        await whole(shop)


async def test_an_older_version_answers_again_and_so_does_the_newer(
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_workshop(database, "back") as shop:
        document_id = await two_versions(shop, tmp_path)
        between = datetime.now(UTC)
        back = await shop.archive.activate(shop.tenant_id, document_id, 1)
        assert (back.version, back.status) == (1, "ready")
        assert "nine" in await seen(shop)
        assert "twenty" not in await seen(shop)
        assert "twenty" in await seen(shop, as_of=between)
        await whole(shop)
        again = await shop.archive.activate(shop.tenant_id, document_id, 2)
        assert again.version == 2
        assert "twenty" in await seen(shop)
        assert "nine" not in await seen(shop)
        await whole(shop)
        versions, more = await shop.archive.versions(
            shop.tenant_id, document_id, after=None, limit=10
        )
        assert [(v.number, v.status, v.current) for v in versions] == [
            (2, "ready", True),
            (1, "ready", False),
        ]
        assert not more


async def test_a_new_version_after_going_back_is_compared_with_the_newest(
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_workshop(database, "back and on") as shop:
        document_id = await two_versions(shop, tmp_path)
        await shop.archive.activate(shop.tenant_id, document_id, 1)
        before = len(shop.embedder.passages)
        write_book(
            tmp_path / "book.pdf",
            changed(BOOK, 3, "The heater is switched off above seventy degrees."),
        )
        await shop.ingest(tmp_path / "book.pdf")
        assert len(shop.embedder.passages) == before + 1, "one page is new"
        document = await shop.archive.get(shop.tenant_id, document_id)
        assert document.version == 3
        assert "nine" in await seen(shop)
        assert "twenty" not in await seen(shop)
        await whole(shop)
        for version in (2, 1, 3):
            await shop.archive.activate(shop.tenant_id, document_id, version)
            await whole(shop)


async def test_only_what_was_ready_can_be_gone_back_to(
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_workshop(database, "not ready") as shop:
        path = write_book(tmp_path / "book.pdf")
        [received] = await shop.ingest(path)
        path.write_bytes(b"%PDF-1.7 broken")
        await shop.ingest(path)
        for version in (2, 3, 99):
            with pytest.raises(VersionNotFound):
                await shop.archive.activate(shop.tenant_id, received.document_id or "", version)
        await whole(shop)


async def test_a_deleted_document_answers_nothing_and_comes_back_whole(
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_workshop(database, "delete") as shop:
        document_id = await two_versions(shop, tmp_path)
        before = datetime.now(UTC)
        removed = await shop.archive.delete(shop.tenant_id, document_id)
        assert (removed.chunks, removed.vectors) == (3, 3)
        assert await seen(shop) == ""
        assert await seen(shop, as_of=before) == ""
        assert await seen(shop, document_ids=(document_id,)) == ""
        await whole(shop)
        for attempt in (
            shop.archive.get(shop.tenant_id, document_id),
            shop.archive.delete(shop.tenant_id, document_id),
            shop.archive.activate(shop.tenant_id, document_id, 1),
            shop.archive.edit(shop.tenant_id, document_id, Edit(title="x")),
            shop.archive.content(shop.tenant_id, document_id, None),
        ):
            with pytest.raises(DocumentNotFound):
                await attempt
        [again] = await shop.ingest(tmp_path / "book.pdf")
        assert again.verdict == "deleted", "the folder does not bring it back"
        restored = await shop.archive.restore(shop.tenant_id, document_id)
        assert (restored.status, restored.version) == ("ready", 2)
        assert "twenty" in await seen(shop)
        await whole(shop)


async def test_a_source_has_one_document_that_is_not_deleted(
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_workshop(database, "source") as shop:
        path = write_book(tmp_path / "book.pdf")
        [first] = await shop.ingest(path)
        await shop.archive.delete(shop.tenant_id, first.document_id or "")
        write_book(path, changed(BOOK, 1, "Another book altogether."))
        [second] = await shop.ingest(path)
        assert (second.verdict, second.version) == ("new", 1)
        assert second.document_id != first.document_id
        with pytest.raises(SourceTaken):
            await shop.archive.restore(shop.tenant_id, first.document_id or "")
        await whole(shop)


async def test_the_same_bytes_are_the_same_document(database: FreshDatabase) -> None:
    async with open_workshop(database, "bytes") as shop:
        upload = Upload("a.pdf", make_pdf(BOOK), tags=("x",))
        first = await shop.intake.add(shop.tenant_id, upload)
        waiting = await shop.intake.add(shop.tenant_id, Upload("b.pdf", upload.content))
        assert waiting == first
        await shop.worker.run(until_empty=True)
        ready = await shop.intake.add(shop.tenant_id, upload)
        assert (ready.document_id, ready.job_id) == (first.document_id, None)
        same = await shop.intake.replace(shop.tenant_id, first.document_id, upload)
        assert same.job_id is None
        other = Upload("c.pdf", make_pdf(changed(BOOK, 1, "Something else.")))
        replaced = await shop.intake.replace(shop.tenant_id, first.document_id, other)
        assert (replaced.document_id, replaced.version) == (first.document_id, 2)
        # Back to the old bytes while the new ones wait: the wish that came last wins.
        back = await shop.intake.replace(shop.tenant_id, first.document_id, upload)
        assert back.version == 3
        await shop.worker.run(until_empty=True)
        assert "nine" in await seen(shop)
        document = await shop.archive.get(shop.tenant_id, first.document_id)
        assert (document.version, document.filename, document.tags) == (3, "a.pdf", ("x",))
        await whole(shop)


@pytest.mark.parametrize(
    ("content", "error"), [(b"", EmptyFile), (b"\x7fELF\0\1\2\3\0\0\0", UnsupportedFormat)]
)
async def test_a_file_that_cannot_be_read_is_refused(
    database: FreshDatabase, content: bytes, error: type[Exception]
) -> None:
    async with open_workshop(database, "refused") as shop:
        with pytest.raises(error):
            await shop.intake.add(shop.tenant_id, Upload("a.pdf", content))
        assert await shop.documents() == []


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\plan.pdf", "plan.pdf"),
        ("a\0b\n.pdf", "ab.pdf"),
        ("", "unnamed"),
        ("/", "unnamed"),
        ("é" * 300 + ".pdf", "é" * 239 + ".pdf"),
        ("%C3%A7%20d.md", "ç d.md"),
        ("quo%22te.md", 'quo"te.md'),
        ("..%2F..%2fetc%2Fpasswd%00", "passwd"),
        ("100%.md", "100%.md"),
        ("50%20 off.md", "50%20 off.md"),
        ("%FF.md", "%FF.md"),
    ],
)
def test_a_filename_is_its_last_part(name: str, clean: str) -> None:
    assert clean_filename(name) == clean


async def test_a_cancelled_job_publishes_nothing_and_can_be_tried_again(
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_workshop(database, "cancel") as shop:
        taken = await shop.intake.add(shop.tenant_id, Upload("a.pdf", make_pdf(BOOK)))
        job = await shop.board.cancel(shop.tenant_id, taken.job_id or "")
        assert (job.status, job.error_code, job.progress) == ("cancelled", "cancelled", 0)
        await shop.worker.run(until_empty=True)
        assert await seen(shop) == ""
        with pytest.raises(JobFinished):
            await shop.board.cancel(shop.tenant_id, job.id)
        queued = await shop.board.retry(shop.tenant_id, job.id)
        assert (queued.id, queued.status) == (job.id, "queued")
        with pytest.raises(JobNotRetryable):
            await shop.board.retry(shop.tenant_id, job.id)
        await shop.worker.run(until_empty=True)
        done = await shop.board.get(shop.tenant_id, job.id)
        assert (done.status, done.progress, done.attempts) == ("succeeded", 100, 1)
        assert (done.pages_done, done.pages_total, done.chunks_embedded) == (3, 3, 3)
        for unknown in ("job_unknown", "\0"):
            with pytest.raises(JobNotFound):
                await shop.board.get(shop.tenant_id, unknown)
        with pytest.raises(JobNotFound):
            await shop.board.get("ten_other", job.id)
        await whole(shop)


async def test_a_version_without_a_job_is_found_and_finished(
    database: FreshDatabase, tmp_path: Path
) -> None:
    """As after a worker that woke up and ended the job another one was rescued with."""
    async with open_workshop(database, "stranded", stalled_after_s=0.01) as shop:
        await shop.intake.add(shop.tenant_id, Upload("a.pdf", make_pdf(BOOK)))
        shop.rows("DELETE FROM jobs.procrastinate_jobs")
        shop.rows(
            "UPDATE document_versions SET updated_at = now() - interval '1 minute'"
            " WHERE tenant_id = %s",
            shop.tenant_id,
        )
        await shop.worker._find_stranded()
        await shop.worker.run(until_empty=True)
        assert [document.status for document in await shop.documents()] == ["ready"]


async def test_tenants_take_turns_in_the_queue(database: FreshDatabase) -> None:
    async with open_workshop(database, "busy") as busy, open_workshop(database, "calm") as calm:
        for number in range(5):
            content = make_pdf([[f"Number {number}."]])
            await busy.intake.add(busy.tenant_id, Upload(f"{number}.pdf", content))
        await calm.intake.add(calm.tenant_id, Upload("calm.pdf", make_pdf(BOOK)))
        order = busy.rows(
            "SELECT args->>'tenant_id' AS tenant FROM jobs.procrastinate_jobs"
            " WHERE status = 'todo' AND args->>'tenant_id' = ANY (%s)"
            " ORDER BY priority DESC, id",
            [busy.tenant_id, calm.tenant_id],
        )
        assert [row["tenant"] for row in order].index(calm.tenant_id) <= 1
        await busy.worker.run(until_empty=True)


async def test_a_title_given_while_the_file_waits_is_kept(database: FreshDatabase) -> None:
    """A file's own title stood in its place once the first version was ready."""
    async with open_workshop(database, "title") as shop:
        file = make_pdf(BOOK, title="What the file calls itself")
        taken = await shop.intake.add(shop.tenant_id, Upload("a.pdf", file))
        await shop.archive.edit(shop.tenant_id, taken.document_id, Edit(title="What we call it"))
        await shop.worker.run(until_empty=True)
        document = await shop.archive.get(shop.tenant_id, taken.document_id)
        assert (document.status, document.title) == ("ready", "What we call it")
        await whole(shop)


async def test_facts_are_edited_and_tags_renamed(database: FreshDatabase, tmp_path: Path) -> None:
    async with open_workshop(database, "facts") as shop:
        [received] = await shop.ingest(write_book(tmp_path / "book.pdf"))
        tenant, document_id = shop.tenant_id, received.document_id or ""
        edit = Edit(title="The Book", author="Ada", tags=("a", "b"), metadata={"k": "v", "l": "w"})
        await shop.archive.edit(tenant, document_id, edit)
        edited = await shop.archive.edit(
            tenant, document_id, Edit(clear_author=True, metadata={"k": None, "m": "x"})
        )
        assert (edited.title, edited.author, edited.tags) == ("The Book", None, ("a", "b"))
        assert dict(edited.metadata) == {"l": "w", "m": "x"}
        assert await shop.archive.tags(tenant) == {"a": 1, "b": 1}
        assert await shop.archive.replace_tag(tenant, "a", "c") == 1
        assert await shop.archive.replace_tag(tenant, "c", "b") == 1, "two become one"
        assert await shop.archive.tags(tenant) == {"b": 1}
        assert "nine" in await seen(shop, tags=("b",))
        assert await shop.archive.replace_tag(tenant, "b", None) == 1
        assert await shop.archive.replace_tag(tenant, "b", None) == 0
        before = len(shop.embedder.passages)
        write_book(tmp_path / "book.pdf", changed(BOOK, 1, "A new first page."))
        await shop.ingest(tmp_path / "book.pdf")
        assert len(shop.embedder.passages) == before + 1, "a new title embeds nothing again"
        document = await shop.archive.get(tenant, document_id)
        assert document.title == "The Book", "nor does a new version take it away"
        stats = await corpus_stats(shop.pool, tenant)
        assert stats["totals"] == {
            "documents": 1,
            "deleted_documents": 0,
            "versions": 2,
            "bytes": stats["totals"]["bytes"],
            "vectors": 3,
            "chunks": 4,
        }
        assert stats["by_media_type"]["application/pdf"]["documents"] == 1
        assert stats["by_tag"] == {}
        assert stats["index"]["healthy"] is True
