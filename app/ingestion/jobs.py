"""The job queue: Procrastinate on the same PostgreSQL, so a job and its rows commit together.

A job survives its worker: one that has not been heard of for a while loses its jobs to another, and
the claim in ``document_versions`` refuses whatever the lost one may still write. What callers see
as a job is the row of the version; Procrastinate's rows only carry the work.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import procrastinate
import psycopg
import structlog
from procrastinate import JobContext, RetryStrategy
from procrastinate.exceptions import ConnectorException

from app.errors import AppError
from app.infra.postgres import Connection, DatabaseUnavailable, Pool, fetch_all, tenant_transaction
from app.infra.reach import EVERYTHING, reaching
from app.infra.tracing import Tracer
from app.ingestion.deferral import driver_errors
from app.ingestion.pipeline import Pipeline
from app.ingestion.traced import begin_job
from app.ingestion.webhooks import WEBHOOK_QUEUE

log = structlog.get_logger(__name__)
QUEUE = "ingestion"
#: Also named in stranded_versions and next_job_round (migrations/sql/0002_documents.sql).
TASK = "ingest_version"
#: What may be over a little later: a dependency that is away.
_RETRIED = (AppError, OSError, psycopg.OperationalError)


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """How one worker works."""

    #: Tries before a job is given up.
    attempts: int
    #: Jobs at a time: one is parsed or published while another is embedded.
    concurrency: int
    #: A job whose worker has not been heard of for so long is taken over.
    stalled_after_s: float


class GivenUp(Exception):
    """Ends a job as failed; its version says why. Retrying it would only hold up the document."""


#: A job keeps its id when it is tried again, so the lowest is the oldest.
_BACKLOG = """
    WITH waiting AS (SELECT count(*) AS waiting, min(id) AS oldest FROM procrastinate_jobs
                     WHERE status = 'todo' AND queue_name = %(queue)s)
    SELECT waiting, coalesce(extract(epoch FROM now() - (
        SELECT min(at) FROM procrastinate_events WHERE job_id = oldest)), 0)::float8 AS oldest_s
    FROM waiting
"""
#: Webhooks called at the same time. A call is nearly all waiting; if every receiver hangs, the next
#: tenant's turn comes within the time limit of a call.
WEBHOOKS_AT_ONCE = 16
#: A worker that is asked to stop gives its job so long to end; the launcher stops all within 10 s.
STOP_AFTER_S = 3
#: Pause after the database was found to be away.
RESUME_AFTER_S = 1.0
#: How long the first answer to an idempotent request is kept (design: contract, Conventions).
REQUESTS_KEPT_S = 86_400.0


class IngestionQueue:
    """Records ingestion jobs, and runs them when asked to."""

    def __init__(self, pool: Pool, app: procrastinate.App) -> None:
        self._pool = pool
        self._app = app

    async def defer(
        self, connection: Connection, tenant_id: str, document_id: str, version: int
    ) -> None:
        """Record a job in the caller's transaction; it runs once that has committed.

        Jobs of one document run one after the other; tenants take turns.
        """
        cursor = await connection.execute("SELECT next_job_round(%s) AS round", (tenant_id,))
        row = await cursor.fetchone()
        job = self._app.configure_task(
            TASK,
            queue=QUEUE,
            lock=document_id,
            priority=-int(row["round"] or 0) if row else 0,
            connection=connection,
        )
        with driver_errors():
            await job.defer_async(tenant_id=tenant_id, document_id=document_id, version=version)


async def backlog(pool: Pool) -> tuple[int, float]:
    """How many jobs of all tenants wait, and for how many seconds the oldest has.

    Raises:
        DatabaseUnavailable: when the database does not answer.
    """
    [row] = await fetch_all(pool, _BACKLOG, {"queue": QUEUE})
    return row["waiting"], row["oldest_s"]


class Worker:
    """Runs the jobs of all tenants, and takes over those of workers that died."""

    def __init__(
        self,
        pool: Pool,
        app: procrastinate.App,
        pipeline: Pipeline,
        queue: IngestionQueue,
        *,
        limits: WorkLimits,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer or Tracer()
        self._pool = pool
        self._app = app
        self._pipeline = pipeline
        self._queue = queue
        self._limits = limits
        app.task(
            name=TASK,
            queue=QUEUE,
            pass_context=True,
            retry=RetryStrategy(
                max_attempts=limits.attempts, exponential_wait=2, retry_exceptions=_RETRIED
            ),
        )(self._ingest)

    async def run(self, *, until_empty: bool = False) -> None:
        """Work on jobs until cancelled, or until none is left; every document is within reach.

        A database that goes away is waited for; its loss is logged each time it is noticed.

        Raises:
            DatabaseUnavailable: only with ``until_empty``.
        """
        with reaching(EVERYTHING):
            await self._run(until_empty=until_empty)

    async def _run(self, *, until_empty: bool) -> None:
        reaper = asyncio.create_task(self._reap())
        try:
            # Apart, so that a receiver that hangs holds up nobody's document. A group, and no
            # gather: that would be over, and the pool closed, while one still ends its jobs.
            async with asyncio.TaskGroup() as working:
                for queue, concurrency in (
                    (QUEUE, self._limits.concurrency),
                    (WEBHOOK_QUEUE, WEBHOOKS_AT_ONCE),
                ):
                    working.create_task(self._work_on(queue, concurrency, until_empty=until_empty))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            reaper.cancel()
            with suppress(asyncio.CancelledError):
                await reaper

    async def _work_on(self, queue: str, concurrency: int, *, until_empty: bool) -> None:
        while True:
            await self._work(queue, concurrency, until_empty=until_empty)
            if until_empty:
                return
            await asyncio.sleep(RESUME_AFTER_S)

    async def _work(self, queue: str, concurrency: int, *, until_empty: bool) -> None:
        """Be one registered worker, until cancelled, out of jobs, or cut off from the database."""
        try:
            await self._app.run_worker_async(
                queues=[queue],
                concurrency=concurrency,
                delete_jobs="always",
                wait=not until_empty,
                install_signal_handlers=False,
                fetch_job_polling_interval=2.0,
                update_heartbeat_interval=self._limits.stalled_after_s / 3,
                stalled_worker_timeout=self._limits.stalled_after_s,
                shutdown_graceful_timeout=STOP_AFTER_S,
            )
        except (ConnectorException, psycopg.Error) as error:
            # Also raised in the place of a cancellation, when the worker cannot sign off.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from error
            if until_empty:
                raise DatabaseUnavailable from error
            log.warning("worker_waits_for_the_database", error=type(error).__name__)

    async def _ingest(
        self, context: JobContext, *, tenant_id: str, document_id: str, version: int
    ) -> None:
        attempt = context.job.attempts + 1
        if attempt > self._limits.attempts:
            # The worker died with this job each time before, so nothing could say so until now.
            await self._pipeline.give_up(
                tenant_id,
                document_id,
                version,
                code="worker_died",
                detail="The worker died on this file each time.",
            )
            return
        span = begin_job(
            self._tracer,
            tenant_id=tenant_id,
            document_id=document_id,
            version=version,
            attempt=attempt,
        )
        try:
            with structlog.contextvars.bound_contextvars(**span.logged), span:
                await self._pipeline.process(tenant_id, document_id, version)
        except asyncio.CancelledError:
            # We are asked to stop. A job of its own takes over, because Procrastinate would end
            # this one for good; being stopped does not count as a failed attempt.
            # Without a database it is found stranded later.
            with suppress(DatabaseUnavailable):
                await self._defer_again(tenant_id, document_id, version)
            raise
        # Whatever it is, the queue goes on with the next job and this document says what happened.
        except Exception as error:
            log.exception("ingestion_error", document_id=document_id, version=version)
            if attempt < self._limits.attempts and isinstance(error, _RETRIED):
                raise
            known = error if isinstance(error, AppError) else AppError("An internal error.")
            await self._pipeline.give_up(
                tenant_id, document_id, version, code=known.code, detail=known.detail
            )
            raise GivenUp from error

    async def _defer_again(self, tenant_id: str, document_id: str, version: int) -> None:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await self._queue.defer(connection, tenant_id, document_id, version)

    async def _reap(self) -> None:
        """Every few seconds: hand the jobs of dead workers to living ones, and find lost ones."""
        while True:
            try:
                await self._rescue()
                await self._find_stranded()
            except (ConnectorException, psycopg.Error, DatabaseUnavailable) as error:
                # The database is away; the worker's own loop reports it and so will the next round.
                log.warning("reaper_skipped", error=type(error).__name__)
            await asyncio.sleep(self._limits.stalled_after_s / 3)

    async def _rescue(self) -> None:
        manager = self._app.job_manager
        for queue in (QUEUE, WEBHOOK_QUEUE):
            for job in await manager.get_stalled_jobs(
                queue=queue, seconds_since_heartbeat=self._limits.stalled_after_s
            ):
                log.warning("job_rescued", job_id=job.id, **_arguments(job))
                await manager.retry_job(job)

    async def _find_stranded(self) -> None:
        """Queue versions again that wait for a job which is not there any more.

        A worker that was frozen, lost its job to another and woke up may have ended that one's.
        """
        older_than = {"seconds": 3 * self._limits.stalled_after_s}
        found = await fetch_all(
            self._pool, "SELECT * FROM stranded_versions(%(seconds)s)", older_than
        )
        for row in found:
            log.warning("version_stranded", **row)
            await self._defer_again(row["tenant_id"], row["document_id"], row["version"])
        await fetch_all(
            self._pool, "SELECT forget_old_requests(%(seconds)s)", {"seconds": REQUESTS_KEPT_S}
        )
        await fetch_all(self._pool, "SELECT forget_lapsed_tokens()", {})


def _arguments(job: Any) -> dict[str, Any]:  # noqa: ANN401 - Procrastinate's generic job
    return {name: job.task_kwargs.get(name) for name in ("document_id", "version")}
