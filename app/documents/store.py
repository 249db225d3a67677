"""The archive's tables: documents, their versions, pages and bytes.

Every function runs in the caller's tenant transaction; row-level security bounds it as well.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.documents.document import Claimed, Document, NewFile, StoredPage
from app.errors import AppError
from app.infra.ids import new_id
from app.infra.postgres import Connection

_DOCUMENTS = """
    SELECT d.id, d.title, d.filename, d.media_type, d.author, d.tags, d.url,
           v.number AS version, v.page_count, v.size_bytes, v.sha256,
           CASE WHEN d.deleted_at IS NOT NULL THEN 'deleted'
                WHEN d.current_version IS NOT NULL THEN 'ready' ELSE n.status END AS status,
           n.error_code, n.error_detail, d.created_at, d.updated_at
    FROM documents d
    JOIN LATERAL (SELECT * FROM document_versions n WHERE n.document_id = d.id
                  ORDER BY n.number DESC LIMIT 1) n ON true
    JOIN document_versions v
        ON v.document_id = d.id AND v.number = coalesce(d.current_version, n.number)
    WHERE d.tenant_id = %(tenant_id)s"""


class Overtaken(AppError):
    """Another version of the document became current meanwhile."""

    code = "overtaken"


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list of documents is narrowed by; ``after`` is the id of the page before's last."""

    limit: int
    after: str | None = None
    tag: str | None = None
    status: str | None = None
    title_part: str | None = None
    include_deleted: bool = False


async def list_documents(
    connection: Connection, tenant_id: str, listing: Listing
) -> list[Document]:
    """Newest first; one row more than ``limit`` when there are more."""
    conditions = []
    if not listing.include_deleted and listing.status != "deleted":
        conditions.append("d.deleted_at IS NULL")
    if listing.tag is not None:
        conditions.append("d.tags @> ARRAY[%(tag)s]")
    if listing.title_part is not None:
        conditions.append(
            "(strpos(lower(d.title), lower(%(title_part)s)) > 0"
            " OR strpos(lower(d.filename), lower(%(title_part)s)) > 0)"
        )
    if listing.after is not None:
        conditions.append(
            "(d.created_at, d.id) < (SELECT created_at, id FROM documents WHERE id = %(after)s)"
        )
    narrowed = "".join(f" AND {condition}" for condition in conditions)
    outer = "" if listing.status is None else " WHERE listed.status = %(status)s"
    cursor = await connection.execute(
        f"SELECT * FROM ({_DOCUMENTS}{narrowed}) AS listed{outer}"  # noqa: S608 - constants only
        " ORDER BY listed.created_at DESC, listed.id DESC LIMIT %(limit)s + 1",
        {
            "tenant_id": tenant_id,
            "limit": listing.limit,
            "after": listing.after,
            "tag": listing.tag,
            "title_part": listing.title_part,
            "status": listing.status,
        },
    )
    return [_document(row) for row in await cursor.fetchall()]


async def find_document(
    connection: Connection, tenant_id: str, document_id: str
) -> Document | None:
    """One document, or None; a deleted one is found, and says so."""
    cursor = await connection.execute(
        f"{_DOCUMENTS} AND d.id = %(id)s", {"tenant_id": tenant_id, "id": document_id}
    )
    row = await cursor.fetchone()
    return None if row is None else _document(row)


def _document(row: dict[str, Any]) -> Document:
    return Document(**{**row, "tags": tuple(row["tags"])})


async def find_page(
    connection: Connection, document_id: str, number: int, version: int
) -> StoredPage | None:
    """Page ``number`` (1-based) as ``version`` has it."""
    cursor = await connection.execute(
        "SELECT document_id, number, text, sha256, width, height FROM pages"
        " WHERE document_id = %(id)s AND number = %(number)s AND valid_from <= %(version)s"
        " AND (valid_to IS NULL OR valid_to > %(version)s)"
        # A page's range has no end while it is current: versions that never were lie in it too.
        " AND EXISTS (SELECT FROM document_versions v WHERE v.document_id = %(id)s"
        " AND v.number = %(version)s AND v.published_at IS NOT NULL)",
        {"id": document_id, "number": number, "version": version},
    )
    row = await cursor.fetchone()
    return None if row is None else StoredPage(version=version, **row)


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest version at a source, published or not."""

    document_id: str
    version: int
    sha256: bytes
    status: str


async def newest_by_source(
    connection: Connection, tenant_id: str, sources: Sequence[str]
) -> dict[str, Newest]:
    """Source → newest version of the document that was found there before."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (d.id) d.source, d.id AS document_id, v.number AS version, v.sha256,"
        " v.status FROM documents d JOIN document_versions v ON v.document_id = d.id"
        " WHERE d.tenant_id = %s AND d.source = ANY (%s) AND d.deleted_at IS NULL"
        " ORDER BY d.id, v.number DESC",
        (tenant_id, list(sources)),
    )
    return {row.pop("source"): Newest(**row) for row in await cursor.fetchall()}


async def requeue_version(connection: Connection, document_id: str, version: int) -> None:
    """Let a failed version be tried again."""
    await connection.execute(
        "UPDATE document_versions SET status = 'queued'"
        " WHERE document_id = %s AND number = %s AND status = 'failed'",
        (document_id, version),
    )


async def outcomes(
    connection: Connection, versions: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], dict[str, Any]]:
    """(document, version) → status, progress and error of versions that are being waited for."""
    cursor = await connection.execute(
        "SELECT v.document_id, v.number, v.status, v.step, v.pages_done, v.page_count,"
        " v.chunks_embedded, v.chunks_reused, v.error_code, v.error_detail"
        " FROM document_versions v"
        " JOIN unnest(%s::text[], %s::integer[]) AS w (document_id, number)"
        " USING (document_id, number)",
        ([document_id for document_id, _ in versions], [number for _, number in versions]),
    )
    return {(row["document_id"], row["number"]): row for row in await cursor.fetchall()}


async def add_version(
    connection: Connection, tenant_id: str, file: NewFile
) -> tuple[str, int, bool]:
    """Record ``file`` as the next version of the document at its source: (id, number, is new).

    A document is made when there is none. The bytes are stored once per tenant.
    """
    document_id = new_id("doc")
    cursor = await connection.execute(
        "INSERT INTO documents (id, tenant_id, source, title, filename, media_type)"
        " VALUES (%(id)s, %(tenant)s, %(source)s, %(title)s, %(filename)s, %(media_type)s)"
        " ON CONFLICT (tenant_id, source) DO UPDATE SET updated_at = now(), deleted_at = NULL"
        " RETURNING id, xmax = 0 AS is_new",
        {
            "id": document_id,
            "tenant": tenant_id,
            "source": file.source,
            "title": file.title,
            "filename": file.filename,
            "media_type": file.media_type,
        },
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an upsert returns its row
    await connection.execute(
        "INSERT INTO blobs (tenant_id, sha256, content) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (tenant_id, file.sha256, file.content),
    )
    cursor = await connection.execute(
        "INSERT INTO document_versions (tenant_id, document_id, number, sha256, size_bytes, status)"
        " SELECT %(tenant)s, %(id)s, coalesce(max(number), 0) + 1, %(sha256)s, %(size)s, 'queued'"
        " FROM document_versions WHERE document_id = %(id)s RETURNING number",
        {
            "tenant": tenant_id,
            "id": row["id"],
            "sha256": file.sha256,
            "size": len(file.content),
        },
    )
    numbered = await cursor.fetchone()
    assert numbered is not None  # noqa: S101
    return row["id"], numbered["number"], row["is_new"]


async def claim_version(
    connection: Connection, tenant_id: str, document_id: str, version: int
) -> Claimed | None:
    """Take a version to work on; None when it is finished already or was overtaken by a newer one.

    The claim of whoever worked on it before is void from here on.
    """
    cursor = await connection.execute(
        "UPDATE document_versions v SET status = 'processing', step = 'parse', claim = %(claim)s,"
        " error_code = NULL, error_detail = NULL FROM documents d, blobs b"
        " WHERE v.document_id = %(id)s AND v.number = %(version)s AND d.id = v.document_id"
        " AND b.tenant_id = %(tenant)s AND b.sha256 = v.sha256"
        " AND v.status IN ('queued', 'processing')"
        " AND v.number > coalesce(d.current_version, 0)"
        " RETURNING v.document_id, v.number AS version, d.title, d.filename, b.content, v.claim,"
        " d.current_version AS base_version",
        {
            "claim": secrets.token_hex(16),
            "id": document_id,
            "version": version,
            "tenant": tenant_id,
        },
    )
    row = await cursor.fetchone()
    return None if row is None else Claimed(**row)


async def report_progress(
    connection: Connection, claimed: Claimed, *, step: str, pages_done: int, page_count: int
) -> None:
    """Say how far the work has come; a void claim changes nothing."""
    await connection.execute(
        "UPDATE document_versions SET step = %s, pages_done = %s, page_count = %s"
        " WHERE document_id = %s AND number = %s AND claim = %s",
        (step, pages_done, page_count, claimed.document_id, claimed.version, claimed.claim),
    )


async def fail_version(connection: Connection, claimed: Claimed, *, code: str, detail: str) -> None:
    """Give a version up for good; the document's current version stays what it was."""
    await connection.execute(
        "UPDATE document_versions SET status = 'failed', claim = NULL, error_code = %s,"
        " error_detail = %s WHERE document_id = %s AND number = %s AND claim = %s",
        (code, detail, claimed.document_id, claimed.version, claimed.claim),
    )


async def publish_version(
    connection: Connection,
    claimed: Claimed,
    *,
    title: str,
    author: str | None,
    chunks_embedded: int,
    chunks_reused: int,
) -> bool:
    """Make the version current; False when the claim is void, and then nothing may be written.

    Raises:
        Overtaken: another version became current since the claim; this one may be tried again.
    """
    cursor = await connection.execute(
        "UPDATE document_versions SET status = 'ready', step = 'index', claim = NULL,"
        " published_at = now(), chunks_embedded = %(embedded)s, chunks_reused = %(reused)s,"
        " pages_done = page_count"
        " WHERE document_id = %(id)s AND number = %(version)s AND claim = %(claim)s",
        {
            "embedded": chunks_embedded,
            "reused": chunks_reused,
            "id": claimed.document_id,
            "version": claimed.version,
            "claim": claimed.claim,
        },
    )
    if cursor.rowcount == 0:
        return False
    cursor = await connection.execute(
        "UPDATE documents SET current_version = %s, title = %s, author = coalesce(author, %s),"
        " updated_at = now() WHERE id = %s AND current_version IS NOT DISTINCT FROM %s",
        (claimed.version, title, author, claimed.document_id, claimed.base_version),
    )
    if cursor.rowcount == 0:
        raise Overtaken
    return True
