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

import argparse
import datetime
import json
import os
import platform
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psycopg
import uvloop

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.infra.postgres import open_pool  # noqa: E402 - needs the line above
from app.retrieval.search import Retriever  # noqa: E402
from scripts.benchmarks import add_options, write  # noqa: E402
from scripts.search_benchmark.corpus import (  # noqa: E402
    SEEDS,
    Corpus,
    real_corpus,
    synthetic_corpus,
)
from scripts.search_benchmark.engines import (  # noqa: E402
    EF_SEARCH,
    Known,
    bare_engines,
    default_stock_engines,
    our_engines,
    stock_engines,
)
from scripts.search_benchmark.measure import (  # noqa: E402
    beams,
    check_equal,
    check_small,
    measure,
    nearest,
)
from scripts.search_benchmark.report import budgets, page, rows_of, table  # noqa: E402
from scripts.search_benchmark.tables import (  # noqa: E402
    database,
    fill,
    make_ivfflat,
    make_stock,
    server,
)

COMMAND = "python -m scripts.benchmark_search"


def machine(url: str) -> dict[str, Any]:
    """What ran it."""
    with psycopg.connect(url) as connection:
        [(postgres, pgvector)] = connection.execute(
            "SELECT current_setting('server_version'), extversion FROM pg_extension"
            " WHERE extname = 'vector'"
        ).fetchall()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 2**30),
        "python": platform.python_version(),
        "postgres": postgres.split()[0],
        "pgvector": pgvector,
    }


async def run_size(url: str, corpus: Corpus, rounds: int) -> dict[str, Any]:
    """Fill one database, measure, check."""
    made = await fill(url, corpus)
    make_ivfflat(url, len(corpus.texts))
    stores = {
        name: await make_stock(url, f"stock_{name}", halfvec=name == "halfvec")
        for name in ("vector", "halfvec")
    }
    default = await make_stock(url, "stock_default", indexed=False)
    known = Known(dict(zip(corpus.questions, corpus.asked, strict=True)))
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            open_pool(url, size=1, timeout_s=30, ef_search=EF_SEARCH)
        )
        retriever = Retriever(pool, known)
        engines = our_engines(corpus, retriever) + await bare_engines(url, corpus, stack)
        for name, store in stores.items():
            stack.push_async_callback(store.close)
            engines += stock_engines(corpus, name, store, 5 if name == "vector" else 2)
        stack.push_async_callback(default.close)
        engines += default_stock_engines(corpus, default)
        await measure(engines, url, rounds)
        check_equal(engines)
        small = await check_small(corpus, retriever, stores["halfvec"])
    by_beam = beams(url, corpus)
    rows = rows_of(engines, nearest(url, corpus, corpus.asked))
    return {
        "chunks": len(corpus.texts),
        "corpus": corpus.origin,
        "made": made,
        "rows": rows,
        "beams": by_beam,
        "budgets": budgets(rows, by_beam),
        "small_tenant_rows": small,
        "machine": machine(url),
    }


async def run(arguments: argparse.Namespace, server_url: str) -> dict[str, Any]:
    """All sizes."""
    load = os.getloadavg()[0]
    sizes = []
    for count in arguments.chunks:
        if arguments.data:
            corpus = await real_corpus(arguments.data, count, arguments.seeds)
        else:
            corpus = synthetic_corpus(count)
        with database(server_url) as url:
            size = await run_size(url, corpus, arguments.rounds)
        sizes.append(size)
        sys.stdout.write("\n".join([f"\n{count:,} chunks", *table(size["rows"])]) + "\n")
        for name, value in size["budgets"].items():
            sys.stdout.write(f"{name}: {value}\n")
        sys.stdout.flush()
    return {
        "command": arguments.command,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {**sizes[0].pop("machine"), "load": round(load, 1)},
        "sizes": sizes,
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chunks", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--data", type=Path, nargs="+", default=[])
    parser.add_argument("--rounds", type=int, default=20, help="of ten questions")
    add_options(parser, quick="2,000 chunks, 3 rounds")
    arguments = parser.parse_args()
    arguments.seeds = SEEDS
    if arguments.quick:
        arguments.chunks, arguments.rounds, arguments.seeds = [2_000], 3, 100
    folders = " ".join(folder.name for folder in arguments.data)
    sizes = " ".join(map(str, arguments.chunks))
    arguments.command = f"{COMMAND} --chunks {sizes}" + (f" --data {folders}" if folders else "")
    return arguments


def main() -> None:
    """Run it."""
    arguments = parse()
    with server() as url:
        result = uvloop.run(run(arguments, url))
    write(
        arguments, {"search.json": json.dumps(result, indent=2) + "\n", "search.md": page(result)}
    )


if __name__ == "__main__":
    main()
