"""Writing chunks, in the publisher's transaction: what a version drops and adds, and what is live.

A chunk belongs to the versions in [valid_from, valid_to); it is live while its document points to
one of those and is not deleted. Only live chunks are in the indexes and the text statistics.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.infra.ids import new_id
from app.infra.language import DEFAULT
from app.infra.postgres import Connection, copy_rows
from app.retrieval.embedding import Vector, written

#: (page, start, digest): two chunks with the same key are the same chunk in the same place.
ChunkKey = tuple[int, int, bytes]

_COLUMNS = (
    "id",
    "tenant_id",
    "document_id",
    "page",
    "start_offset",
    "end_offset",
    "valid_from",
    "digest",
    "title",
    "heading",
    "text",
    "boxes",
    "language",
    "embedding",
)

# What is switched is counted from the rows themselves, so that the counts cannot drift from what is
# searched. Rows that came with `added` (a version number, or 0) are live and not counted yet.
_SWITCH = """
    WITH switched AS (
        UPDATE chunks SET live = NOT live,
            valid_to = CASE WHEN id = ANY (%(outdated)s) THEN %(added)s ELSE valid_to END
        WHERE tenant_id = %(tenant_id)s AND document_id = %(document_id)s
          AND valid_from <> %(added)s
          AND live IS DISTINCT FROM (
              valid_from <= %(version)s AND coalesce(valid_to > %(version)s, true)
              AND id <> ALL (%(outdated)s))
        RETURNING tsv, live
    ), changed AS (
        SELECT tsv, CASE WHEN live THEN 1 ELSE -1 END AS delta FROM switched
        UNION ALL
        SELECT tsv, 1 FROM chunks
        WHERE tenant_id = %(tenant_id)s AND document_id = %(document_id)s
          AND valid_from = %(added)s
    ), counted AS (
        SELECT lexeme, sum(delta)::integer AS delta
        FROM changed, unnest(tsvector_to_array(tsv)) AS lexeme
        GROUP BY lexeme HAVING sum(delta) <> 0
    )
    SELECT coalesce(sum(delta), 0)::bigint AS chunks,
           count(*) FILTER (WHERE delta < 0) AS switched_off,
           ARRAY(SELECT lexeme FROM counted ORDER BY lexeme) AS lexemes,
           ARRAY(SELECT delta FROM counted ORDER BY lexeme) AS deltas
    FROM changed"""
# A chunk's lexemes are counted once each, so that their changes add up to that of the total.
_COUNT = """
    WITH changed AS (
        SELECT * FROM unnest(%(lexemes)s::text[], %(deltas)s::integer[]) AS c (lexeme, delta)
    ), counted AS (
        INSERT INTO lexemes (tenant_id, lexeme, chunk_count)
        SELECT %(tenant_id)s, lexeme, delta FROM changed
        ON CONFLICT (tenant_id, lexeme)
        DO UPDATE SET chunk_count = lexemes.chunk_count + excluded.chunk_count
    )
    UPDATE tenants SET corpus_revision = corpus_revision + 1,
        languages = ARRAY(SELECT unnest(languages) UNION SELECT unnest(%(languages)s::text[])
                          ORDER BY 1),
        chunk_count = chunk_count + %(chunks)s,
        lexeme_total = lexeme_total + (SELECT coalesce(sum(delta), 0) FROM changed)
    WHERE id = %(tenant_id)s"""
#: A version that no chunk is in.
NO_VERSION = 0


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk to be stored; spans and boxes as in :class:`app.retrieval.passage.Passage`."""

    page: int
    start: int
    end: int
    digest: bytes
    title: str
    heading: str
    text: str
    boxes: bytes
    #: Its text search configuration (``app/infra/language.py``).
    language: str = DEFAULT

    @property
    def key(self) -> ChunkKey:
        return self.page, self.start, self.digest


async def newest_chunks(connection: Connection, document_id: str) -> dict[ChunkKey, str]:
    """Key → id of every chunk in the document's newest published version, current or not."""
    cursor = await connection.execute(
        "SELECT page, start_offset, digest, id FROM chunks"
        " WHERE tenant_id = current_setting('app.tenant') AND document_id = %s"
        " AND valid_to IS NULL",
        (document_id,),
    )
    return {
        (row["page"], row["start_offset"], row["digest"]): row["id"]
        for row in await cursor.fetchall()
    }


async def known_vectors(
    connection: Connection, digests: Iterable[bytes], *, model: str
) -> dict[bytes, Vector]:
    """Vectors within reach, by digest, whatever document or version they came from.

    None when the index is not ``model``'s.
    """
    cursor = await connection.execute(
        "SELECT DISTINCT ON (c.digest) c.digest, c.embedding::real[] AS vector FROM chunks c"
        " JOIN index_info i ON i.chunk_table = c.tableoid AND i.embedding_model = %s"
        " WHERE c.tenant_id = current_setting('app.tenant') AND c.digest = ANY (%s)",
        (model, list(digests)),
    )
    return {
        row["digest"]: np.asarray(row["vector"], dtype=np.float32)
        for row in await cursor.fetchall()
    }


async def lock_corpus(connection: Connection, tenant_id: str) -> None:
    """Make those who change a tenant's statistics take turns until the transaction ends."""
    await connection.execute("SELECT FROM tenants WHERE id = %s FOR NO KEY UPDATE", (tenant_id,))


async def replace_chunks(
    connection: Connection,
    *,
    tenant_id: str,
    document_id: str,
    version: int,
    outdated: Sequence[str],
    chunks: Sequence[tuple[NewChunk, Vector]],
) -> None:
    """Make the newest ``version`` live: close ``outdated`` (ids), open ``chunks``, share the rest.

    Nothing is visible before the caller's transaction commits.
    """
    rows = (
        (
            new_id("chk"),
            tenant_id,
            document_id,
            chunk.page,
            chunk.start,
            chunk.end,
            version,
            chunk.digest,
            chunk.title,
            chunk.heading,
            chunk.text,
            chunk.boxes,
            chunk.language,
            written(vector),
        )
        for chunk, vector in chunks
    )
    await copy_rows(connection, "chunks", _COLUMNS, rows)
    await _switch(
        connection,
        document_id,
        {
            "tenant_id": tenant_id,
            "version": version,
            "added": version,
            "outdated": list(outdated),
            "languages": sorted({chunk.language for chunk, _ in chunks}),
        },
    )
    # Those that were not live, because an older version was gone back to.
    await connection.execute(
        "UPDATE chunks SET valid_to = %s WHERE tenant_id = %s AND id = ANY (%s)"
        " AND valid_to IS NULL",
        (version, tenant_id, list(outdated)),
    )


async def show_version(
    connection: Connection, *, tenant_id: str, document_id: str, version: int
) -> int:
    """Make the chunks of ``version`` the live ones, or none by ``NO_VERSION``.

    Returns:
        How many are not live any more.
    """
    return await _switch(
        connection,
        document_id,
        {
            "tenant_id": tenant_id,
            "version": version,
            "added": NO_VERSION,
            "outdated": [],
            "languages": [],
        },
    )


async def _switch(connection: Connection, document_id: str, change: dict[str, Any]) -> int:
    """Switch chunks and count them; how many are not live any more."""
    cursor = await connection.execute(_SWITCH, {"document_id": document_id, **change})
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - sums are one row
    switched_off = int(row.pop("switched_off"))
    # The slow part is behind us: rows that become live enter the vector index, one to three
    # milliseconds each. From here on the tenant's other publishers wait, and its uploads.
    await lock_corpus(connection, change["tenant_id"])
    await connection.execute(_COUNT, {**change, **row})
    return switched_off
