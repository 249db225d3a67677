"""Where it is searched: a database of our own, filled through the product's write path."""

import asyncio
import contextlib
import json
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.utils import node_to_metadata_dict
from llama_index.vector_stores.postgres import PGVectorStore
from psycopg import sql

from app.infra.embedded.servers import embedded_servers, urls_for
from app.infra.migrations import migrate
from app.infra.postgres import Pool, open_pool, tenant_transaction
from app.retrieval.chunk_table import NewChunk, replace_chunks
from app.retrieval.embedding import Vector
from app.settings import load_settings
from scripts.search_benchmark.corpus import DIMENSION, MODEL, Corpus

CHUNKS_PER_DOCUMENT = 500
BIG, SMALL = "ten_big", "ten_small"
SMALL_CHUNKS = 200
#: Bytes of a word's box, and how many different ones there are to cut from.
BOX_BYTES = 24
BOX_POOL = 1 << 20
BUILD_MEMORY = "SET maintenance_work_mem = '1GB'"
#: The values of LlamaIndex's own notebook on this store.
STOCK_HNSW = {"hnsw_m": 16, "hnsw_ef_construction": 64, "hnsw_ef_search": 40}


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A database server's URL: DATABASE_URL, or our own server in a throw-away home."""
    if (url := load_settings().database_url) is not None:
        yield url
        return
    home = Path(tempfile.mkdtemp(prefix="docent-benchmark-"))
    try:
        with embedded_servers(home, redis=False) as urls:
            yield urls.database_url
    finally:
        shutil.rmtree(home, ignore_errors=True)
        sockets = Path(urls_for(home).redis_url.removeprefix("unix://")).parent
        shutil.rmtree(sockets, ignore_errors=True)


@contextlib.contextmanager
def database(server_url: str) -> Iterator[str]:
    """The URL of a database of our own with the product's schema, dropped at the end."""
    name = f"benchmark_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            old = psycopg.conninfo.conninfo_to_dict(server_url)["dbname"]
            url = server_url.replace(f"/{old}", f"/{name}", 1)
            migrate(url, embedding_model=MODEL, embedding_dimension=DIMENSION)
            yield url
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def new_chunks(corpus: Corpus, first: int, end: int) -> list[tuple[NewChunk, Vector]]:
    """Chunks as ingestion makes them; each has the boxes of its words."""
    boxes = np.random.default_rng(first).bytes(BOX_POOL)
    made = []
    for index in range(first, end):
        text = corpus.texts[index]
        size = BOX_BYTES * len(text.split())
        cut = boxes[index * 97 % (BOX_POOL - size) :][:size]
        chunk = NewChunk(
            page=index - first + 1,
            start=0,
            end=len(text),
            digest=index.to_bytes(32, "big"),
            title=f"Report {first}",
            heading="Findings",
            text=text,
            boxes=cut,
        )
        made.append((chunk, corpus.vectors[index]))
    return made


async def fill(url: str, corpus: Corpus) -> dict[str, float]:
    """Both tenants through the product's write path, then the two big indexes; seconds of each.

    The indexes are made last, for the benchmark's time's sake; their definitions are the schema's.
    """
    with psycopg.connect(url, autocommit=True) as owner:
        definitions = [take_index(owner, name) for name in ("chunks_embedding", "chunks_tsv")]
        for tenant in (BIG, SMALL):
            owner.execute("INSERT INTO tenants (id, name) VALUES (%s, %s)", (tenant, tenant))
        started = time.perf_counter()
        async with open_pool(url, size=2, timeout_s=600, statement_timeout_s=600) as pool:
            await publish(pool, SMALL, "doc_small", new_chunks(corpus, 0, SMALL_CHUNKS))
            firsts = iter(range(0, len(corpus.texts), CHUNKS_PER_DOCUMENT))

            async def publish_some() -> None:
                for first in firsts:
                    end = min(first + CHUNKS_PER_DOCUMENT, len(corpus.texts))
                    await publish(pool, BIG, f"doc_{first}", new_chunks(corpus, first, end))

            await asyncio.gather(publish_some(), publish_some())
        loaded = time.perf_counter()
        owner.execute(BUILD_MEMORY)
        owner.execute(definitions[0])
        indexed = time.perf_counter()
        owner.execute(definitions[1])
        owner.execute("VACUUM ANALYZE")
    return {"load_s": round(loaded - started, 1), "hnsw_build_s": round(indexed - loaded, 1)}


def take_index(owner: psycopg.Connection[Any], name: str) -> str:
    """Drop an index; what makes it again."""
    query = "SELECT indexdef FROM pg_indexes WHERE indexname = %s"
    [(definition,)] = owner.execute(query, (name,)).fetchall()
    owner.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    return str(definition)


async def publish(
    pool: Pool, tenant: str, document: str, chunks: Sequence[tuple[NewChunk, Vector]]
) -> None:
    """One document with its first version."""
    async with tenant_transaction(pool, tenant) as connection:
        await connection.execute(
            "INSERT INTO documents (id, tenant_id, title, filename, media_type, current_version)"
            " VALUES (%s, %s, %s, 'report.pdf', 'application/pdf', 1)",
            (document, tenant, chunks[0][0].title),
        )
        await replace_chunks(
            connection,
            tenant_id=tenant,
            document_id=document,
            version=1,
            outdated=[],
            chunks=chunks,
        )


def make_ivfflat(url: str, count: int) -> None:
    """A copy of the big tenant's chunks under IVFFlat, with the list count of pgvector's manual."""
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(BUILD_MEMORY)
        owner.execute("CREATE TABLE chunks_ivfflat (LIKE chunks INCLUDING STORAGE)")
        owner.execute(
            "INSERT INTO chunks_ivfflat SELECT * FROM chunks WHERE tenant_id = %s", (BIG,)
        )
        owner.execute(
            "CREATE INDEX ON chunks_ivfflat USING ivfflat (embedding halfvec_cosine_ops)"
            f" WITH (lists = {max(1, count // 1_000)})"
        )
        owner.execute("GRANT SELECT ON chunks_ivfflat TO docent_app")
        owner.execute("VACUUM ANALYZE chunks_ivfflat")


async def make_stock(
    url: str, name: str, *, halfvec: bool = False, indexed: bool = True
) -> PGVectorStore:
    """The stock store on a table it made itself, holding the same chunks of both tenants.

    Without ``hnsw_kwargs``, which is its default, it makes no index and scans the table.

    The rows are copied inside the database, in the shape its own function gives them: its ``add``
    takes minutes for 100,000. Its index is made after them, as ours is.
    """
    kind = "halfvec_cosine_ops" if halfvec else "vector_cosine_ops"
    parts = psycopg.conninfo.conninfo_to_dict(url)
    address = f"{parts['user']}@/{parts['dbname']}?host={parts['host']}"
    store = PGVectorStore.from_params(
        connection_string=f"postgresql+psycopg2://{address}",
        async_connection_string=f"postgresql+asyncpg://{address}",
        table_name=name,
        embed_dim=DIMENSION,
        hybrid_search=True,
        use_halfvec=halfvec,
        hnsw_kwargs={**STOCK_HNSW, "hnsw_dist_method": kind} if indexed else None,
    )
    await store.async_add([])
    marks = {"tenant_id": "@tenant", "document_id": "@document", "title": "@title", "page": "@page"}
    shape = json.dumps(node_to_metadata_dict(TextNode(id_="@id", metadata=marks), remove_text=True))
    table = sql.Identifier(f"data_{name}")
    with psycopg.connect(url, autocommit=True) as owner:
        index = take_index(owner, f"data_{name}_embedding_idx") if indexed else None
        owner.execute(
            sql.SQL(
                """INSERT INTO {} (text, node_id, embedding, metadata_)
                SELECT text, id, embedding, replace(replace(replace(replace(replace(%s, '@id', id),
                    '@tenant', tenant_id), '@document', document_id), '@title', title),
                    '@page', page::text)::json
                FROM chunks"""
            ).format(table),
            (shape,),
        )
        if index:
            owner.execute(BUILD_MEMORY)
            owner.execute(index)
        owner.execute(sql.SQL("VACUUM ANALYZE {}").format(table))
    return store
