"""Assembly: one page that shows every long-lived object, in the order in which it is made."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from procrastinate import App as JobApp
from procrastinate import PsycopgConnector
from redis.asyncio import Redis

from app.auth.api_keys.service import KeyDesk
from app.auth.api_keys.uses import noting_key_uses
from app.auth.audit import AuditLog
from app.auth.credentials import Credentials
from app.auth.keys import KeyRing, secret_of
from app.auth.wiring import People, assemble_people
from app.chat.answer_log import AnswerLog, open_answer_log
from app.chat.cache import AnswerCache
from app.chat.keeper import Keeper
from app.chat.memory import Memory, open_memory
from app.chat.pipeline import ChatLimits, ChatPipeline
from app.chat.recording import Recordings
from app.chat.spoken import SpokenQuestions
from app.chat.wiring import assemble_cache
from app.documents.service import Archive
from app.http.idempotency import Idempotency
from app.infra.blobs import BlobStore, open_blobs
from app.infra.events import EventHub
from app.infra.metrics import Metrics
from app.infra.metrics_backends import open_metrics
from app.infra.postgres import Pool, fetch_all, open_pool
from app.infra.redis import Guarded, answers, open_redis
from app.infra.redis_line import open_line
from app.infra.sampling import sampling
from app.infra.servers import urls_of
from app.infra.tracing import Tracer
from app.infra.tracing_exporters import open_tracing
from app.ingestion.announcer import Announcer
from app.ingestion.board import JobBoard
from app.ingestion.intake import Intake
from app.ingestion.jobs import IngestionQueue, Worker, backlog
from app.ingestion.pipeline import Pipeline
from app.ingestion.url_fetcher import UrlFetcher
from app.ingestion.webhooks import Webhooks, register_webhooks
from app.ingestion.wiring import file_limits, url_fetcher, work_limits
from app.limits.budgets import Budgets
from app.limits.crowd import Crowd, open_crowd
from app.limits.logins import LoginLimits
from app.limits.rates import RateLimiter, limits_of
from app.llm.completion import Provider
from app.llm.metered import watchers_of
from app.llm.providers import build_router
from app.retrieval.cited import QuotedPlaces
from app.retrieval.embedding import Embedder
from app.retrieval.following import open_embedder
from app.retrieval.search import Retriever
from app.retrieval.wiring import open_retriever
from app.settings import Settings

T = TypeVar("T")


class Closes(Protocol):
    """A part that is closed at the end."""

    async def close(self) -> None:
        """End whatever it holds."""


Part = TypeVar("Part", bound=Closes)
#: What a part may take to answer a probe.
PROBE_S = 2.0
#: How much longer than the deadline of an answer its money is put aside.
HOLD_GRACE_S = 60.0


@dataclass(frozen=True, slots=True)
class House:
    """Everything a process keeps for its whole life."""

    settings: Settings
    metrics: Metrics
    tracer: Tracer
    pool: Pool
    redis: Redis
    embedder: Embedder
    retriever: Retriever
    archive: Archive
    quoted: QuotedPlaces
    memory: Memory
    answers: AnswerLog
    cache: AnswerCache
    credentials: Credentials
    key_desk: KeyDesk
    audit: AuditLog
    people: People
    limiter: RateLimiter
    crowd: Crowd
    provider: Provider
    chat: ChatPipeline
    recordings: Recordings
    blobs: BlobStore
    events: EventHub
    idempotency: Idempotency
    intake: Intake
    fetcher: UrlFetcher
    board: JobBoard
    webhooks: Webhooks
    worker: Worker
    budgets: Budgets

    @property
    def spoken(self) -> SpokenQuestions:
        """Answers those who ask on a WebSocket, by the same pipeline."""
        return SpokenQuestions(self.chat, self.crowd)

    async def checks(self) -> dict[str, bool]:
        """Whether each part that an answer needs is there, asked at the same time."""
        postgres, redis, embedding = await asyncio.gather(
            _answers(self.pool, self.embedder.name), answers(self.redis), _embeds(self.embedder)
        )
        return {
            "postgres": postgres is not None,
            "redis": redis,
            "index": postgres is True,
            "embedding": embedding,
        }


async def _answers(pool: Pool, model: str) -> bool | None:
    """None when the database does not answer, else whether it holds an index of ``model``."""
    asked = "SELECT 1 AS one FROM index_info WHERE embedding_model = %(model)s"
    rows = await _within(PROBE_S, fetch_all(pool, asked, {"model": model}))
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
    embedder: Embedder | None = None,
    embedding_threads: int = 1,
    statement_timeout_s: float = 5,
    metrics_port: int = 0,
) -> AsyncIterator[House]:
    """Build every long-lived object once, and close them in reverse.

    ``embedder`` takes the place of the one that the settings name.

    Raises:
        AppError: the database is away, the index is another model's, the settings are wrong.
    """
    urls = urls_of(settings)
    async with AsyncExitStack() as stack:
        metrics = await stack.enter_async_context(open_metrics(settings, port=metrics_port))
        tracer = await stack.enter_async_context(open_tracing(settings, metrics))
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
        embedder = await stack.enter_async_context(
            open_embedder(pool, settings, embedder, threads=embedding_threads)
        )
        retriever = await stack.enter_async_context(
            open_retriever(settings, pool, embedder, metrics)
        )
        shared = Guarded(await stack.enter_async_context(open_line(redis)), metrics=metrics)
        budgets = _closed_by(
            stack,
            Budgets(
                shared,
                tenant_budget_usd=settings.tenant_budget_usd,
                key_budget_usd=settings.key_budget_usd,
                hold_s=settings.total_timeout_s + HOLD_GRACE_S,
            ),
        )
        provider = _closed_by(
            stack,
            build_router(settings, redis=shared, purse=budgets, watchers=watchers_of(metrics)),
        )
        await provider.open()
        blobs = await stack.enter_async_context(open_blobs(settings, pool))
        quoted = QuotedPlaces(shared)
        memory = await stack.enter_async_context(open_memory(shared, pool))
        cache = assemble_cache(shared, embedder, settings, metrics, makers=provider.makers())
        answers = await stack.enter_async_context(
            open_answer_log(shared, pool, kept_days=settings.query_log_days, metrics=metrics)
        )
        keeper = Keeper(shared, memory, answers, cache)
        events = _closed_by(stack, EventHub(redis))
        jobs = await _job_app(pool)
        queue = IngestionQueue(pool, jobs)
        deliver = register_webhooks(jobs, pool, settings)
        announcer = Announcer(events, deliver)
        pipeline = Pipeline(
            pool,
            blobs,
            embedder,
            announcer,
            limits=file_limits(settings),
            metrics=metrics,
        )
        secret = secret_of(settings)
        key_uses = await stack.enter_async_context(noting_key_uses(pool))
        await stack.enter_async_context(sampling(metrics, pool, partial(backlog, pool)))
        people = assemble_people(settings, pool, secret, LoginLimits(shared, settings))
        yield House(
            settings=settings,
            metrics=metrics,
            tracer=tracer,
            pool=pool,
            redis=redis,
            embedder=embedder,
            retriever=retriever,
            archive=Archive(pool, blobs, quoted, announcer, keeper),
            quoted=quoted,
            memory=memory,
            answers=answers,
            cache=cache,
            credentials=Credentials(KeyRing(pool, secret, key_uses), people.tokens),
            key_desk=KeyDesk(pool, secret),
            audit=AuditLog(pool),
            people=people,
            limiter=RateLimiter(shared, limits_of(settings), workers=settings.workers),
            crowd=await stack.enter_async_context(
                open_crowd(shared, settings.tenant_questions_at_once, workers=settings.workers)
            ),
            provider=provider,
            chat=ChatPipeline(
                retriever,
                provider,
                keeper,
                cache,
                limits=ChatLimits.of(settings),
                metrics=metrics,
            ),
            recordings=Recordings(shared),
            blobs=blobs,
            events=events,
            idempotency=Idempotency(pool),
            intake=Intake(pool, blobs, queue.defer, max_bytes=settings.max_file_bytes),
            fetcher=url_fetcher(settings),
            board=JobBoard(pool, queue.defer, announcer),
            webhooks=Webhooks(pool, deliver, allow_private=settings.allow_private_urls),
            worker=Worker(pool, jobs, pipeline, queue, limits=work_limits(settings), tracer=tracer),
            budgets=budgets,
        )


def _closed_by(stack: AsyncExitStack, part: Part) -> Part:
    """``part``, which is closed when the house is."""
    stack.push_async_callback(part.close)
    return part


async def _job_app(pool: Pool) -> JobApp:
    jobs = JobApp(connector=PsycopgConnector())
    await jobs.connector.open_async(pool)  # it borrows the process's pool
    return jobs
