"""What a search costs, and whether it found what it should."""

import gc
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters, VectorStoreQuery
from llama_index.vector_stores.postgres import PGVectorStore

from app.retrieval.chunk_store import HalfVector
from app.retrieval.embedding import Vectors
from app.retrieval.passage import Scope
from app.retrieval.search import Retriever
from scripts.search_benchmark.corpus import Corpus, unit
from scripts.search_benchmark.engines import DENSE, EF_SEARCH, HYBRID, SESSION, TOP_K, Engine
from scripts.search_benchmark.tables import BIG, SMALL

#: Of a round: questions each engine is asked unmeasured, then measured.
WARM_UP, MEASURED = 2, 10
BEAMS = (40, 100, 160, EF_SEARCH, 400)


class Backends:
    """CPU of the server processes of one database, from the kernel's scheduler."""

    def __init__(self, url: str) -> None:
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid()"
            ).fetchall()
        files = [Path(f"/proc/{pid}/schedstat") for (pid,) in rows]
        local = "host=/" in url and all(file.exists() for file in files)
        self._files = files if local else []

    def cpu_ms(self) -> float | None:
        """Milliseconds so far; None when the server runs elsewhere."""
        if not self._files:
            return None
        return sum(int(file.read_bytes().split()[0]) for file in self._files) / 1e6


async def measure(engines: Sequence[Engine], url: str, rounds: int) -> None:
    """Ask everything of everybody, in turns."""
    for engine in engines:  # connections, prepared statements, caches
        for i in range(7):
            await engine.search(i)
    backends = Backends(url)
    order = random.Random(1)  # noqa: S311 - an order
    gc.collect()
    gc.freeze()
    for turn in range(rounds):
        first = turn * MEASURED
        for engine in order.sample(engines, len(engines)):
            for i in range(first, first + WARM_UP):
                await engine.search(i)
            for i in range(first + WARM_UP, first + WARM_UP + MEASURED, engine.stride):
                await measure_one(engine, i, backends)
    gc.unfreeze()


async def measure_one(engine: Engine, i: int, backends: Backends) -> None:
    """One search: wall time, CPU of this process, CPU of the server's."""
    before = backends.cpu_ms()
    cpu, wall = time.process_time(), time.perf_counter()
    found = await engine.search(i)
    engine.wall_ms.append((time.perf_counter() - wall) * 1e3)
    engine.client_ms.append((time.process_time() - cpu) * 1e3)
    after = backends.cpu_ms()
    if before is not None and after is not None:
        engine.server_ms.append(after - before)
    engine.found[i] = found


def nearest(url: str, corpus: Corpus, asked: Vectors) -> list[set[str]]:
    """The ids of the ten nearest chunks of every vector, by brute force on what is stored."""
    ids = [""] * len(corpus.texts)
    with psycopg.connect(url) as owner:
        for id_, digest in owner.execute(
            "SELECT id, digest FROM chunks WHERE tenant_id = %s", (BIG,)
        ):
            ids[int.from_bytes(digest, "big")] = id_
    stored = unit(corpus.vectors.astype(np.float16).astype(np.float32))
    cosines = (stored @ row for row in asked.astype(np.float16).astype(np.float32))
    return [{ids[chunk] for chunk in np.argpartition(-row, TOP_K)[:TOP_K]} for row in cosines]


def beams(url: str, corpus: Corpus) -> list[dict[str, Any]]:
    """Recall@10 and server CPU by beam width, for questions and for texts like the chunks.

    A question is unlike every chunk, which makes it harder for a graph of chunks than what most
    benchmarks ask: a vector drawn like those stored.
    """
    rng = np.random.default_rng(2)
    pairs = rng.integers(len(corpus.texts), size=(2, len(corpus.asked)))
    kinds = {
        "questions": corpus.asked,
        "chunks": unit(corpus.vectors[pairs[0]] + 0.5 * corpus.vectors[pairs[1]]),
    }
    truths = {kind: nearest(url, corpus, asked) for kind, asked in kinds.items()}
    found = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SESSION)
        for width in BEAMS:
            connection.execute(f"SET hnsw.ef_search = {width}")
            row: dict[str, Any] = {"ef_search": width}
            for kind, asked in kinds.items():
                row[kind], row["server_cpu_ms"] = recall(connection, asked, truths[kind])
            found.append(row)
    return found


def recall(
    connection: psycopg.Connection[Any], asked: Vectors, truth: Sequence[set[str]]
) -> tuple[float, float | None]:
    """Recall@10 of the product's vector ranking, and the median CPU of the server."""
    file = Path(f"/proc/{connection.info.backend_pid}/schedstat")
    hits, spent = 0, []
    for vector, right in zip(asked, truth, strict=True):
        before = file.read_bytes().split()[0] if file.exists() else b"0"
        rows = connection.execute(
            "SELECT id FROM rank_by_vector(%s, 10, NULL, NULL)", (HalfVector.of(vector),)
        ).fetchall()
        after = file.read_bytes().split()[0] if file.exists() else b"0"
        spent.append((int(after) - int(before)) / 1e6)
        hits += len(right & {row[0] for row in rows})
    median = round(statistics.median(spent), 2)
    return round(hits / TOP_K / len(truth), 4), median if file.exists() else None


def check_equal(engines: Sequence[Engine]) -> None:
    """Stop when two engines that run the same plan disagree."""
    for kind in (DENSE, HYBRID):
        first, *others = [engine for engine in engines if engine.same == kind]
        for other in others:
            wrong = [i for i in first.found if other.found.get(i) != first.found[i]]
            if wrong:
                raise SystemExit(f"{first.name} and {other.name} differ for {len(wrong)} questions")


async def check_small(
    corpus: Corpus, retriever: Retriever, stock: PGVectorStore
) -> dict[str, float]:
    """Rows that a tenant of 200 chunks gets beside the big one, of ten wanted; mean of 20."""
    only = MetadataFilters(filters=[MetadataFilter(key="tenant_id", value=SMALL)])
    ours, theirs = [], []
    for i in range(20):
        found = await retriever.retrieve(corpus.questions[i], Scope(SMALL), top_k=TOP_K)
        ours.append(len(found.passages))
        query = VectorStoreQuery(
            query_embedding=corpus.asked[i].tolist(), similarity_top_k=TOP_K, filters=only
        )
        theirs.append(len((await stock.aquery(query)).ids or []))
    if min(ours) < TOP_K:
        raise SystemExit(f"the small tenant got {min(ours)} rows of {TOP_K}")
    return {"ours": statistics.mean(ours), "stock halfvec": statistics.mean(theirs)}
