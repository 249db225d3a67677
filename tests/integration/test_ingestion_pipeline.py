"""From a file to an answerable version: only changes are worked on; failure changes nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.documents.job_store import claim_version, fail_version
from app.documents.version_store import Overtaken, publish_version
from app.infra.postgres import DatabaseUnavailable, tenant_transaction
from app.ingestion.folder import find_files, take_in, watch
from app.retrieval.embedding import Vectors
from tests.conftest import FreshDatabase
from tests.fakes import CountingEmbedder
from tests.integration.workshop import (
    BOOK,
    Workshop,
    changed,
    fingerprint,
    open_workshop,
    write_book,
)


@pytest.fixture
async def shop(database: FreshDatabase, request: pytest.FixtureRequest) -> AsyncIterator[Workshop]:
    async with open_workshop(database, request.node.name) as shop:
        yield shop


class Gated(CountingEmbedder):
    """Waits in the middle of embedding until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        self.reached.set()
        await self.go_on.wait()
        return await super().embed_passages(texts)


async def test_a_new_file_becomes_an_answer_with_its_page(shop: Workshop, tmp_path: Path) -> None:
    path = write_book(tmp_path / "flight_recorder.pdf")
    [received] = await shop.ingest(path)
    assert (received.verdict, received.version) == ("new", 1)
    [document] = await shop.documents()
    assert (document.status, document.version, document.page_count) == ("ready", 1, 3)
    assert (document.title, document.filename) == ("flight recorder", "flight_recorder.pdf")
    assert document.size_bytes == path.stat().st_size
    best = (await shop.search("how many packets does the downlink send"))[0]
    assert (best.page, best.version, best.document_id) == (2, 1, document.id)
    page = await shop.archive.page(shop.tenant_id, document.id, best.page, best.version)
    assert page.text[best.start : best.end] == best.text
    assert "nine packets" in best.text
    assert all(document.title in text for text in shop.embedder.passages), "the title is embedded"


async def test_a_second_ingest_writes_no_row_and_embeds_nothing(
    shop: Workshop, tmp_path: Path
) -> None:
    paths = [write_book(tmp_path / f"{name}.pdf", changed(BOOK, 1, name)) for name in "abc"]
    await shop.ingest(*paths)
    before, embedded = fingerprint(shop.url), len(shop.embedder.passages)
    assert embedded
    received = await shop.ingest(*paths)
    assert [item.verdict for item in received] == ["unchanged"] * 3
    assert fingerprint(shop.url) == before
    assert len(shop.embedder.passages) == embedded


async def test_one_changed_page_is_all_that_is_embedded(shop: Workshop, tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.pdf")
    await shop.ingest(path)
    old = {
        row["id"]: row["page"]
        for row in shop.rows("SELECT id, page FROM chunks WHERE tenant_id = %s", shop.tenant_id)
    }
    first_version_at = datetime.now(UTC)
    shop.embedder.passages.clear()

    write_book(
        path, changed(BOOK, 2, "Telemetry", "The downlink sends fourteen packets in each second.")
    )
    [received] = await shop.ingest(path)
    assert (received.verdict, received.version) == ("changed", 2)
    assert len(shop.embedder.passages) == 1
    assert "fourteen" in shop.embedder.passages[0]
    current = shop.rows("SELECT id, page FROM chunks WHERE tenant_id = %s AND live", shop.tenant_id)
    assert len(current) == len(old), "the count is stable"
    assert {row["id"] for row in current if row["page"] != 2} == {
        id for id, page in old.items() if page != 2
    }
    [outcome] = shop.rows(
        "SELECT chunks_embedded, chunks_reused, pages_done, page_count FROM document_versions"
        " WHERE document_id = %s AND number = 2",
        received.document_id,
    )
    assert tuple(outcome.values()) == (1, 2, 3, 3)

    question = "how many packets does the downlink send"
    texts = " ".join(passage.text for passage in await shop.search(question))
    assert "fourteen" in texts
    assert "nine" not in texts
    assert {passage.version for passage in await shop.search(question)} == {2}
    then = await shop.search(question, as_of=first_version_at)
    assert "nine packets" in then[0].text
    assert "fourteen" not in " ".join(passage.text for passage in then)
    assert {passage.version for passage in then} == {1}
    assert await shop.search(question, as_of=datetime(2020, 1, 1, tzinfo=UTC)) == ()


async def test_going_back_to_old_bytes_embeds_nothing(shop: Workshop, tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.pdf")
    await shop.ingest(path)
    write_book(path, changed(BOOK, 1, "Something else entirely."))
    await shop.ingest(path)
    shop.embedder.passages.clear()
    write_book(path)
    [received] = await shop.ingest(path)
    assert received.version == 3
    assert shop.embedder.passages == []
    assert (
        "twelve gigabytes" in (await shop.search("what is the disk limit of the recorder"))[0].text
    )


async def test_a_page_moved_is_embedded_again_by_nobody(shop: Workshop, tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.pdf")
    await shop.ingest(path)
    shop.embedder.passages.clear()
    write_book(path, [BOOK[2], BOOK[0]])
    await shop.ingest(path)
    assert shop.embedder.passages == []
    found = (await shop.search("when is the heater switched off"))[0]
    assert (found.page, found.version) == (1, 2)
    assert (await shop.documents())[0].page_count == 2
    assert not [
        passage for passage in await shop.search("packets downlink") if "packets" in passage.text
    ]


async def test_a_broken_replacement_leaves_the_old_version_answering(
    shop: Workshop, tmp_path: Path
) -> None:
    path = write_book(tmp_path / "book.pdf")
    await shop.ingest(path)
    path.write_bytes(b"%PDF-1.7\n" + b"broken" * 100)
    [received] = await shop.ingest(path)
    assert (received.verdict, received.version) == ("changed", 2)
    [document] = await shop.documents()
    assert (document.status, document.version, document.error_code) == ("ready", 1, "damaged")
    assert "nine packets" in (await shop.search("how many packets"))[0].text
    write_book(path, changed(BOOK, 2, "The downlink sends twenty packets."))
    await shop.ingest(path)
    [document] = await shop.documents()
    assert (document.status, document.version, document.error_code) == ("ready", 3, None)
    assert "twenty" in (await shop.search("how many packets"))[0].text


async def test_a_broken_first_version_fails_and_can_be_tried_again(
    shop: Workshop, tmp_path: Path
) -> None:
    path = tmp_path / "broken.pdf"
    path.write_bytes(b"%PDF-1.7\nbroken")
    good = write_book(tmp_path / "good.pdf")
    await shop.ingest(path, good)
    states = {document.filename: document for document in await shop.documents()}
    assert (states["broken.pdf"].status, states["broken.pdf"].error_code) == ("failed", "damaged")
    assert states["good.pdf"].status == "ready"
    [again] = await shop.receive(path)
    assert (again.verdict, again.version) == ("new", 1)
    assert {document.filename: document.status for document in await shop.documents()}[
        "broken.pdf"
    ] == "queued"
    await shop.worker.run(until_empty=True)
    assert {document.filename: document.status for document in await shop.documents()}[
        "broken.pdf"
    ] == "failed"


async def test_a_file_still_in_the_queue_is_not_queued_twice(
    shop: Workshop, tmp_path: Path
) -> None:
    path = write_book(tmp_path / "book.pdf")
    [first] = await shop.receive(path)
    [second] = await shop.receive(path)
    assert (second.verdict, second.document_id, second.version) == ("new", first.document_id, 1)
    jobs = shop.rows(
        "SELECT 1 FROM jobs.procrastinate_jobs WHERE args->>'document_id' = %s", first.document_id
    )
    assert len(jobs) == 1


async def test_a_void_claim_publishes_nothing(database: FreshDatabase, tmp_path: Path) -> None:
    """Another worker took the version over while this one was embedding."""
    embedder = Gated()
    async with open_workshop(database, "void", embedder=embedder) as shop:
        [received] = await shop.receive(write_book(tmp_path / "book.pdf"))
        assert received.document_id is not None
        lost = asyncio.create_task(shop.pipeline.process(shop.tenant_id, received.document_id, 1))
        await embedder.reached.wait()
        async with tenant_transaction(shop.pool, shop.tenant_id) as connection:
            taken = await claim_version(connection, received.document_id, 1)
        assert taken is not None
        embedder.go_on.set()
        await lost
        assert [document.status for document in await shop.documents()] == ["processing"]
        for table in ("chunks", "pages"):
            assert shop.rows(f"SELECT 1 FROM {table} WHERE tenant_id = %s", shop.tenant_id) == []
        await shop.pipeline.process(shop.tenant_id, received.document_id, 1)
        assert [document.status for document in await shop.documents()] == ["ready"]


@pytest.mark.parametrize("first_to_finish", [2, 3])
async def test_versions_finished_out_of_order_never_mix(
    database: FreshDatabase, tmp_path: Path, first_to_finish: int
) -> None:
    """A frozen worker that wakes up can end another's job and so let two versions run at once."""
    async with open_workshop(database, f"order {first_to_finish}") as shop:
        path = write_book(tmp_path / "book.pdf")
        [received] = await shop.ingest(path)
        document_id = received.document_id
        assert document_id is not None
        running: dict[int, tuple[Gated, asyncio.Task[None]]] = {}
        for version, word in ((2, "twenty"), (3, "thirty")):
            write_book(path, changed(BOOK, 2, f"The downlink sends {word} packets."))
            await shop.receive(path)
            embedder = Gated()
            pipeline = shop.pipeline_with(embedder)
            task = asyncio.create_task(pipeline.process(shop.tenant_id, document_id, version))
            await embedder.reached.wait()
            running[version] = embedder, task
        late = 5 - first_to_finish
        embedder, task = running[first_to_finish]
        embedder.go_on.set()
        await task
        embedder, task = running[late]
        embedder.go_on.set()
        with pytest.raises(Overtaken):
            await task
        await shop.pipeline.process(shop.tenant_id, document_id, late)  # as the queue does
        [document] = await shop.documents()
        assert (document.version, document.status) == (3, "ready")
        texts = " ".join(
            p.text for p in await shop.search("how many packets does the downlink send")
        )
        assert "thirty" in texts
        assert "twenty" not in texts
        assert "nine" not in texts


async def test_what_is_finished_is_not_worked_on_again(shop: Workshop, tmp_path: Path) -> None:
    path = write_book(tmp_path / "book.pdf")
    [received] = await shop.ingest(path)
    assert received.document_id is not None
    before = fingerprint(shop.url)
    await shop.pipeline.process(shop.tenant_id, received.document_id, 1)
    await shop.pipeline.process(shop.tenant_id, received.document_id, 99)
    await shop.pipeline.process("ten_nobody", received.document_id, 1)
    assert fingerprint(shop.url) == before


async def test_an_old_claim_neither_fails_nor_publishes(shop: Workshop, tmp_path: Path) -> None:
    [received] = await shop.receive(write_book(tmp_path / "book.pdf"))
    assert received.document_id is not None
    async with tenant_transaction(shop.pool, shop.tenant_id) as connection:
        old = await claim_version(connection, received.document_id, 1)
        new = await claim_version(connection, received.document_id, 1)
        assert old is not None
        assert new is not None
        assert old.claim != new.claim
        assert not await publish_version(
            connection, old, title="t", author=None, chunks_embedded=0, chunks_reused=0
        )
        await fail_version(connection, old, status="failed", code="x", detail="x")
    [document] = await shop.documents()
    assert (document.status, document.error_code) == ("processing", None)


async def test_a_failing_dependency_leaves_nothing_behind(
    database: FreshDatabase, tmp_path: Path
) -> None:
    class Down(CountingEmbedder):
        async def embed_passages(self, texts: Sequence[str]) -> Vectors:
            raise DatabaseUnavailable

    async with open_workshop(database, "down", embedder=Down()) as shop:
        [received] = await shop.receive(write_book(tmp_path / "book.pdf"))
        assert received.document_id is not None
        with pytest.raises(DatabaseUnavailable):
            await shop.pipeline.process(shop.tenant_id, received.document_id, 1)
        assert shop.rows("SELECT 1 FROM chunks WHERE tenant_id = %s", shop.tenant_id) == []
        assert [document.status for document in await shop.documents()] == ["processing"]


async def test_one_tenants_file_is_not_the_others(database: FreshDatabase, tmp_path: Path) -> None:
    path = write_book(tmp_path / "shared.pdf")
    async with open_workshop(database, "left") as left, open_workshop(database, "right") as right:
        [one], [two] = await left.ingest(path), await right.ingest(path)
        assert one.document_id != two.document_id
        assert (one.verdict, two.verdict) == ("new", "new")
        assert right.embedder.passages, "vectors are not shared across tenants"


async def test_a_folder_is_taken_in_batch_by_batch_and_watched(
    shop: Workshop, tmp_path: Path
) -> None:
    write_book(tmp_path / "a.pdf")
    (tmp_path / "b.pdf").write_bytes(b"")
    (tmp_path / "c.pdf").write_bytes(b"%PDF-1.7\nbroken")
    received = []
    async for batch in take_in(shop.pool, shop.intake, shop.tenant_id, find_files(tmp_path)):
        received += batch
    assert [(item.path.name, item.verdict, item.reason) for item in received] == [
        ("a.pdf", "new", None), ("b.pdf", "failed", "empty_file"), ("c.pdf", "new", None),
    ]  # fmt: skip
    versions = [
        (item.document_id, item.version) for item in received if item.document_id and item.version
    ]
    working = asyncio.create_task(shop.worker.run(until_empty=True))
    reports = [report async for report in watch(shop.pool, shop.tenant_id, versions)]
    await working
    last = reports[-1]
    assert (last.done, last.total, last.pages_done, last.chunks_embedded) == (2, 2, 3, 3)
    assert list(last.failures.values()) == ["damaged: The file is damaged and cannot be read."]
