"""What is asked about: the sample documents, in the product's tables and in the stock store's."""

import asyncio
import subprocess
import sys

import psycopg

from scripts.chat_benchmark.processes import ROOT
from scripts.search_benchmark.tables import make_stock

STOCK_TABLE = "naive"
QUESTIONS = [
    "What happens to open files on a processor reset?",
    "How many Multi-Groups can the Scheduler support?",
    "How many sub seconds are there per second?",
    "What is the minimum number of packets written to a file?",
]


def prepare_samples() -> None:
    """Migrate, mint the development key, ingest the sample documents; what is there stays."""
    subprocess.run([sys.executable, "-m", "scripts.prepare", "--samples"], cwd=ROOT, check=True)


def fill(database_url: str) -> int:
    """Ingest the samples and copy their chunks, with vectors, to the stock table; their number.

    What was filled before is left alone.
    """
    prepare_samples()

    async def copy() -> None:
        store = await make_stock(database_url, STOCK_TABLE, halfvec=True)
        await store.close()

    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT to_regclass(%s)", (f"data_{STOCK_TABLE}",)).fetchone()
    if row is None or row[0] is None:
        asyncio.run(copy())
    with psycopg.connect(database_url) as connection:
        row = connection.execute(f"SELECT count(*) FROM data_{STOCK_TABLE}").fetchone()  # noqa: S608
    return int(row[0]) if row else 0


def stock_addresses(database_url: str) -> tuple[str, str]:
    """The URLs by which the stock store's two drivers reach the embedded server."""
    parts = psycopg.conninfo.conninfo_to_dict(database_url)
    address = f"{parts['user']}@/{parts['dbname']}?host={parts['host']}"
    return f"postgresql+psycopg2://{address}", f"postgresql+asyncpg://{address}"
