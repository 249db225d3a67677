"""A whole document in its order, for what no single passage answers."""

from dataclasses import dataclass
from typing import Any

from app.infra.postgres import Connection, Pool, tenant_transaction
from app.retrieval.passage import Passage, Scope

# A name is compared in lower case and with spaces for underscores; two rows tell that it is not one
# document's alone. A version "as of" a time is the one that was activated last before it.
_FIND = """
    SELECT d.id, d.title, d.filename, d.tags, d.url,
           CASE WHEN %(as_of)s::timestamptz IS NULL THEN d.current_version
                ELSE (SELECT a.version FROM activations a
                      WHERE a.tenant_id = d.tenant_id AND a.document_id = d.id
                        AND a.activated_at <= %(as_of)s
                      ORDER BY a.activated_at DESC LIMIT 1) END AS version
    FROM documents d
    WHERE d.tenant_id = %(tenant_id)s AND d.deleted_at IS NULL
      AND (%(document_ids)s::text[] IS NULL OR d.id = ANY (%(document_ids)s))
      AND (%(tags)s::text[] IS NULL OR d.tags && %(tags)s)
      AND (%(names)s::text[] IS NULL
           OR translate(lower(d.title), '_', ' ') = ANY (%(names)s)
           OR translate(lower(d.filename), '_', ' ') = ANY (%(names)s)
           OR regexp_replace(translate(lower(d.filename), '_', ' '), '\\.[^.]*$', '')
              = ANY (%(names)s))
      AND (%(as_of)s IS NOT NULL AND EXISTS (SELECT FROM activations a
               WHERE a.tenant_id = d.tenant_id AND a.document_id = d.id
                 AND a.activated_at <= %(as_of)s)
           OR %(as_of)s IS NULL AND d.current_version IS NOT NULL)
    ORDER BY d.id LIMIT 2"""
# Its score is the similarity to the mean of its section, out of the vectors that are there already.
_READ = """
    SELECT id, page, start_offset, end_offset, heading, text, boxes, total,
           greatest(1 - coalesce(nullif(embedding <=> avg(embedding) OVER (PARTITION BY section),
                                        'NaN'), 1), 0)::real AS score
    FROM (SELECT c.*, count(*) OVER () AS total,
                 coalesce(nullif(c.heading, ''), c.page::text) AS section
          FROM chunks c
          WHERE c.tenant_id = %(tenant_id)s AND c.document_id = %(id)s
            AND c.valid_from <= %(version)s AND coalesce(c.valid_to > %(version)s, true)
          ORDER BY c.page, c.start_offset LIMIT %(most)s) c
    ORDER BY page, start_offset"""


@dataclass(frozen=True, slots=True)
class Reading:
    """One version of a document, as the passages it is made of."""

    document_id: str
    version: int
    #: In the document's order; a score is how near to the rest of its section a passage is, 0..1.
    passages: tuple[Passage, ...]
    #: How many there are in all.
    total: int


async def read_document(
    pool: Pool, scope: Scope, *, names: tuple[str, ...] | None, most: int
) -> Reading | None:
    """The first ``most`` passages of the one document in ``scope``, or of it that has a name.

    None when that is not exactly one document. It is read under the policies, as far as the task
    reaches, and in one version, whatever is published meanwhile.

    Raises:
        DatabaseUnavailable: when the database does not answer.
    """
    values: dict[str, Any] = {
        "tenant_id": scope.tenant_id,
        "document_ids": None if scope.document_ids is None else list(scope.document_ids),
        "tags": None if scope.tags is None else list(scope.tags),
        "as_of": scope.as_of,
        "names": None if names is None else list(names),
    }
    async with tenant_transaction(pool, scope.tenant_id) as connection:
        found = await (await connection.execute(_FIND, values)).fetchall()
        if len(found) != 1:
            return None
        return await _read(connection, {**found[0], "tenant_id": scope.tenant_id, "most": most})


async def _read(connection: Connection, document: dict[str, Any]) -> Reading:
    rows = await (await connection.execute(_READ, document, binary=True)).fetchall()
    passages = tuple(
        Passage(
            id=row["id"],
            document_id=document["id"],
            version=document["version"],
            title=document["title"],
            filename=document["filename"],
            tags=tuple(document["tags"]),
            url=document["url"],
            page=row["page"],
            start=row["start_offset"],
            end=row["end_offset"],
            heading=row["heading"],
            text=row["text"],
            boxes=row["boxes"],
            score=row["score"],
            similarity=None,
            dense_rank=None,
            text_rank=None,
        )
        for row in rows
    )
    total = rows[0]["total"] if rows else 0
    return Reading(document["id"], document["version"], passages, total)
