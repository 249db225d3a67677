"""The table of documents: found, listed, edited, deleted and restored; their tags.

Every function runs in the caller's tenant transaction; row-level security bounds it as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from app.documents.document import (
    Document,
    FileWarning,
    NewFile,
    Sharing,
    StoredPage,
    Visibility,
)
from app.infra.postgres import Connection

_DOCUMENTS = """
    SELECT d.id, d.title, d.filename, d.media_type, d.author, d.tags, d.metadata, d.url,
           d.visibility, d.workspace_id, d.owner_id,
           v.number AS version, v.page_count, v.size_bytes, v.sha256,
           CASE WHEN d.deleted_at IS NOT NULL THEN 'deleted'
                WHEN d.current_version IS NOT NULL THEN 'ready'
                WHEN n.status IN ('cancelled', 'dead') THEN 'failed' ELSE n.status END AS status,
           n.error_code, n.error_detail, v.warnings, d.created_at, d.updated_at
    FROM documents d
    JOIN LATERAL (SELECT * FROM document_versions n
                  WHERE n.tenant_id = d.tenant_id AND n.document_id = d.id
                  ORDER BY n.number DESC LIMIT 1) n ON true
    JOIN document_versions v
        ON v.tenant_id = d.tenant_id AND v.document_id = d.id
        AND v.number = coalesce(d.current_version, n.number)
    WHERE d.tenant_id = %(tenant_id)s"""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list of documents is narrowed by; ``after`` is the id of the page before's last."""

    limit: int
    after: str | None = None
    tag: str | None = None
    status: str | None = None
    title_part: str | None = None
    include_deleted: bool = False
    visibility: Visibility | None = None
    workspace_id: str | None = None


async def list_documents(
    connection: Connection, tenant_id: str, listing: Listing
) -> list[Document]:
    """Newest first; one row more than ``limit`` when there are more.

    None come after a document that is not there.
    """
    conditions = []
    if not listing.include_deleted and listing.status != "deleted":
        conditions.append("d.deleted_at IS NULL")
    if listing.tag is not None:
        conditions.append("d.tags @> ARRAY[%(tag)s::text]")
    if listing.visibility is not None:
        conditions.append("d.visibility = %(visibility)s")
    if listing.workspace_id is not None:
        conditions.append("d.workspace_id = %(workspace_id)s")
    if listing.title_part is not None:
        conditions.append(
            "(strpos(lower(d.title), lower(%(title_part)s)) > 0"
            " OR strpos(lower(d.filename), lower(%(title_part)s)) > 0)"
        )
    if listing.after is not None:
        conditions.append(
            "(d.created_at, d.id) < (SELECT created_at, id FROM documents"
            " WHERE tenant_id = %(tenant_id)s AND id = %(after)s)"
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
            "visibility": listing.visibility,
            "workspace_id": listing.workspace_id,
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
    warnings = tuple(FileWarning(**warning) for warning in row["warnings"])
    return Document(**{**row, "tags": tuple(row["tags"]), "warnings": warnings})


async def find_page(
    connection: Connection, document_id: str, number: int, version: int
) -> StoredPage | None:
    """Page ``number`` (1-based) as ``version`` has it."""
    cursor = await connection.execute(
        "SELECT document_id, number, text, sha256, width, height FROM pages"
        " WHERE tenant_id = current_setting('app.tenant')"
        " AND document_id = %(id)s AND number = %(number)s AND valid_from <= %(version)s"
        " AND (valid_to IS NULL OR valid_to > %(version)s)"
        # A page's range has no end while it is current: versions that never were lie in it too.
        " AND EXISTS (SELECT FROM document_versions v"
        " WHERE v.tenant_id = current_setting('app.tenant') AND v.document_id = %(id)s"
        " AND v.number = %(version)s AND v.published_at IS NOT NULL)",
        {"id": document_id, "number": number, "version": version},
    )
    row = await cursor.fetchone()
    return None if row is None else StoredPage(version=version, **row)


@dataclass(frozen=True, slots=True)
class Edit:
    """Changes to a document's facts; a field left at None stays as it is."""

    title: str | None = None
    author: str | None = None
    clear_author: bool = False
    tags: tuple[str, ...] | None = None
    #: Names with their new values; None takes a name away.
    metadata: Mapping[str, str | None] | None = None
    #: Who sees it; the owner stays who it is.
    sharing: Sharing | None = None


async def edit_document(connection: Connection, document_id: str, edit: Edit) -> None:
    """Apply ``edit``; the newest edit wins, also over the title that a file gives itself."""
    metadata = edit.metadata or {}
    await connection.execute(
        "UPDATE documents SET title = coalesce(%(title)s, title),"
        " index_title = coalesce(index_title, %(title)s),"
        " author = CASE WHEN %(clear_author)s THEN NULL ELSE coalesce(%(author)s, author) END,"
        " tags = coalesce(%(tags)s::text[], tags),"
        " metadata = (metadata || %(set)s) - %(unset)s::text[], updated_at = now()"
        " WHERE tenant_id = current_setting('app.tenant') AND id = %(id)s",
        {
            "id": document_id,
            "title": edit.title,
            "author": edit.author,
            "clear_author": edit.clear_author,
            "tags": None if edit.tags is None else list(edit.tags),
            "set": Jsonb({name: value for name, value in metadata.items() if value is not None}),
            "unset": [name for name, value in metadata.items() if value is None],
        },
    )


async def share_document(connection: Connection, document_id: str, sharing: Sharing) -> bool:
    """Say who sees a document; False when one from the same source is there already."""
    cursor = await connection.execute(
        "UPDATE documents d SET visibility = %(visibility)s, workspace_id = %(workspace)s,"
        " updated_at = now() WHERE d.tenant_id = current_setting('app.tenant')"
        " AND d.id = %(id)s AND NOT EXISTS (SELECT FROM documents o"
        " WHERE o.tenant_id = d.tenant_id AND o.space = %(space)s AND o.source = d.source"
        " AND o.deleted_at IS NULL AND o.id <> d.id)",
        {
            "id": document_id,
            "visibility": sharing.visibility,
            "workspace": sharing.workspace_id,
            "space": sharing.space,
        },
    )
    return cursor.rowcount == 1


async def lock_document(
    connection: Connection, tenant_id: str, document_id: str
) -> Document | None:
    """The document, which nobody else changes before the transaction ends; None when unknown."""
    await connection.execute(
        "SELECT FROM documents WHERE tenant_id = %s AND id = %s FOR NO KEY UPDATE",
        (tenant_id, document_id),
    )
    return await find_document(connection, tenant_id, document_id)


async def current_file(connection: Connection, document_id: str) -> NewFile | None:
    """The file that a document is answered from; None before the first, and of a deleted one."""
    cursor = await connection.execute(
        "SELECT v.filename, v.media_type, v.size_bytes, v.sha256 FROM documents d"
        " JOIN document_versions v ON v.tenant_id = d.tenant_id AND v.document_id = d.id"
        " AND v.number = d.current_version"
        " WHERE d.tenant_id = current_setting('app.tenant') AND d.id = %s"
        " AND d.deleted_at IS NULL",
        (document_id,),
    )
    row = await cursor.fetchone()
    return None if row is None else NewFile(**row)


async def mark_deleted(connection: Connection, document_id: str) -> None:
    """Delete softly: the row stays, and nothing is answered from it."""
    await connection.execute(
        "UPDATE documents SET deleted_at = now(), updated_at = now()"
        " WHERE tenant_id = current_setting('app.tenant') AND id = %s",
        (document_id,),
    )


async def unmark_deleted(connection: Connection, document_id: str) -> bool:
    """Take a deletion back; False when another document took the place of its source."""
    cursor = await connection.execute(
        "UPDATE documents d SET deleted_at = NULL, updated_at = now()"
        " WHERE d.tenant_id = current_setting('app.tenant') AND d.id = %s"
        " AND NOT EXISTS (SELECT FROM documents o WHERE o.tenant_id = d.tenant_id"
        " AND o.space = d.space"
        " AND o.source = d.source AND o.deleted_at IS NULL AND o.id <> d.id)",
        (document_id,),
    )
    return cursor.rowcount == 1


async def list_tags(connection: Connection, tenant_id: str) -> dict[str, int]:
    """Tag → documents that carry it, in alphabetical order; deleted ones are not counted."""
    cursor = await connection.execute(
        "SELECT tag, count(*) AS documents FROM documents d, unnest(d.tags) AS tag"
        " WHERE d.tenant_id = %s AND d.deleted_at IS NULL GROUP BY tag ORDER BY tag",
        (tenant_id,),
    )
    return {row["tag"]: row["documents"] for row in await cursor.fetchall()}


async def replace_tag(connection: Connection, tenant_id: str, tag: str, new_tag: str | None) -> int:
    """Rename a tag, or take it away (None), on every document; how many carried it."""
    cursor = await connection.execute(
        "UPDATE documents SET updated_at = now(), tags = CASE"
        " WHEN %(new)s::text IS NULL OR tags @> ARRAY[%(new)s::text]"
        " THEN array_remove(tags, %(tag)s) ELSE array_replace(tags, %(tag)s, %(new)s) END"
        " WHERE tenant_id = %(tenant)s AND tags @> ARRAY[%(tag)s::text]",
        {"tenant": tenant_id, "tag": tag, "new": new_tag},
    )
    return cursor.rowcount
