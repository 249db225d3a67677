"""Assembly: one page that shows every long-lived object, in the order in which it is made."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from procrastinate import App as JobApp
from procrastinate import PsycopgConnector
from redis.asyncio import Redis

from app.auth.keys import KeyRing, secret_of
from app.chat.pipeline import ChatPipeline
from app.chat.recording import Recordings
from app.documents.service import Archive
from app.errors import ConfigurationError
from app.http.idempotency import Idempotency
from app.infra.blobs import BlobStore, open_blobs
from app.infra.events import EventHub
from app.infra.metrics import Metrics
from app.infra.metrics_backends import open_metrics
from app.infra.postgres import Pool, fetch_all, open_pool
from app.infra.redis import Guarded, answers, open_redis
from app.infra.sampling import sampling
from app.infra.servers import urls_of
from app.ingestion.announcer import Announcer
from app.ingestion.board import JobBoard
from app.ingestion.intake import Intake
from app.ingestion.jobs import IngestionQueue, Worker, WorkLimits, backlog
from app.ingestion.ocr import OcrLimits
from app.ingestion.parse import ParseLimits
from app.ingestion.pipeline import FileLimits, Pipeline
from app.ingestion.webhooks import Webhooks, register_webhooks
from app.limits.budgets import Budgets
from app.limits.rates import RateLimiter, limits_of
from app.llm.completion import Provider
from app.llm.metered import watchers_of
from app.llm.providers import build_router
from app.retrieval.cited import QuotedPlaces
from app.retrieval.embedding import Embedder
from app.retrieval.index_info import check_index
from app.retrieval.minilm import MiniLmEmbedder
from app.retrieval.openai_embedding import OpenAiEmbedder
from app.retrieval.search import Retriever
from app.settings import Settings

T = TypeVar("T")
#: What a part may take to answer a probe.
PROBE_S = 2.0
#: How much longer than the deadline of an answer its money is put aside.
HOLD_GRACE_S = 60.0


@dataclass(frozen=True, slots=True)
class House:
    """Everything a process keeps for its whole life."""

    settings: Settings
    metrics: Metrics
    pool: Pool
    redis: Redis
    embedder: Embedder
    retriever: Retriever
    archive: Archive
    quoted: QuotedPlaces
    key_ring: KeyRing
    limiter: RateLimiter
    provider: Provider
    chat: ChatPipeline
    recordings: Recordings
    blobs: BlobStore
    events: EventHub
    idempotency: Idempotency
    intake: Intake
    board: JobBoard
    webhooks: Webhooks
    worker: Worker
    budgets: Budgets

    async def checks(self) -> dict[str, bool]:
        """Whether each part that an answer needs is there, asked at the same time."""
        postgres, redis, embedding = await asyncio.gather(
            _answers(self.pool), answers(self.redis), _embeds(self.embedder)
        )
        return {
            "postgres": postgres is not None,
            "redis": redis,
            "index": postgres is True,
            "embedding": embedding,
        }


async def _answers(pool: Pool) -> bool | None:
    """None when the database does not answer, else whether it holds an index."""
    rows = await _within(PROBE_S, fetch_all(pool, "SELECT 1 AS one FROM index_info", {}))
    return None if rows is None else bool(rows)


async def _embeds(embedder: Embedder) -> bool:
    vector = await _within(PROBE_S, embedder.embed_query("ready"))
    return vector is not None and len(vector) == embedder.dimension


async def _within(limit_s: float, work: Coroutine[Any, Any, T]) -> T | None:
    """What ``work`` returns, or None when it fails or takes too long.

    It is cancelled then but not waited for: on a frozen database psycopg takes 10 s to give up.
    """
    task = asyncio.create_task(work)
    done, _ = await asyncio.wait({task}, timeout=limit_s)
    if done and not task.cancelled() and task.exception() is None:
        return task.result()
    task.cancel()
    task.add_done_callback(lambda late: late.cancelled() or late.exception())  # or it is logged
    return None


@asynccontextmanager
async def open_house(
    settings: Settings,
    *,
    embedding_threads: int = 1,
    statement_timeout_s: float = 5,
    metrics_port: int = 0,
) -> AsyncIterator[House]:
    """Build every long-lived object once, and close them in reverse.

    Raises:
        AppError: the database is away, the index is another model's, the settings are wrong.
    """
    urls = urls_of(settings)
    async with AsyncExitStack() as stack:
        metrics = await stack.enter_async_context(open_metrics(settings, port=metrics_port))
        pool = await stack.enter_async_context(
            open_pool(
                urls.database_url,
                size=settings.database_pool_size,
                timeout_s=settings.database_timeout_s,
                ef_search=settings.hnsw_ef_search,
                statement_timeout_s=statement_timeout_s,
            )
        )
        redis = await stack.enter_async_context(
            open_redis(urls.redis_url, timeout_s=settings.redis_timeout_s)
        )
        embedder = _embedder(settings, threads=embedding_threads)
        stack.push_async_callback(embedder.close)
        await check_index(pool, embedder)
        retriever = Retriever(pool, embedder, metrics=metrics)
        shared = Guarded(redis, metrics=metrics)
        budgets = Budgets(
            shared,
            tenant_budget_usd=settings.tenant_budget_usd,
            key_budget_usd=settings.key_budget_usd,
            hold_s=settings.total_timeout_s + HOLD_GRACE_S,
        )
        stack.push_async_callback(budgets.close)
        provider = build_router(
            settings, redis=shared, purse=budgets, watchers=watchers_of(metrics)
        )
        stack.push_async_callback(provider.close)
        await provider.open()
        blobs = await stack.enter_async_context(open_blobs(settings, pool))
        quoted = QuotedPlaces(shared)
        events = EventHub(redis)
        stack.push_async_callback(events.close)
        jobs = JobApp(connector=PsycopgConnector())
        await jobs.connector.open_async(pool)  # it borrows the process's pool
        queue = IngestionQueue(pool, jobs)
        deliver = register_webhooks(jobs, pool, settings)
        announcer = Announcer(events, deliver)
        pipeline = Pipeline(
            pool,
            blobs,
            embedder,
            announcer,
            limits=_limits(settings),
            metrics=metrics,
        )
        await stack.enter_async_context(sampling(metrics, pool, partial(backlog, pool)))
        yield House(
            settings=settings,
            metrics=metrics,
            pool=pool,
            redis=redis,
            embedder=embedder,
            retriever=retriever,
            archive=Archive(pool, blobs, quoted, announcer),
            quoted=quoted,
            key_ring=KeyRing(pool, secret_of(settings)),
            limiter=RateLimiter(shared, limits_of(settings), workers=settings.workers),
            provider=provider,
            chat=ChatPipeline(
                retriever,
                provider,
                quoted,
                max_question_tokens=settings.max_question_tokens,
                metrics=metrics,
            ),
            recordings=Recordings(shared),
            blobs=blobs,
            events=events,
            idempotency=Idempotency(pool),
            intake=Intake(pool, blobs, queue.defer, max_bytes=settings.max_file_bytes),
            board=JobBoard(pool, queue.defer, announcer),
            webhooks=Webhooks(pool, deliver, allow_private=settings.allow_private_urls),
            worker=Worker(pool, jobs, pipeline, queue, limits=_work_limits(settings)),
            budgets=budgets,
        )


def _work_limits(settings: Settings) -> WorkLimits:
    return WorkLimits(
        attempts=settings.job_attempts,
        concurrency=settings.worker_concurrency,
        stalled_after_s=settings.job_stalled_after_s,
    )


def _embedder(settings: Settings, *, threads: int) -> Embedder:
    if settings.embedding_base_url is None:
        embedder = MiniLmEmbedder(settings.embedding_model_dir, threads=threads)
        if (settings.embedding_model, settings.embedding_dimension) != (
            embedder.name,
            embedder.dimension,
        ):
            raise ConfigurationError(
                f"EMBEDDING_MODEL={settings.embedding_model} with {settings.embedding_dimension} "
                f"dimensions needs EMBEDDING_BASE_URL; the built-in model is {embedder.name} with "
                f"{embedder.dimension}."
            )
        return embedder
    key = settings.embedding_api_key
    return OpenAiEmbedder(
        settings.embedding_base_url,
        key.get_secret_value() if key else "",
        settings.embedding_model,
        settings.embedding_dimension,
        timeout_s=settings.embedding_timeout_s,
    )


def _limits(settings: Settings) -> FileLimits:
    return FileLimits(
        ParseLimits(
            max_bytes=settings.max_file_bytes,
            max_pages=settings.max_pages,
            max_text_bytes=settings.max_text_bytes,
            timeout_s=settings.parse_timeout_s,
            memory_bytes=settings.parse_memory_bytes,
            max_entries=settings.max_entries,
            max_unpacked_bytes=settings.max_unpacked_bytes,
        ),
        OcrLimits(max_pages=settings.max_ocr_pages, timeout_s=settings.ocr_timeout_s),
        settings.chunk_words,
    )
