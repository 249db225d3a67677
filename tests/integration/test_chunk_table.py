"""Versions share unchanged chunks, ranges close exactly, and the word counts never drift."""

import hashlib
import random
from collections import Counter
from pathlib import Path

import numpy as np
import psycopg
import pytest

from app.documents.document import NewFile
from app.documents.page_store import NewPage, newest_pages, replace_pages
from app.documents.store import find_page
from app.documents.version_store import add_document, add_version
from app.infra.postgres import tenant_transaction
from app.retrieval.chunk_table import (
    NewChunk,
    known_vectors,
    newest_chunks,
    replace_chunks,
)
from app.retrieval.embedding import written
from tests.conftest import FreshDatabase
from tests.integration.workshop import Workshop, open_workshop

MODEL = "all-MiniLM-L6-v2"
WORDS = [
    "recorder",
    "heater",
    "packet",
    "valve",
    "orbit",
    "sensor",
    "limits",
    "limiting",
    "alarm",
    "the",
    "of",
    "battery",
]


def chunk(page: int, text: str) -> NewChunk:
    return NewChunk(page, 0, len(text), hashlib.sha256(text.encode()).digest(), "T", "H", text, b"")


async def add(shop: Workshop, name: str) -> tuple[str, int]:
    digest = hashlib.sha256(name.encode()).digest()
    file = NewFile(name, "application/pdf", len(name), digest, source=name)
    async with tenant_transaction(shop.pool, shop.tenant_id) as connection:
        document_id = await add_document(connection, shop.tenant_id, file)
        number, _ = await add_version(connection, shop.tenant_id, document_id, file)
    return document_id, number


async def publish(shop: Workshop, document_id: str, version: int, texts: dict[int, str]) -> None:
    """Make ``texts`` (page → text) the whole of ``version``."""
    vector = np.zeros(384, np.float32)
    vector[version % 384] = 1
    async with tenant_transaction(shop.pool, shop.tenant_id) as connection:
        wanted = {new.key: new for new in (chunk(page, text) for page, text in texts.items())}
        current = await newest_chunks(connection, document_id)
        await replace_chunks(
            connection,
            tenant_id=shop.tenant_id,
            document_id=document_id,
            version=version,
            outdated=[chunk_id for key, chunk_id in current.items() if key not in wanted],
            chunks=[(new, vector) for key, new in wanted.items() if key not in current],
        )
        await connection.execute(
            "UPDATE document_versions SET published_at = now()"
            " WHERE document_id = %s AND number = %s",
            (document_id, version),
        )
        await replace_pages(
            connection,
            tenant_id=shop.tenant_id,
            document_id=document_id,
            version=version,
            pages=[
                NewPage(page, text, hashlib.sha256(text.encode()).digest(), 612, 792)
                for page, text in texts.items()
            ],
        )


def counted(shop: Workshop) -> tuple[dict[str, int], int, int]:
    """What the rows themselves say: lexeme → chunks, chunks, lexemes in all."""
    rows = shop.rows(
        "SELECT tsvector_to_array(tsv) AS lexemes FROM chunks"
        " WHERE tenant_id = %s AND valid_to IS NULL",
        shop.tenant_id,
    )
    counts = Counter(lexeme for row in rows for lexeme in row["lexemes"])
    return dict(counts), len(rows), sum(counts.values())


def kept(shop: Workshop) -> tuple[dict[str, int], int, int]:
    """What the statistics say."""
    rows = shop.rows("SELECT lexeme, chunk_count FROM lexemes WHERE tenant_id = %s", shop.tenant_id)
    assert all(row["chunk_count"] >= 0 for row in rows)
    [tenant] = shop.rows("SELECT * FROM tenants WHERE id = %s", shop.tenant_id)
    counts = {row["lexeme"]: row["chunk_count"] for row in rows if row["chunk_count"]}
    return counts, tenant["chunk_count"], tenant["lexeme_total"]


@pytest.mark.parametrize("seed", range(4))
async def test_any_sequence_of_versions_keeps_every_promise(
    database: FreshDatabase, seed: int
) -> None:
    dice = random.Random(seed)
    async with open_workshop(database, f"random {seed}") as shop:
        documents: dict[str, list[dict[int, str]]] = {}
        names: dict[str, str] = {}
        for _step in range(14):
            name = dice.choice("abc")
            document_id, version = await add(shop, name)
            names[name] = document_id
            history = documents.setdefault(document_id, [{}])
            texts = dict(history[-1])
            for page in dice.sample(range(1, 6), dice.randint(0, 3)):
                texts[page] = " ".join(dice.choices(WORDS, k=dice.randint(1, 6)))
            for page in dice.sample(sorted(texts), min(len(texts), dice.randint(0, 2))):
                del texts[page]
            before = {
                row["id"]
                for row in shop.rows("SELECT id FROM chunks WHERE tenant_id = %s", shop.tenant_id)
            }
            await publish(shop, document_id, version, texts)
            history.append(texts)
            after = {
                row["id"]
                for row in shop.rows("SELECT id FROM chunks WHERE tenant_id = %s", shop.tenant_id)
            }
            new = [page for page, text in texts.items() if history[-2].get(page) != text]
            assert before <= after
            assert len(after - before) == len(new), "what did not change is not written again"
            assert kept(shop) == counted(shop)
        for document_id, history in documents.items():
            for version, texts in enumerate(history[1:], 1):
                for table in ("chunks", "pages"):
                    number = "page" if table == "chunks" else "number"
                    rows = shop.rows(
                        f"SELECT {number} AS page, text FROM {table} WHERE document_id = %s"
                        " AND valid_from <= %s AND (valid_to IS NULL OR valid_to > %s)",
                        document_id, version, version,
                    )  # fmt: skip
                    assert sorted((row["page"], row["text"]) for row in rows) == sorted(
                        texts.items()
                    )
        broken = shop.rows(
            "SELECT 1 FROM chunks WHERE valid_to IS NOT NULL AND valid_to <= valid_from"
        )
        assert broken == []


async def test_pages_are_shared_found_by_version_and_closed(database: FreshDatabase) -> None:
    async with open_workshop(database, "pages") as shop:
        document_id, _ = await add(shop, "p")
        await publish(shop, document_id, 1, {1: "one", 2: "two", 3: "three"})
        await add(shop, "p")
        await publish(shop, document_id, 2, {1: "one", 2: "TWO"})
        rows = shop.rows(
            "SELECT number, valid_from, valid_to FROM pages WHERE document_id = %s ORDER BY 1, 2",
            document_id,
        )
        assert [tuple(row.values()) for row in rows] == [
            (1, 1, None),
            (2, 1, 2),
            (2, 2, None),
            (3, 1, 2),
        ]
        async with tenant_transaction(shop.pool, shop.tenant_id) as connection:
            texts = {
                (number, version): page.text if page else None
                for number in (1, 2, 3, 4)
                for version in (0, 1, 2)
                for page in [await find_page(connection, document_id, number, version)]
            }
            assert set(await newest_pages(connection, document_id)) == {1, 2}
        assert texts == {
            (1, 0): None, (1, 1): "one", (1, 2): "one",
            (2, 0): None, (2, 1): "two", (2, 2): "TWO",
            (3, 0): None, (3, 1): "three", (3, 2): None,
            (4, 0): None, (4, 1): None, (4, 2): None,
        }  # fmt: skip


async def test_a_vector_is_known_across_documents_but_not_across_tenants(
    database: FreshDatabase,
) -> None:
    async with open_workshop(database, "one") as one, open_workshop(database, "two") as two:
        document_id, version = await add(one, "v")
        await publish(one, document_id, version, {1: "shared words"})
        digest = chunk(1, "shared words").digest
        async with tenant_transaction(one.pool, one.tenant_id) as connection:
            known = await known_vectors(connection, {digest, b"unknown"}, model=MODEL)
        assert set(known) == {digest}
        assert known[digest].dtype == np.float32
        assert float(known[digest] @ known[digest]) == 1
        async with tenant_transaction(two.pool, two.tenant_id) as connection:
            assert await known_vectors(connection, {digest}, model=MODEL) == {}


async def test_nothing_of_a_broken_swap_stays(database: FreshDatabase, tmp_path: Path) -> None:
    async with open_workshop(database, "broken") as shop:
        document_id, version = await add(shop, "b")
        await publish(shop, document_id, version, {1: "recorder limits"})
        before = kept(shop)
        with pytest.raises(RuntimeError, match="pulled the plug"):  # noqa: PT012
            async with tenant_transaction(shop.pool, shop.tenant_id) as connection:
                await replace_chunks(
                    connection, tenant_id=shop.tenant_id, document_id=document_id, version=2,
                    outdated=list((await newest_chunks(connection, document_id)).values()),
                    chunks=[(chunk(1, "valve"), np.zeros(384, np.float32))],
                )  # fmt: skip
                raise RuntimeError("pulled the plug")
        assert kept(shop) == counted(shop) == before


def test_vectors_are_stored_as_they_were_when_every_digit_was_written(
    database: FreshDatabase,
) -> None:
    generator = np.random.default_rng(1)
    wide = generator.normal(size=(40, 384)) * 10.0 ** generator.integers(-12, 4, (40, 384))
    odd = [0.0, -0.0, 1.0, -2.0, 1e-45, 1e-38, 6e-8, 3e-8, 65504.0, 2**-14, 1 / 3, 0.1]
    vectors = [*wide, *wide.astype(np.float32), np.array(odd), wide.T[0], np.array([1, 0, -3])]
    with psycopg.connect(database.database_url) as connection:
        for vector in vectors:
            digits = "[" + ",".join(map(str, vector.tolist())) + "]"
            [same] = connection.execute(
                "SELECT %s::halfvec::text = %s::halfvec::text", (written(vector), digits)
            ).fetchall()
            assert same == (True,)
        for wrong in (np.nan, np.inf, 1e6):
            with pytest.raises(psycopg.DataError), connection.transaction():
                connection.execute("SELECT %s::halfvec", (written(np.array([0.5, wrong])),))
