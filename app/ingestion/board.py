"""The job board: callers look up jobs, cancel them, and have them tried again."""

from collections.abc import Collection

from app.auth.audit import OPERATOR, AuditEvent, Origin, record
from app.documents.job import Job, JobStatus
from app.documents.job_store import (
    cancel_jobs,
    find_job,
    list_jobs,
    newest_job,
    requeue_version,
    seen_documents,
)
from app.documents.service import DocumentNotFound
from app.errors import Conflict, NotFound, PlaceGone
from app.infra.postgres import Pool, tenant_transaction
from app.ingestion.announcer import Announcer
from app.ingestion.intake import Defer


class JobNotFound(NotFound):
    """There is no such job."""

    code = "job_not_found"


class JobFinished(Conflict):
    """The job has ended already."""

    code = "job_finished"


class JobNotRetryable(Conflict):
    """The job succeeded, is not finished, or its document was replaced or deleted since."""

    code = "job_not_retryable"


class JobBoard:
    """The jobs of one tenant at a time."""

    def __init__(self, pool: Pool, defer: Defer, announcer: Announcer) -> None:
        self._pool = pool
        self._defer = defer
        self._announcer = announcer

    async def get(self, tenant_id: str, job_id: str) -> Job:
        """One job.

        Raises:
            JobNotFound: also when it is another tenant's.
        """
        async with tenant_transaction(self._pool, tenant_id) as connection:
            found = None if "\0" in job_id else await find_job(connection, tenant_id, job_id)
        if found is None:
            raise JobNotFound
        return found

    async def of_document(self, tenant_id: str, document_id: str) -> Job:
        """The job of a document's newest version.

        Raises:
            DocumentNotFound: also when it is another tenant's.
        """
        async with tenant_transaction(self._pool, tenant_id) as connection:
            if "\0" in document_id:
                raise DocumentNotFound
            found = await newest_job(connection, tenant_id, document_id)
        if found is None:
            raise DocumentNotFound
        return found

    async def out_of_sight(self, tenant_id: str, document_ids: Collection[str]) -> set[str]:
        """Those documents of ``document_ids`` that the caller may not see, or no more."""
        if not document_ids:
            return set()
        async with tenant_transaction(self._pool, tenant_id) as connection:
            return set(document_ids) - await seen_documents(connection, tenant_id, document_ids)

    async def list(
        self, tenant_id: str, *, status: JobStatus | None, after: str | None, limit: int
    ) -> tuple[list[Job], bool]:
        """Jobs, newest first, and whether there are more.

        Raises:
            PlaceGone: the one that the page before ended with is not there any more.
        """
        async with tenant_transaction(self._pool, tenant_id) as connection:
            found = await list_jobs(connection, tenant_id, status=status, after=after, limit=limit)
            if not (found or after is None or await find_job(connection, tenant_id, after)):
                raise PlaceGone
        return found[:limit], len(found) > limit

    async def cancel(self, tenant_id: str, job_id: str, *, by: Origin = OPERATOR) -> Job:
        """End a job; whoever works on it publishes nothing any more.

        Raises:
            JobNotFound: also when it is another tenant's.
            JobFinished: when there is nothing to cancel.
        """
        job = await self.get(tenant_id, job_id)
        async with tenant_transaction(self._pool, tenant_id) as connection:
            cancelled = await cancel_jobs(connection, job.document_id, job.version)
            for ended in cancelled:
                await record(connection, _event("job.cancel", tenant_id, job, by))
                await self._announcer.finished(connection, tenant_id, ended)
        if not cancelled:
            raise JobFinished
        await self._announcer.progress(tenant_id, cancelled[0])
        return cancelled[0]

    async def retry(self, tenant_id: str, job_id: str, *, by: Origin = OPERATOR) -> Job:
        """Queue a job that failed, was cancelled or given up once more.

        Raises:
            JobNotFound: also when it is another tenant's.
            JobNotRetryable: when that makes no sense.
        """
        job = await self.get(tenant_id, job_id)
        async with tenant_transaction(self._pool, tenant_id) as connection:
            queued = await requeue_version(connection, job.document_id, job.version)
            if queued is None:
                raise JobNotRetryable
            await record(connection, _event("job.retry", tenant_id, job, by))
            await self._defer(connection, tenant_id, job.document_id, job.version)
        await self._announcer.progress(tenant_id, queued)
        return queued


def _event(action: str, tenant_id: str, job: Job, by: Origin) -> AuditEvent:
    details = {"document_id": job.document_id, "version": job.version}
    return AuditEvent(tenant_id, action, by, job.id, details=details)
