"""The parts of ingestion and search on a real database, with an embedder that counts."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from procrastinate import App as JobApp
from procrastinate import PsycopgConnector
from psycopg.rows import dict_row

from app.auth.keys import tenant_named
from app.chat.answer_log import AnswerLog
from app.chat.cache import AnswerCache
from app.chat.keeper import Keeper
from app.chat.memory import Memory
from app.documents.document import Document
from app.documents.service import Archive
from app.documents.store import Listing
from app.infra.blobs import BlobStore, PostgresBlobs
from app.infra.events import EventHub
from app.infra.postgres import Pool, open_pool
from app.infra.redis import Guarded, open_redis
from app.infra.tracing import Tracer
from app.ingestion.announcer import Announcer
from app.ingestion.board import JobBoard
from app.ingestion.folder import Received, examine, receive
from app.ingestion.intake import Intake
from app.ingestion.jobs import IngestionQueue, Worker, WorkLimits
from app.ingestion.ocr import OcrLimits
from app.ingestion.parse import ParseLimits
from app.ingestion.pipeline import FileLimits, Pipeline
from app.ingestion.webhooks import register_webhooks
from app.retrieval.cited import Quoted, QuotedPlaces, entries_of
from app.retrieval.passage import Passage, Scope
from app.retrieval.search import Retriever
from app.settings import Settings
from tests.conftest import FreshDatabase
from tests.fakes import CountingEmbedder
from tests.pdfs import make_pdf

BOOK = (
    (
        "Storage",
        "The disk limit of the recorder is twelve gigabytes.",
        "It wraps around when full.",
    ),
    (
        "Telemetry",
        "The downlink sends nine packets in each second.",
        "Lost packets are sent again.",
    ),
    ("Safety", "The heater is switched off above sixty degrees.", "An alarm sounds in the hall."),
)


@dataclass
class Workshop:
    """One tenant's view of ingestion and search."""

    url: str
    pool: Pool
    tenant_id: str
    embedder: CountingEmbedder
    pipeline: Pipeline
    queue: IngestionQueue
    intake: Intake
    board: JobBoard
    worker: Worker
    announcer: Announcer
    blobs: BlobStore
    retriever: Retriever
    archive: Archive
    quoted: QuotedPlaces
    memory: Memory
    redis: Guarded

    async def quote(self, answer_id: str, quotes: Sequence[Quoted]) -> None:
        """Let an answer have quoted something."""
        await self.redis.keep(entries_of(self.tenant_id, answer_id, quotes))

    def pipeline_with(self, embedder: CountingEmbedder) -> Pipeline:
        """Another pipeline, as another worker has it."""
        return Pipeline(
            self.pool,
            self.blobs,
            embedder,
            self.announcer,
            limits=FileLimits(ParseLimits(), OcrLimits(), 60),
        )

    async def receive(self, *paths: Path) -> list[Received]:
        """Take files in; their jobs are recorded and not run."""
        found = [examine(path, max_bytes=10**7) for path in paths]
        return await receive(self.pool, self.intake, self.tenant_id, found)

    async def ingest(self, *paths: Path) -> list[Received]:
        """Take files in and work until no job is left that may run now."""
        received = await self.receive(*paths)
        await self.worker.run(until_empty=True)
        return received

    async def search(
        self, question: str, *, as_of: datetime | None = None, **scope: Any
    ) -> tuple[Passage, ...]:
        """The five best passages."""
        found = await self.retriever.retrieve(
            question, Scope(self.tenant_id, as_of=as_of, **scope), top_k=5
        )
        return found.passages

    async def documents(self) -> Sequence[Document]:
        """Every document, deleted ones too."""
        found, _ = await self.archive.list(self.tenant_id, Listing(100, include_deleted=True))
        return found

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Ask as the owner, past every policy."""
        return owner_rows(self.url, query, *values)


def owner_rows(url: str, query: str, *values: Any) -> list[dict[str, Any]]:
    """Ask as the owner of the tables; a statement that returns nothing gives no rows."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.execute("SET search_path = public, jobs")
        cursor = connection.execute(query, values)
        return [] if cursor.description is None else cursor.fetchall()


@asynccontextmanager
async def open_workshop(
    database: FreshDatabase,
    tenant: str,
    *,
    embedder: CountingEmbedder | None = None,
    attempts: int = 3,
    stalled_after_s: float = 30,
    pool_size: int = 4,
    tracer: Tracer | None = None,
) -> AsyncIterator[Workshop]:
    """The parts, for a tenant that is made if it is new."""
    embedder = embedder or CountingEmbedder()
    tenant_id = tenant_named(database.database_url, tenant)
    async with (
        open_pool(database.database_url, size=pool_size, timeout_s=5) as pool,
        open_redis(database.redis_url, timeout_s=0.5) as redis,
    ):
        guarded = Guarded(redis)
        quoted, memory = QuotedPlaces(guarded), Memory(guarded, pool)
        answers = AnswerLog(guarded, pool, kept_days=0)
        keeper = Keeper(guarded, memory, answers, AnswerCache(guarded, ttl_s=60))
        events = EventHub(redis)
        jobs = JobApp(connector=PsycopgConnector())
        await jobs.connector.open_async(pool)
        queue = IngestionQueue(pool, jobs)
        blobs = PostgresBlobs(pool)
        announcer = Announcer(
            events, register_webhooks(jobs, pool, Settings(allow_private_urls=True))
        )
        pipeline = Pipeline(
            pool, blobs, embedder, announcer, limits=FileLimits(ParseLimits(), OcrLimits(), 60)
        )
        limits = WorkLimits(attempts, 1, stalled_after_s)
        worker = Worker(pool, jobs, pipeline, queue, limits=limits, tracer=tracer)
        yield Workshop(
            database.database_url, pool, tenant_id, embedder, pipeline, queue,
            Intake(pool, blobs, queue.defer, max_bytes=10**7),
            JobBoard(pool, queue.defer, announcer), worker, announcer, blobs,
            Retriever(pool, embedder),
            Archive(pool, blobs, quoted, announcer, keeper), quoted, memory, guarded,
        )  # fmt: skip
        await events.close()


def write_book(path: Path, pages: Sequence[Sequence[str]] = BOOK) -> Path:
    """Write a PDF as a careful program does: whole or not at all."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(make_pdf(pages))
    os.replace(draft, path)
    return path


def changed(pages: Sequence[Sequence[str]], number: int, *lines: str) -> list[Sequence[str]]:
    """``pages`` with other lines on page ``number``."""
    return [lines if index == number else page for index, page in enumerate(pages, 1)]


def fingerprint(url: str) -> dict[str, tuple[int, str | None]]:
    """Every row of every table by its place and the transactions that wrote it.

    Any insert, update or delete since shows; so does nothing else.
    """
    tables = owner_rows(
        url,
        "SELECT schemaname || '.' || tablename AS name FROM pg_tables"
        " WHERE schemaname IN ('public', 'jobs') AND tablename <> 'procrastinate_workers'",
    )
    found: dict[str, tuple[int, str | None]] = {}
    for table in tables:
        [row] = owner_rows(
            url,
            "SELECT count(*), md5(string_agg(t.ctid::text || t.xmin::text, ',' ORDER BY t.ctid))"
            f" AS seen FROM {table['name']} t",
        )
        found[table["name"]] = row["count"], row["seen"]
    return found
