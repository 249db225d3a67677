"""One embedding model takes another's place while it answers; the real commands, run in here."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from rich.console import Console

from app.errors import ConfigurationError, Conflict, InvalidRequest
from app.infra.postgres import tenant_transaction
from app.retrieval.following import FollowingEmbedder, open_embedder
from app.retrieval.index_info import IndexMismatch, ModelSwitched, hold_model
from app.retrieval.minilm import MiniLmEmbedder
from app.retrieval.models import build_embedder, next_settings
from app.retrieval.passage import Passage, Scope
from app.retrieval.search import Retriever
from app.settings import MODEL_DIR, Settings
from scripts import reindex
from scripts.reindexing import tables
from tests.conftest import FreshDatabase
from tests.embedding_server import DIMENSION, MODEL, EmbeddingServer, embedding_server
from tests.fakes import CountingEmbedder
from tests.integration.test_migrations import ours
from tests.integration.test_wiring import settings_for
from tests.integration.workshop import BOOK, Workshop, open_workshop, write_book

QUESTION = "How large is the disk of the recorder?"
OLD = "all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as running:
        yield running


@pytest.fixture
async def shop(database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Workshop]:
    """A tenant with one book, embedded by the built-in model; nothing stands beside."""
    embedder: Any = MiniLmEmbedder(MODEL_DIR)
    async with open_workshop(database, tmp_path.name, embedder=embedder) as opened:
        await opened.ingest(write_book(tmp_path / "book.pdf"))
        yield opened
        await back(database.database_url)
    await embedder.close()


@pytest.fixture
def settings(database: FreshDatabase, tmp_path: Path, server: EmbeddingServer) -> Settings:
    server.texts.clear()
    return settings_for(database, tmp_path, **server.settings())


async def back(url: str) -> None:
    """The built-in model answers, and nothing stands beside."""
    async with connected(url) as owner:
        found = await tables.standing(owner)
        if found.current != OLD:
            await owner.execute("TRUNCATE beside.missing")
            assert await tables.switch(owner)
        assert await tables.drop_beside(owner)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tables.Owner]:
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, row_factory=dict_row
    ) as owner:
        yield owner


async def run(settings: Settings, *arguments: str) -> str:
    """What a command prints."""
    told = StringIO()
    await reindex.run(settings, reindex.parse([*arguments]), Console(file=told, width=200))
    return told.getvalue()


@asynccontextmanager
async def searching(settings: Settings, shop: Workshop) -> AsyncIterator[Any]:
    """A search by the other model, as a process whose only model it is asks it."""
    other = next_settings(settings)
    assert other is not None
    embedder = build_embedder(other, threads=1)
    retriever = Retriever(shop.pool, embedder)

    async def search(question: str = QUESTION, tenant_id: str = "") -> tuple[Passage, ...]:
        scope = Scope(tenant_id or shop.tenant_id)
        return (await retriever.retrieve(question, scope, top_k=5)).passages

    try:
        yield search
    finally:
        await embedder.close()


async def test_a_model_is_changed_and_changed_back(  # noqa: PLR0915 - a journey
    shop: Workshop, settings: Settings, server: EmbeddingServer, tmp_path: Path
) -> None:
    before = ours(FreshDatabase(shop.url, ""))
    with pytest.raises(ConfigurationError, match="prepare"):
        await run(settings, "switch")
    assert "beside it: nothing" in await run(settings, "status")

    told = await run(settings, "prepare")
    assert f"beside it: {MODEL} ({DIMENSION} dimensions), 3 of 3 chunks; ready" in told
    assert len(server.texts) == 4, "a word to see whether it answers, and each chunk once"
    assert "twelve gigabytes" in (await shop.search(QUESTION))[0].text

    async with searching(settings, shop) as search:
        by_other = await search()
        by_built_in = await shop.search(QUESTION)
        assert {p.id for p in by_other} == {p.id for p in by_built_in}
        assert [p.similarity for p in by_other] != [p.similarity for p in by_built_in]

        # Published, replaced and deleted meanwhile, by the model that answers.
        first = ("Storage", "The disk of the recorder holds thirty gigabytes.")
        pages = [first, BOOK[2], BOOK[1]]
        await shop.ingest(write_book(tmp_path / "book.pdf", pages))
        [second] = await shop.ingest(write_book(tmp_path / "b.pdf", [["The mast is red."]]))
        assert second.document_id is not None
        assert await search() == (), "what was replaced is not live there either"
        assert "3 of 7 chunks" in await run(settings, "status")

        [revision] = shop.rows("SELECT corpus_revision FROM tenants WHERE id = %s", shop.tenant_id)
        told = await run(settings, "switch")
        assert f"answers: {MODEL} ({DIMENSION} dimensions)" in told
        assert f"beside it: {OLD} (384 dimensions), 7 of 7 chunks; ready" in told
        [after] = shop.rows("SELECT corpus_revision FROM tenants WHERE id = %s", shop.tenant_id)
        assert after["corpus_revision"] > revision["corpus_revision"], "answers kept are not given"
        assert len(server.texts) == len({*server.texts}) == 7, "the same text only once"
        for found in (await search(), await shop.search(QUESTION)):
            assert "thirty gigabytes" in found[0].text

        await shop.archive.delete(shop.tenant_id, second.document_id)
        for found in (await search("Which colour is the mast?"), await shop.search("mast")):
            assert second.document_id not in {passage.document_id for passage in found}
        await run(settings, "switch")
        await shop.archive.restore(shop.tenant_id, second.document_id)
        for found in (await search("Which colour is the mast?"), await shop.search("mast red")):
            assert found[0].document_id == second.document_id

        await run(settings, "drop")
        with pytest.raises(IndexMismatch, match=MODEL):
            await search()
    assert ours(FreshDatabase(shop.url, "")) == before, "as if nothing had been"


async def test_what_is_dropped_after_a_switch_leaves_the_same_schema(
    shop: Workshop, settings: Settings
) -> None:
    before = ours(FreshDatabase(shop.url, ""))
    await run(settings, "prepare")
    await run(settings, "switch")
    await run(settings, "drop")
    assert ours(FreshDatabase(shop.url, "")) == before
    with pytest.raises(IndexMismatch):
        await shop.search(QUESTION)
    [info] = shop.rows("SELECT embedding_model, dimension FROM index_info")
    assert (info["embedding_model"], info["dimension"]) == (MODEL, DIMENSION)
    # And back to the first, which needs its vectors anew.
    returning = settings.model_copy(update={"embedding_threads": 1})
    await run(returning, "prepare")
    await run(returning, "switch")
    assert (await shop.search(QUESTION))[0].dense_rank == 1


async def test_a_search_that_waited_for_the_switch_reads_its_own_models_chunks(
    shop: Workshop, settings: Settings
) -> None:
    """Its snapshot is older than the switch, and the tables are not where they were."""
    await run(settings, "prepare")
    async with searching(settings, shop) as search, connected(shop.url) as owner:
        wanted = [
            [(p.id, p.similarity) for p in found]
            for found in (await search(), await shop.search(QUESTION))
        ]
        for _back_and_forth in range(2):
            async with owner.transaction():
                await owner.execute("LOCK TABLE public.chunks, beside.chunks")
                waiting = [
                    asyncio.create_task(search()),
                    asyncio.create_task(shop.search(QUESTION)),
                ]
                await until_waiting(owner, 2)
                assert await tables.switch(owner)
            got = [[(p.id, p.similarity) for p in await task] for task in waiting]
            assert got == wanted


async def until_waiting(owner: tables.Owner, count: int) -> None:
    async with asyncio.timeout(20):
        while True:
            cursor = await owner.execute(
                "SELECT count(*) AS n FROM pg_locks WHERE NOT granted AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            row = await cursor.fetchone()
            if row is not None and row["n"] >= count:
                return
            await asyncio.sleep(0.01)


async def test_nobody_sees_more_of_what_stands_beside(
    shop: Workshop, database: FreshDatabase, settings: Settings
) -> None:
    await run(settings, "prepare")
    async with searching(settings, shop) as search:
        assert await search(tenant_id="ten_nobody") == ()
        assert await search()
        shop.rows(
            "INSERT INTO users (id, tenant_id, email, name, role)"
            " VALUES ('usr_1', %s, 'a@b.c', 'n', 'owner')",
            shop.tenant_id,
        )
        shop.rows(
            "UPDATE documents SET visibility = 'private', owner_id = 'usr_1' WHERE tenant_id = %s",
            shop.tenant_id,
        )
        assert await search() == (), "a private document is its owner's there as well"
    for tenant in ("", "ten_nobody", shop.tenant_id):
        async with tenant_transaction(shop.pool, tenant) as connection:
            rows = await (await connection.execute("SELECT id FROM beside.chunks")).fetchall()
            assert rows == []
            for statement in ("DELETE FROM beside.chunks", "SELECT FROM beside.missing"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    async with connection.transaction():
                        await connection.execute(statement.encode())


async def test_a_publisher_never_mixes_models(
    shop: Workshop, settings: Settings, tmp_path: Path
) -> None:
    """A job whose model was switched away from is tried again, by the model that is current."""
    other = CountingEmbedder(MODEL, DIMENSION)
    following = FollowingEmbedder(shop.embedder, other)
    worker = shop.pipeline_with(following)  # type: ignore[arg-type]
    await run(settings, "prepare")
    await run(settings, "switch")
    [job] = await shop.receive(write_book(tmp_path / "new.pdf", [["The gyroscope drifts."]]))
    assert job.document_id is not None
    assert job.version is not None
    with pytest.raises(ModelSwitched):
        await worker.process(shop.tenant_id, job.document_id, job.version)
    async with tenant_transaction(shop.pool, shop.tenant_id) as connection:
        await hold_model(connection, MODEL)
    await following.look(shop.pool)
    assert (following.name, following.dimension) == (MODEL, DIMENSION)
    await worker.process(shop.tenant_id, job.document_id, job.version)
    assert other.passages, "its text is embedded by the model that answers"
    [row] = shop.rows(
        "SELECT vector_dims(embedding) AS n FROM chunks WHERE document_id = %s", job.document_id
    )
    assert row["n"] == DIMENSION


async def test_a_process_follows_the_switch(shop: Workshop, settings: Settings) -> None:
    async with open_embedder(shop.pool, settings, threads=1) as embedder:
        retriever = Retriever(shop.pool, embedder)
        assert embedder.name == OLD
        await run(settings, "prepare")
        await run(settings, "switch")
        async with asyncio.timeout(20):
            while embedder.name == OLD:
                assert (await retriever.retrieve(QUESTION, Scope(shop.tenant_id), top_k=1)).passages
                await asyncio.sleep(0.01)
        assert (await retriever.retrieve(QUESTION, Scope(shop.tenant_id), top_k=1)).passages
        await run(settings, "switch")
    alone = settings.model_copy(update={"next_embedding_model": None})
    async with open_embedder(shop.pool, alone, threads=1) as embedder:
        assert isinstance(embedder, MiniLmEmbedder), "with one model nothing is between"
    await run(settings, "switch")
    with pytest.raises(IndexMismatch, match=r"python -m scripts\.reindex prepare"):
        async with open_embedder(shop.pool, alone, threads=1):
            pass


async def test_what_cannot_be_is_said_in_a_sentence(shop: Workshop, settings: Settings) -> None:
    alone = settings.model_copy(update={"next_embedding_model": None})
    with pytest.raises(ConfigurationError, match="NEXT_EMBEDDING_MODEL"):
        await run(alone, "prepare")
    async with connected(shop.url) as owner:
        with pytest.raises(InvalidRequest, match="already"):
            await tables.make_beside(owner, OLD, 384)
        await tables.make_beside(owner, "third", 8)
        with pytest.raises(InvalidRequest, match="drop"):
            await run(settings, "prepare")
        with pytest.raises(ConfigurationError, match="third"):
            await run(settings, "switch")
        await tables.alone(owner)
        with pytest.raises(Conflict):
            await run(settings, "drop")


async def test_vectors_that_are_known_are_looked_for_by_an_index(shop: Workshop) -> None:
    """Without one, each chunk read all of what was filled before it."""
    async with connected(shop.url) as owner:
        await tables.make_beside(owner, "third", 8)
    [row] = shop.rows(
        "SELECT indexname AS name FROM pg_indexes WHERE schemaname = 'beside'"
        " AND indexdef LIKE '%% (tenant_id, digest)'"
    )
    assert row["name"] == "chunks_digest"


async def test_the_switch_waits_for_whoever_publishes(shop: Workshop, settings: Settings) -> None:
    await run(settings, "prepare")
    async with connected(shop.url) as owner, tenant_transaction(shop.pool, shop.tenant_id) as busy:
        await hold_model(busy, OLD)
        assert not await tables.switch(owner)
        assert not await tables.drop_beside(owner)
        assert (await tables.standing(owner)).current == OLD


async def test_an_index_is_made_again_after_an_interruption(
    shop: Workshop, settings: Settings
) -> None:
    await run(settings, "prepare")
    for schema in ("beside", "public"):
        shop.rows(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid ="
            f" '{schema}.chunks_embedding'::regclass"
        )
    assert "`prepare` or `switch` does the rest" in await run(settings, "status")
    assert "; ready" in await run(settings, "prepare")
    await run(settings, "rebuild")
    [row] = shop.rows(
        "SELECT bool_and(indisvalid) AS whole FROM pg_index WHERE indrelid ="
        " 'public.chunks'::regclass"
    )
    assert row["whole"]
    assert await shop.search(QUESTION)


async def test_models_are_compared_on_logged_questions(
    shop: Workshop, settings: Settings, tmp_path: Path
) -> None:
    await run(settings, "prepare")
    for n, question in enumerate((QUESTION, QUESTION, "What of the heater?")):
        shop.rows(
            "INSERT INTO answers (id, tenant_id, caller_id, asked_at, record)"
            " VALUES (%s, %s, 'k', now(), jsonb_build_object('question', %s::text))",
            f"ans_{tmp_path.name}_{n}",
            shop.tenant_id,
            question,
        )
    told = await run(settings, "compare", "--json", str(tmp_path / "compared.json"))
    assert "query log: 2 questions" in told
    assert "overlap@10 1.000" in told
    assert MODEL in (tmp_path / "compared.json").read_text()
