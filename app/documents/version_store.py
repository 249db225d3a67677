"""The table of versions: recognised by their bytes, added, published, activated.

Every function runs in the caller's tenant transaction. A version's number is above all before it;
only the newest may be published, and any published one may be gone back to.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from psycopg.types.json import Jsonb

from app.documents.document import Claimed, FileWarning, NewFile, Version
from app.documents.job import Job
from app.documents.job_store import JOB, job_of
from app.errors import AppError
from app.infra.ids import new_id
from app.infra.postgres import Connection


class Overtaken(AppError):
    """A newer version was published meanwhile."""

    code = "overtaken"


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest version of a document, published or not, and the one that is current."""

    document_id: str
    version: int
    sha256: bytes
    status: str
    job_id: str
    current_version: int | None
    current_sha256: bytes | None

    @property
    def unfinished(self) -> bool:
        """Whether a job is to make it ready."""
        return self.status in ("queued", "processing")

    @property
    def is_current(self) -> bool:
        """Whether it is the one that answers."""
        return self.current_version == self.version


_NEWEST = """SELECT DISTINCT ON (d.id) d.source, d.id AS document_id, v.number AS version, v.sha256,
    v.status, v.job_id, d.current_version, c.sha256 AS current_sha256
    FROM documents d JOIN document_versions v ON v.tenant_id = d.tenant_id AND v.document_id = d.id
    LEFT JOIN document_versions c
        ON c.tenant_id = d.tenant_id AND c.document_id = d.id AND c.number = d.current_version
    WHERE d.tenant_id = %(tenant)s AND d.deleted_at IS NULL"""


async def newest_by_source(
    connection: Connection, tenant_id: str, sources: Sequence[str], *, space: str = ""
) -> dict[str, Newest]:
    """Source → newest version of the document in ``space`` that was found there before."""
    cursor = await connection.execute(
        f"{_NEWEST} AND d.source = ANY (%(sources)s) AND d.space = %(space)s"
        " ORDER BY d.id, v.number DESC",
        {"tenant": tenant_id, "sources": list(sources), "space": space},
    )
    return {row.pop("source"): Newest(**row) for row in await cursor.fetchall()}


async def deleted_sources(
    connection: Connection, tenant_id: str, sources: Sequence[str]
) -> set[tuple[str, bytes]]:
    """(source, SHA-256) of every version of the deleted documents that were found there."""
    cursor = await connection.execute(
        "SELECT DISTINCT d.source, v.sha256 FROM documents d"
        " JOIN document_versions v ON v.tenant_id = d.tenant_id AND v.document_id = d.id"
        " WHERE d.tenant_id = %s AND d.source = ANY (%s) AND d.space = ''"
        " AND d.deleted_at IS NOT NULL",
        (tenant_id, list(sources)),
    )
    return {(row["source"], row["sha256"]) for row in await cursor.fetchall()}


async def newest_of(connection: Connection, tenant_id: str, document_id: str) -> Newest | None:
    """The newest version of one document that is not deleted."""
    cursor = await connection.execute(
        f"{_NEWEST} AND d.id = %(id)s ORDER BY d.id, v.number DESC",
        {"tenant": tenant_id, "id": document_id},
    )
    return _newest(await cursor.fetchone())


async def take_turn(connection: Connection, tenant_id: str, name: str) -> None:
    """Wait until no other transaction of the tenant has the turn of ``name``, and take it."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{tenant_id}/{name}",)
    )


async def newest_with_bytes(
    connection: Connection, tenant_id: str, sha256: bytes, *, space: str
) -> Newest | None:
    """A document whose newest version has these bytes, and is not one that was gone back from.

    Only those of ``space``: nobody learns that another keeps the same file to themselves.
    """
    cursor = await connection.execute(
        f"SELECT * FROM ({_NEWEST} AND d.space = %(space)s AND d.id IN"  # noqa: S608 - constants
        " (SELECT document_id FROM document_versions"
        "  WHERE tenant_id = %(tenant)s AND sha256 = %(sha256)s)"
        " ORDER BY d.id, v.number DESC) AS newest WHERE sha256 = %(sha256)s"
        " AND (status <> 'ready' OR version = current_version) ORDER BY document_id LIMIT 1",
        {"tenant": tenant_id, "sha256": sha256, "space": space},
    )
    return _newest(await cursor.fetchone())


def _newest(row: dict[str, Any] | None) -> Newest | None:
    if row is None:
        return None
    row.pop("source")
    return Newest(**row)


async def add_document(connection: Connection, tenant_id: str, file: NewFile) -> str:
    """Record a document, or find the one at the file's source; its id. It has no version yet."""
    cursor = await connection.execute(
        "INSERT INTO documents (id, tenant_id, source, url, title, index_title, filename,"
        " media_type, author, tags, metadata, visibility, workspace_id, owner_id)"
        " VALUES (%(id)s, %(tenant)s, %(source)s, %(url)s, coalesce(%(title)s, %(fallback)s),"
        " %(title)s, %(filename)s, %(media_type)s, %(author)s, %(tags)s, %(metadata)s,"
        " %(visibility)s, %(workspace)s, %(owner)s)"
        " ON CONFLICT (tenant_id, space, source) WHERE deleted_at IS NULL"
        " DO UPDATE SET updated_at = now()"
        " RETURNING id",
        {
            "id": new_id("doc"),
            "tenant": tenant_id,
            "source": file.source,
            "url": file.url,
            "title": file.title,
            "fallback": file.fallback_title,
            "filename": file.filename,
            "media_type": file.media_type,
            "author": file.author,
            "tags": list(file.tags),
            "metadata": Jsonb(dict(file.metadata)),
            "visibility": file.sharing.visibility,
            "workspace": file.sharing.workspace_id,
            "owner": file.sharing.owner_id,
        },
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an upsert returns its row
    return str(row["id"])


async def add_version(
    connection: Connection, tenant_id: str, document_id: str, file: NewFile
) -> tuple[int, str]:
    """Record ``file`` as the document's next version, to be worked on: (number, job id)."""
    await connection.execute(
        "SELECT FROM documents WHERE tenant_id = %s AND id = %s FOR NO KEY UPDATE",
        (tenant_id, document_id),
    )
    cursor = await connection.execute(
        "INSERT INTO document_versions (tenant_id, document_id, number, job_id, filename,"
        " media_type, sha256, size_bytes, status)"
        " SELECT %(tenant)s, %(id)s, coalesce(max(number), 0) + 1, %(job)s, %(filename)s,"
        " %(media_type)s, %(sha256)s, %(size)s, 'queued'"
        " FROM document_versions WHERE tenant_id = %(tenant)s AND document_id = %(id)s"
        " RETURNING number, job_id",
        {
            "tenant": tenant_id,
            "id": document_id,
            "job": new_id("job"),
            "filename": file.filename,
            "media_type": file.media_type,
            "sha256": file.sha256,
            "size": file.size_bytes,
        },
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101
    return row["number"], row["job_id"]


async def publish_version(
    connection: Connection,
    claimed: Claimed,
    *,
    title: str,
    author: str | None,
    chunks_embedded: int,
    chunks_reused: int,
) -> Job | None:
    """Make the version current; None when the claim is void, and then nothing may be written.

    ``title`` is what its chunks were embedded with; the document is called so if nobody has called
    it anything yet.

    Raises:
        Overtaken: a newer one was published since the claim.
    """
    cursor = await connection.execute(
        "UPDATE document_versions v SET status = 'ready', step = 'index', claim = NULL,"  # noqa: S608
        " published_at = now(), updated_at = now(), chunks_embedded = %(embedded)s,"
        " chunks_reused = %(reused)s, pages_done = page_count"
        " WHERE tenant_id = current_setting('app.tenant')"
        " AND document_id = %(id)s AND number = %(version)s AND claim = %(claim)s"
        f" RETURNING {JOB}",
        {
            "embedded": chunks_embedded,
            "reused": chunks_reused,
            "id": claimed.document_id,
            "version": claimed.version,
            "claim": claimed.claim,
        },
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    cursor = await connection.execute(
        "UPDATE documents d SET current_version = %(version)s, filename = %(filename)s,"
        " media_type = %(media_type)s, updated_at = now(), author = coalesce(author, %(author)s),"
        " title = CASE WHEN index_title IS NULL AND title = %(old_title)s THEN %(title)s"
        " ELSE title END, index_title = %(title)s"
        " WHERE d.tenant_id = current_setting('app.tenant') AND d.id = %(id)s"
        " AND %(base)s IS NOT DISTINCT FROM (SELECT max(v.number) FROM document_versions v"
        "  WHERE v.tenant_id = d.tenant_id AND v.document_id = d.id"
        "  AND v.published_at IS NOT NULL AND v.number <> %(version)s)",
        {
            "id": claimed.document_id,
            "version": claimed.version,
            "filename": claimed.filename,
            "media_type": claimed.media_type,
            "author": author,
            "title": title,
            "old_title": claimed.title,
            "base": claimed.base_version,
        },
    )
    if cursor.rowcount == 0:
        raise Overtaken
    return job_of(row)


async def set_warnings(
    connection: Connection, document_id: str, version: int, warnings: Sequence[FileWarning]
) -> None:
    """Write down what readers of a version should know of its file."""
    await connection.execute(
        "UPDATE document_versions SET warnings = %s"
        " WHERE tenant_id = current_setting('app.tenant') AND document_id = %s AND number = %s",
        (Jsonb([asdict(warning) for warning in warnings]), document_id, version),
    )


async def activate_version(connection: Connection, document_id: str, version: int) -> bool:
    """Point the document to a published version; False when there is no such one."""
    cursor = await connection.execute(
        "UPDATE documents d SET current_version = v.number, filename = v.filename,"
        " media_type = v.media_type, updated_at = now() FROM document_versions v"
        " WHERE d.tenant_id = current_setting('app.tenant') AND v.tenant_id = d.tenant_id"
        " AND d.id = %s AND v.document_id = d.id AND v.number = %s"
        " AND v.published_at IS NOT NULL",
        (document_id, version),
    )
    return cursor.rowcount == 1


async def record_activation(
    connection: Connection, tenant_id: str, document_id: str, version: int
) -> None:
    """Remember that ``version`` answers from now on."""
    await connection.execute(
        "INSERT INTO activations (tenant_id, document_id, version) VALUES (%s, %s, %s)",
        (tenant_id, document_id, version),
    )


async def list_versions(
    connection: Connection, document_id: str, *, after: int | None, limit: int
) -> list[Version]:
    """Newest first; one more than ``limit`` when there are more."""
    cursor = await connection.execute(
        "SELECT v.number, v.status, d.current_version IS NOT DISTINCT FROM v.number AS current,"
        " v.filename, v.media_type, v.size_bytes, v.sha256, v.page_count, v.job_id, v.error_code,"
        " v.error_detail, v.warnings, v.created_at, v.published_at"
        " FROM document_versions v"
        " JOIN documents d ON d.tenant_id = v.tenant_id AND d.id = v.document_id"
        " WHERE v.tenant_id = current_setting('app.tenant') AND v.document_id = %s"
        " AND v.number < coalesce(%s, 2147483647)"
        " ORDER BY v.number DESC LIMIT %s + 1",
        (document_id, after, limit),
    )
    return [
        Version(**{**row, "warnings": tuple(FileWarning(**one) for one in row["warnings"])})
        for row in await cursor.fetchall()
    ]
