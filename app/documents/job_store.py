"""Jobs in the table of versions: found, listed, claimed, reported on, ended.

Every function runs in the caller's tenant transaction. A claim is a fencing token: whoever wrote it
last works on the version, and what others still write changes nothing.
"""

import secrets
from collections.abc import Collection, Sequence
from typing import Any

from app.documents.document import Claimed
from app.documents.job import STATUS_OF_VERSION, Job, JobStatus
from app.infra.postgres import Connection

#: A job's columns, of a version called v.
JOB = """v.job_id AS id, v.document_id, v.number AS version, v.status, v.step, v.attempts,
    v.error_code, v.error_detail, v.pages_done, v.page_count AS pages_total, v.chunks_embedded,
    v.chunks_reused, v.created_at, v.updated_at"""
_VERSION_OF_STATUS = {job: version for version, job in STATUS_OF_VERSION.items()}


def job_of(row: dict[str, Any]) -> Job:
    """The job of a row with the columns of `JOB`."""
    return Job(**{**row, "status": STATUS_OF_VERSION[row["status"]]})


async def find_job(connection: Connection, tenant_id: str, job_id: str) -> Job | None:
    """One job, or None."""
    cursor = await connection.execute(
        f"SELECT {JOB} FROM document_versions v"  # noqa: S608 - constant
        " WHERE v.tenant_id = %s AND v.job_id = %s",
        (tenant_id, job_id),
    )
    row = await cursor.fetchone()
    return None if row is None else job_of(row)


async def seen_documents(
    connection: Connection, tenant_id: str, document_ids: Collection[str]
) -> set[str]:
    """Those of ``document_ids`` that the transaction reaches."""
    cursor = await connection.execute(
        "SELECT id FROM documents WHERE tenant_id = %s AND id = ANY (%s)",
        (tenant_id, list(document_ids)),
    )
    return {row["id"] for row in await cursor.fetchall()}


async def newest_job(connection: Connection, tenant_id: str, document_id: str) -> Job | None:
    """The job of a document's newest version."""
    cursor = await connection.execute(
        f"SELECT {JOB} FROM document_versions v"  # noqa: S608 - constant
        " WHERE v.tenant_id = %s AND v.document_id = %s ORDER BY v.number DESC LIMIT 1",
        (tenant_id, document_id),
    )
    row = await cursor.fetchone()
    return None if row is None else job_of(row)


async def list_jobs(
    connection: Connection,
    tenant_id: str,
    *,
    status: JobStatus | None,
    after: str | None,
    limit: int,
) -> list[Job]:
    """Newest first; one more than ``limit`` when there are more.

    None come after a job that is not there.
    """
    narrowed = "" if status is None else " AND v.status = %(status)s"
    if after is not None:
        narrowed += (
            " AND (v.created_at, v.job_id) < (SELECT a.created_at, a.job_id"
            " FROM document_versions a WHERE a.tenant_id = %(tenant)s AND a.job_id = %(after)s)"
        )
    cursor = await connection.execute(
        f"SELECT {JOB} FROM document_versions v WHERE v.tenant_id = %(tenant)s{narrowed}"  # noqa: S608
        " ORDER BY v.created_at DESC, v.job_id DESC LIMIT %(limit)s + 1",
        {
            "tenant": tenant_id,
            "status": None if status is None else _VERSION_OF_STATUS[status],
            "after": after,
            "limit": limit,
        },
    )
    return [job_of(row) for row in await cursor.fetchall()]


async def claim_version(connection: Connection, document_id: str, version: int) -> Claimed | None:
    """Take a version to work on; None when it is finished, cancelled or overtaken.

    The claim of whoever worked on it before is void from here on.
    """
    cursor = await connection.execute(
        "UPDATE document_versions v SET status = 'processing', step = 'parse', claim = %(claim)s,"
        " attempts = attempts + 1, error_code = NULL, error_detail = NULL, updated_at = now()"
        " FROM documents d LEFT JOIN LATERAL (SELECT max(p.number) AS number"
        " FROM document_versions p WHERE p.tenant_id = d.tenant_id"
        " AND p.document_id = d.id AND p.published_at IS NOT NULL) b ON true"
        " WHERE v.tenant_id = current_setting('app.tenant') AND d.tenant_id = v.tenant_id"
        " AND v.document_id = %(id)s AND v.number = %(version)s AND d.id = v.document_id"
        " AND v.status IN ('queued', 'processing') AND d.deleted_at IS NULL"
        " AND v.number > coalesce(b.number, 0)"
        " RETURNING v.document_id, v.number AS version, d.title, d.index_title, v.filename,"
        " v.media_type, v.sha256, v.claim, d.space, b.number AS base_version",
        {"claim": secrets.token_hex(16), "id": document_id, "version": version},
    )
    row = await cursor.fetchone()
    return None if row is None else Claimed(**row)


async def end_overtaken(connection: Connection, document_id: str, version: int) -> Job | None:
    """End a job that could not be claimed; None when it has ended already."""
    cursor = await connection.execute(
        "UPDATE document_versions v SET status = 'failed', claim = NULL,"  # noqa: S608
        " error_code = 'overtaken', updated_at = now(),"
        " error_detail = 'A newer version was published, or the document was deleted.'"
        " WHERE v.tenant_id = current_setting('app.tenant') AND v.document_id = %s"
        " AND v.number = %s AND v.status IN ('queued', 'processing')"
        f" RETURNING {JOB}",
        (document_id, version),
    )
    row = await cursor.fetchone()
    return None if row is None else job_of(row)


async def report_progress(
    connection: Connection, claimed: Claimed, *, step: str, pages_done: int, page_count: int | None
) -> Job | None:
    """Say how far the work has come; None when the claim is void."""
    cursor = await connection.execute(
        "UPDATE document_versions v SET step = %s, pages_done = %s, page_count = %s,"  # noqa: S608
        " updated_at = now() WHERE tenant_id = current_setting('app.tenant')"
        f" AND document_id = %s AND number = %s AND claim = %s RETURNING {JOB}",
        (step, pages_done, page_count, claimed.document_id, claimed.version, claimed.claim),
    )
    row = await cursor.fetchone()
    return None if row is None else job_of(row)


async def holds_claim(connection: Connection, claimed: Claimed) -> bool:
    """Whether the version is still ours to work on."""
    cursor = await connection.execute(
        "SELECT FROM document_versions WHERE tenant_id = current_setting('app.tenant')"
        " AND document_id = %s AND number = %s AND claim = %s",
        (claimed.document_id, claimed.version, claimed.claim),
    )
    return await cursor.fetchone() is not None


async def fail_version(
    connection: Connection, claimed: Claimed, *, status: JobStatus, code: str, detail: str
) -> Job | None:
    """End a job as ``failed`` or ``dead``; the document's current version stays what it was."""
    cursor = await connection.execute(
        "UPDATE document_versions v SET status = %s, claim = NULL, error_code = %s,"  # noqa: S608
        " error_detail = %s, updated_at = now() WHERE tenant_id = current_setting('app.tenant')"
        f" AND document_id = %s AND number = %s AND claim = %s RETURNING {JOB}",
        (
            _VERSION_OF_STATUS[status],
            code,
            detail,
            claimed.document_id,
            claimed.version,
            claimed.claim,
        ),
    )
    row = await cursor.fetchone()
    return None if row is None else job_of(row)


async def cancel_jobs(
    connection: Connection, document_id: str, version: int | None = None
) -> list[Job]:
    """End a document's unfinished jobs, or one version's; whoever works on it may not publish."""
    cursor = await connection.execute(
        "UPDATE document_versions v SET status = 'cancelled', claim = NULL,"  # noqa: S608
        " error_code = 'cancelled', error_detail = 'The job was cancelled.', updated_at = now()"
        " WHERE v.tenant_id = current_setting('app.tenant')"
        " AND v.document_id = %(id)s AND v.status IN ('queued', 'processing')"
        " AND (%(version)s::integer IS NULL OR v.number = %(version)s)"
        f" RETURNING {JOB}",
        {"id": document_id, "version": version},
    )
    return [job_of(row) for row in await cursor.fetchall()]


async def requeue_version(connection: Connection, document_id: str, version: int) -> Job | None:
    """Let a version that did not become ready be tried again; None when that makes no sense.

    It makes none when the job is unfinished or succeeded, when a newer version was published since,
    and when the document is deleted.
    """
    cursor = await connection.execute(
        "UPDATE document_versions v SET status = 'queued', step = NULL, claim = NULL,"  # noqa: S608
        " error_code = NULL, error_detail = NULL, updated_at = now() FROM documents d"
        " WHERE v.tenant_id = current_setting('app.tenant') AND d.tenant_id = v.tenant_id"
        " AND v.document_id = %(id)s AND v.number = %(version)s AND d.id = v.document_id"
        " AND d.deleted_at IS NULL AND v.status IN ('failed', 'cancelled', 'dead')"
        " AND NOT EXISTS (SELECT FROM document_versions p"
        " WHERE p.tenant_id = v.tenant_id AND p.document_id = v.document_id"
        " AND p.number > v.number AND p.published_at IS NOT NULL)"
        f" RETURNING {JOB}",
        {"id": document_id, "version": version},
    )
    row = await cursor.fetchone()
    return None if row is None else job_of(row)


async def outcomes(
    connection: Connection, versions: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], dict[str, Any]]:
    """(document, version) → status, progress and error of versions that are being waited for."""
    cursor = await connection.execute(
        "SELECT v.document_id, v.number, v.status, v.step, v.pages_done, v.page_count,"
        " v.chunks_embedded, v.chunks_reused, v.error_code, v.error_detail"
        " FROM document_versions v"
        " JOIN unnest(%s::text[], %s::integer[]) AS w (document_id, number)"
        " USING (document_id, number) WHERE v.tenant_id = current_setting('app.tenant')",
        ([document_id for document_id, _ in versions], [number for _, number in versions]),
    )
    return {(row["document_id"], row["number"]): row for row in await cursor.fetchall()}
