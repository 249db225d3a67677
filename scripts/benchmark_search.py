"""Searching the chunk table: ours beside the bare driver, stock ``PGVectorStore`` and other plans.

    python -m scripts.benchmark_search [--chunks 10000 100000] [--data DIR ...] [--quick]

Makes its own servers in a throw-away home (or databases of its own on DATABASE_URL), fills them
through the product's write path and asks every engine the same questions, in turns: each round
gives each engine the same few questions, in another order every round, the first two unmeasured.
Engines that run the same plan must return the same ids before a ratio is printed; for the others
recall@10 against an exact scan is. CPU is this process's per search; "server" is the CPU time
of the database's backends, when they run on this machine. Writes docs/benchmarks/search.{json,md}.

``--data`` takes folders with ``passages.jsonl`` and ``questions.jsonl``: their chunks of 180 words
are embedded by the product's model, and the table is filled up with mixtures of neighbouring
chunks (text and vector) and noise. Without it the vectors are clusters and the words are drawn
with natural frequencies; no model is needed then.
"""

import contextlib
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from app.infra.embedded.servers import embedded_servers, urls_for
from app.infra.postgres import Pool, migrate, tenant_transaction
from app.retrieval.chunk_table import NewChunk, replace_chunks
from app.retrieval.embedding import Vector, Vectors
from app.retrieval.minilm import MiniLmEmbedder
from app.settings import MODEL_DIR, load_settings

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "benchmarks" / "search"
COMMAND = "python -m scripts.benchmark_search"
DIMENSION = 384
TOP_K = 10
CHUNK_WORDS = 180
#: Chunks of real text that are embedded; 37 ms each.
SEEDS = 1_600
QUESTIONS = 220
CHUNKS_PER_DOCUMENT = 500
BIG, SMALL = "ten_big", "ten_small"
SMALL_CHUNKS = 200
#: Bytes of a word's box, and how many different ones there are to cut from.
BOX_BYTES = 24
BOX_POOL = 1 << 20

Vectorlike = NDArray[np.float32]
Search = Callable[[int], Awaitable[list[str]]]


@dataclass(frozen=True)
class Corpus:
    """Chunks and questions with their vectors; (n, 384), rows L2-normalised."""

    origin: str
    texts: list[str]
    vectors: Vectors
    questions: list[str]
    asked: Vectors


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


# --- what is searched -----------------------------------------------------------------------------


def lines_of(folders: Sequence[Path], name: str) -> Iterator[dict[str, Any]]:
    """The English records of ``name`` in every folder."""
    for folder in folders:
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record.get("lang", "en") == "en":
                yield record


def pieces_of(text: str) -> Iterator[str]:
    """``text`` in pieces of 180 words; a last one of a few words is left out."""
    words = text.split()
    for start in range(0, len(words), CHUNK_WORDS):
        if len(words) - start > CHUNK_WORDS // 4:
            yield " ".join(words[start : start + CHUNK_WORDS])


async def real_corpus(folders: Sequence[Path], count: int, seeds: int) -> Corpus:
    """Chunks of the folders' passages, then mixtures of two that are close to each other."""
    rng = np.random.default_rng(1)
    passages = lines_of(folders, "passages.jsonl")
    found = [f"{p['title']}\n{piece}" for p in passages for piece in pieces_of(p["text"])]
    asked = [q["question"] for q in lines_of(folders, "questions.jsonl")]
    texts = [found[i] for i in rng.permutation(len(found))[: min(seeds, count)]]
    questions = [asked[i] for i in rng.permutation(len(asked))[:QUESTIONS]]
    embedder = MiniLmEmbedder(MODEL_DIR, threads=os.cpu_count() or 1)
    vectors = await embedder.embed_passages(texts)
    asked_vectors = np.array([await embedder.embed_query(question) for question in questions])
    await embedder.close()
    origin = (
        f"{len(texts):,} chunks of {', '.join(folder.name for folder in folders)} with MiniLM's"
        f" vectors, mixed with near ones and noise to {count:,}; {len(questions)} of their questions"
    )
    mixed_texts, mixed_vectors = mixtures(rng, texts, vectors, count - len(texts))
    return Corpus(
        origin, texts + mixed_texts, np.vstack([vectors, mixed_vectors]), questions, asked_vectors
    )


def mixtures(
    rng: np.random.Generator, texts: Sequence[str], vectors: Vectors, count: int
) -> tuple[list[str], Vectors]:
    """``count`` chunks between two near ones: part of the words of both, a point between them.

    A few words of its own keep the vocabulary growing, as it does in a real corpus.
    """
    near = np.argsort(-(vectors @ vectors.T), axis=1)[:, 1:9]
    first = rng.integers(len(texts), size=count)
    second = near[first, rng.integers(near.shape[1], size=count)]
    share = rng.uniform(0, 0.5, size=(count, 1))
    noise = rng.normal(scale=0.35 / DIMENSION**0.5, size=(count, DIMENSION))
    split = [text.split() for text in texts]
    mixed = []
    for a, b, part in zip(first, second, share[:, 0], strict=True):
        cut = int((1 - part) * len(split[a]))
        own = [f"n{int(number)}" for number in rng.pareto(0.4, size=5).clip(0, 10**9)]
        mixed.append(" ".join(split[a][:cut] + own + split[b][cut:]))
    return mixed, unit((1 - share) * vectors[first] + share * vectors[second] + noise)


def synthetic_corpus(count: int) -> Corpus:
    """Clusters in a space of few effective dimensions, as text embeddings are; Zipf's words."""
    rng = np.random.default_rng(1)
    axes = rng.normal(size=(64, DIMENSION)) * np.arange(1, 65)[:, None] ** -0.4
    topics = rng.normal(size=(max(20, count // 60), 64))
    topic = rng.integers(len(topics), size=count + QUESTIONS)
    vectors = unit((topics[topic] + 0.6 * rng.normal(size=(count + QUESTIONS, 64))) @ axes)
    words = np.array([f"w{number:x}" for number in range(60_000)])
    odds = 1 / (np.arange(len(words)) + 3)
    drawn = rng.choice(len(words), size=(count + QUESTIONS, CHUNK_WORDS), p=odds / odds.sum())
    texts = [" ".join(words[row]) for row in drawn[:count]]
    # A question takes eight words of a chunk of its topic.
    like = [int(np.flatnonzero(topic[:count] == topic[count + i])[0]) for i in range(QUESTIONS)]
    questions = [" ".join(words[rng.choice(drawn[i], size=8)]) for i in like]
    origin = f"{count:,} synthetic chunks: clustered vectors, words with natural frequencies"
    return Corpus(origin, texts, vectors[:count], questions, vectors[count:])


def unit(rows: NDArray[np.floating[Any]]) -> Vectors:
    """The rows at length 1."""
    scaled: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return scaled


# --- where it is searched -------------------------------------------------------------------------


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
            migrate(url, embedding_model="all-MiniLM-L6-v2", embedding_dimension=DIMENSION)
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


async def fill(url: str, pool: Pool, corpus: Corpus) -> dict[str, float]:
    """Both tenants through the product's write path, then the vector index; seconds of each."""
    with psycopg.connect(url, autocommit=True) as owner:
        row = owner.execute(
            "SELECT indexdef FROM pg_indexes WHERE indexname = 'chunks_embedding'"
        ).fetchone()
        assert row is not None
        owner.execute("DROP INDEX chunks_embedding")
        for tenant in (BIG, SMALL):
            owner.execute("INSERT INTO tenants (id, name) VALUES (%s, %s)", (tenant, tenant))
        started = time.perf_counter()
        for first in range(0, len(corpus.texts), CHUNKS_PER_DOCUMENT):
            end = min(first + CHUNKS_PER_DOCUMENT, len(corpus.texts))
            await publish(pool, BIG, f"doc_{first}", new_chunks(corpus, first, end))
        await publish(pool, SMALL, "doc_small", new_chunks(corpus, 0, SMALL_CHUNKS))
        loaded = time.perf_counter()
        owner.execute("SET maintenance_work_mem = '1GB'")
        owner.execute(row[0])
        indexed = time.perf_counter()
        owner.execute("VACUUM ANALYZE")
    return {"load_s": round(loaded - started, 1), "hnsw_build_s": round(indexed - loaded, 1)}


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
