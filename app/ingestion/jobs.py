"""The job queue: Procrastinate on the same PostgreSQL, so a job and its rows commit together.

A job survives its worker: one that has not been heard of for a while loses its jobs to another, and
the claim in ``document_versions`` refuses whatever the lost one may still write.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import procrastinate
import psycopg
import structlog
from procrastinate import JobContext, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import ConnectorException

from app.documents.store import claim_version, fail_version
from app.errors import AppError
from app.infra.postgres import Connection, DatabaseUnavailable, Pool, tenant_transaction
from app.ingestion.pipeline import Pipeline

log = structlog.get_logger(__name__)
QUEUE = "ingestion"
_TASK = "ingest_version"
#: What may be over a little later: a dependency that is away.
_RETRIED = (AppError, OSError, psycopg.OperationalError)


class GivenUp(Exception):
    """Ends a job as failed; its version says why. Retrying it would only hold up the document."""


#: A worker that is asked to stop gives its job so long to end; the launcher stops all within 10 s.
STOP_AFTER_S = 3
#: Pause after the database was found to be away.
RESUME_AFTER_S = 1.0


class IngestionQueue:
    """Records ingestion jobs, and runs them when asked to."""

    def __init__(
        self, pool: Pool, pipeline: Pipeline, *, attempts: int, stalled_after_s: float
    ) -> None:
        self._pool = pool
        self._pipeline = pipeline
        self._attempts = attempts
        self._stalled_after_s = stalled_after_s
        self._app = procrastinate.App(connector=PsycopgConnector())
        self._task = self._app.task(
            name=_TASK,
            queue=QUEUE,
            pass_context=True,
            retry=RetryStrategy(
                max_attempts=attempts, exponential_wait=2, retry_exceptions=_RETRIED
            ),
        )(self._ingest)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["IngestionQueue"]:
        """Use the queue; it borrows the process's pool."""
        await self._app.connector.open_async(self._pool)
        yield self

    async def defer(
        self, connection: Connection, tenant_id: str, document_id: str, version: int
    ) -> None:
        """Record a job in the caller's transaction; it runs once that has committed.

        Jobs of one document run one after the other.
        """
        await self._task.configure(lock=document_id, connection=connection).defer_async(
            tenant_id=tenant_id, document_id=document_id, version=version
        )

    async def run(self, *, until_empty: bool = False) -> None:
        """Work on jobs until cancelled, or until none is left.

        A database that goes away is waited for; its loss is logged each time it is noticed.

        Raises:
            DatabaseUnavailable: only with ``until_empty``.
        """
        reaper = asyncio.create_task(self._reap())
        try:
            while True:
                await self._work(until_empty=until_empty)
                if until_empty:
                    return
                await asyncio.sleep(RESUME_AFTER_S)
        finally:
            reaper.cancel()
            with suppress(asyncio.CancelledError):
                await reaper

    async def _work(self, *, until_empty: bool) -> None:
        """Be one registered worker, until cancelled, out of jobs, or cut off from the database."""
        try:
            await self._app.run_worker_async(
                queues=[QUEUE],
                concurrency=1,
                wait=not until_empty,
                install_signal_handlers=False,
                fetch_job_polling_interval=2.0,
                update_heartbeat_interval=self._stalled_after_s / 3,
                stalled_worker_timeout=self._stalled_after_s,
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
        if attempt > self._attempts:
            # The worker died with this job each time before, so nothing could say so until now.
            await self._give_up(tenant_id, document_id, version, "The worker died on this file.")
            return
        try:
            await self._pipeline.process(tenant_id, document_id, version)
        except asyncio.CancelledError:
            # We are asked to stop. A job of its own takes over, because Procrastinate would end
            # this one for good; being stopped does not count as a failed attempt.
            await self._task.configure(lock=document_id).defer_async(
                tenant_id=tenant_id, document_id=document_id, version=version
            )
            raise
        # Whatever it is, the queue goes on with the next job and this document says what happened.
        except Exception as error:
            log.exception("ingestion_error", document_id=document_id, version=version)
            if attempt < self._attempts and isinstance(error, _RETRIED):
                raise
            detail = error.detail if isinstance(error, AppError) else "An internal error."
            await self._give_up(tenant_id, document_id, version, detail)
            raise GivenUp from error

    async def _give_up(self, tenant_id: str, document_id: str, version: int, detail: str) -> None:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            claimed = await claim_version(connection, tenant_id, document_id, version)
            if claimed is not None:
                await fail_version(connection, claimed, code="gave_up", detail=detail)

    async def _reap(self) -> None:
        """Hand the jobs of dead workers to living ones, every few seconds."""
        manager = self._app.job_manager
        while True:
            try:
                stalled = await manager.get_stalled_jobs(
                    queue=QUEUE,
                    seconds_since_heartbeat=self._stalled_after_s,
                )
                for job in stalled:
                    log.warning("job_rescued", job_id=job.id, **_arguments(job))
                    await manager.retry_job(job)
            except (ConnectorException, psycopg.Error) as error:
                # The database is away; the worker's own loop reports it and so will the next round.
                log.warning("reaper_skipped", error=type(error).__name__)
            await asyncio.sleep(self._stalled_after_s / 3)


def _arguments(job: Any) -> dict[str, Any]:  # noqa: ANN401 - Procrastinate's generic job
    return {name: job.task_kwargs.get(name) for name in ("document_id", "version")}
