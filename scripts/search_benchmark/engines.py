"""Who searches: the product, the bare driver, the stock store."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import psycopg
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import QueryBundle
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode
from llama_index.vector_stores.postgres import PGVectorStore

from app.infra.reach import SHARED
from app.retrieval.chunk_store import (
    _SEARCH,
    CANDIDATES,
    RANK_ALONE,
    RANK_CONSTANT,
    HalfVector,
)
from app.retrieval.embedding import Vector, Vectors
from app.retrieval.passage import Scope
from app.retrieval.rerank import Rankings
from app.retrieval.search import ChunkRetriever, Retriever
from app.settings import Settings
from scripts.search_benchmark.corpus import DIMENSION, MODEL, Corpus
from scripts.search_benchmark.tables import BIG, STOCK_HNSW

TOP_K = 10
#: With this the stock store's graph finds about what ours does.
WIDE_BEAM = 400
DENSE, HYBRID = "dense", "hybrid"

#: What search_chunks returns for vectors only, as one plain statement.
PLAIN = """
    SELECT c.id, c.document_id, d.current_version, d.title, d.filename, d.tags, d.url, c.page,
           c.start_offset, c.end_offset, c.heading, c.text, c.boxes, NULL::real,
           (1 - c.distance)::real, row_number() OVER (ORDER BY c.distance, c.id)::integer,
           NULL::integer
    FROM (SELECT *, embedding <=> %(embedding)s::halfvec AS distance FROM {table}
          WHERE tenant_id = %(tenant_id)s AND live
          ORDER BY embedding <=> %(embedding)s::halfvec LIMIT 10) c
    JOIN documents d ON d.id = c.document_id AND d.deleted_at IS NULL
    ORDER BY c.distance, c.id"""
#: The product's own beam.
EF_SEARCH: int = Settings.model_fields["hnsw_ef_search"].default
SESSION = (
    "SET ROLE docent_app; SET search_path = public, jobs; SET jit = off;"
    f"SET hnsw.ef_search = {EF_SEARCH};"
    f"SET hnsw.iterative_scan = strict_order; SET app.tenant = '{BIG}'"
)

Search = Callable[[int], Awaitable[list[str]]]


@dataclass
class Engine:
    """One way to search, and what it cost."""

    name: str
    search: Search
    #: Only every so many of a round's questions; for the slow ones.
    stride: int = 1
    #: Engines with the same word here must return the same ids.
    same: str = ""
    wall_ms: list[float] = field(default_factory=list)
    client_ms: list[float] = field(default_factory=list)
    server_ms: list[float] = field(default_factory=list)
    found: dict[int, list[str]] = field(default_factory=dict)


@dataclass
class Known:
    """An embedder of questions that were embedded before, so that only searching is measured."""

    vectors: dict[str, Vector]
    name: str = MODEL
    dimension: int = DIMENSION

    async def embed_query(self, text: str) -> Vector:
        return self.vectors[text]

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to release."""


def our_engines(corpus: Corpus, retriever: Retriever) -> list[Engine]:
    """The product: hybrid as requests run it, and dense through the same classes."""
    scope = Scope(BIG)
    store = retriever.index.vector_store
    dense = VectorStoreQueryMode.DEFAULT

    async def hybrid(i: int) -> list[str]:
        found = await retriever.retrieve(corpus.questions[i], scope, top_k=TOP_K)
        return [passage.id for passage in found.passages]

    async def through_index(i: int) -> list[str]:
        searcher = ChunkRetriever(
            retriever.index, similarity_top_k=TOP_K, vector_store_kwargs={"scope": scope}
        )
        embedding: Any = corpus.asked[i]
        nodes = await searcher.aretrieve(QueryBundle(corpus.questions[i], embedding=embedding))
        return [node.node_id for node in nodes]

    async def through_store(i: int) -> list[str]:
        embedding: Any = corpus.asked[i]
        query = VectorStoreQuery(query_embedding=embedding, similarity_top_k=TOP_K, mode=dense)
        return list((await store.aquery(query, scope=scope)).ids or [])

    return [
        Engine("ours: VectorStoreIndex", through_index, same=DENSE),
        Engine("ours: ChunkStore", through_store, same=DENSE),
        Engine("ours: Retriever, hybrid", hybrid, same=HYBRID),
    ]


async def bare_engines(url: str, corpus: Corpus, stack: AsyncExitStack) -> list[Engine]:
    """The driver alone: the product's call, the plain statement, and other plans of that."""

    async def connect(*settings: str) -> psycopg.AsyncConnection[Any]:
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
        stack.push_async_callback(connection.close)
        for setting in (SESSION, *settings):
            await connection.execute(setting)
        return connection

    rankings = Rankings(model=MODEL)

    def call(connection: psycopg.AsyncConnection[Any], *, hybrid: bool) -> Search:
        async def search(i: int) -> list[str]:
            ranking = rankings.for_question(corpus.questions[i])
            values = {
                "tenant_id": BIG,
                "embedding": HalfVector.of(corpus.asked[i]),
                "question": corpus.questions[i] if hybrid else "",
                "top_k": TOP_K,
                "candidates": CANDIDATES if hybrid else TOP_K,
                "document_ids": None,
                "tags": None,
                "as_of": None,
                "text_weight": ranking.text_weight if hybrid else 0,
                "rank_constant": RANK_CONSTANT,
                "language": ranking.language if hybrid else None,
                "weights": list(ranking.weights) if hybrid else RANK_ALONE,
                "reach": SHARED,
                "model": MODEL,
            }
            cursor = await connection.execute(_SEARCH, values, binary=True)
            return [row[0] for row in await cursor.fetchall()]

        return search

    def plain(connection: psycopg.AsyncConnection[Any], table: str = "chunks") -> Search:
        statement = PLAIN.format(table=table)

        async def search(i: int) -> list[str]:
            values = {"tenant_id": BIG, "embedding": HalfVector.of(corpus.asked[i])}
            cursor = await connection.execute(statement, values, binary=True)
            return [row[0] for row in await cursor.fetchall()]

        return search

    bare = await connect()
    exact = await connect("SET enable_indexscan = off")
    lists = max(1, len(corpus.texts) // 1_000)
    ivfflat = await connect(f"SET ivfflat.probes = {round(lists**0.5)}")
    return [
        Engine("bare psycopg, same call", call(bare, hybrid=False), same=DENSE),
        Engine("bare psycopg, plain SELECT", plain(bare), same=DENSE),
        Engine("bare psycopg, same call, hybrid", call(bare, hybrid=True), same=HYBRID),
        Engine("exact scan", plain(exact), stride=5),
        Engine(f"IVFFlat, lists={lists}", plain(ivfflat, "chunks_ivfflat")),
    ]


def default_stock_engines(corpus: Corpus, store: PGVectorStore) -> list[Engine]:
    """The stock store as ``from_params`` makes it when told nothing of indexes."""
    index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(DIMENSION))
    engines = []
    for mode, suffix in (
        (VectorStoreQueryMode.DEFAULT, ""),
        (VectorStoreQueryMode.HYBRID, ", hybrid"),
    ):
        retriever = index.as_retriever(similarity_top_k=TOP_K, vector_store_query_mode=mode)
        engines.append(Engine(f"stock default{suffix}", _asking(retriever, corpus), stride=10))
    return engines


def stock_engines(corpus: Corpus, name: str, store: PGVectorStore, stride: int) -> list[Engine]:
    """The stock store through ``VectorStoreIndex``, dense and hybrid."""
    index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(DIMENSION))

    def search(mode: VectorStoreQueryMode, beam: int = STOCK_HNSW["hnsw_ef_search"]) -> Search:
        retriever = index.as_retriever(similarity_top_k=TOP_K, vector_store_query_mode=mode)

        ask = _asking(retriever, corpus)

        async def run(i: int) -> list[str]:
            store.hnsw_kwargs = {**(store.hnsw_kwargs or {}), "hnsw_ef_search": beam}
            return await ask(i)

        return run

    return [
        Engine(f"stock {name}", search(VectorStoreQueryMode.DEFAULT), stride),
        Engine(
            f"stock {name}, beam {WIDE_BEAM}",
            search(VectorStoreQueryMode.DEFAULT, WIDE_BEAM),
            stride,
        ),
        Engine(f"stock {name}, hybrid", search(VectorStoreQueryMode.HYBRID), stride),
    ]


def _asking(retriever: BaseRetriever, corpus: Corpus) -> Search:
    async def run(i: int) -> list[str]:
        bundle = QueryBundle(corpus.questions[i], embedding=corpus.asked[i].tolist())
        return [node.node_id for node in await retriever.aretrieve(bundle)]

    return run
