"""Writing chunks: the swap of one version's chunks for the next, in the publisher's transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from app.infra.ids import new_id
from app.infra.postgres import Connection, copy_rows
from app.retrieval.embedding import Vector

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
    "embedding",
)

# Counted from the rows themselves, so that the counts cannot drift from what is searched. Ordered,
# so that two publishers never wait for each other in a circle.
_COUNT_LEXEMES = """
    WITH changed AS (
        SELECT tsv, 1 AS delta FROM chunks
        WHERE document_id = %(document_id)s AND valid_from = %(version)s AND valid_to IS NULL
        UNION ALL
        SELECT tsv, -1 FROM chunks
        WHERE document_id = %(document_id)s AND valid_to = %(version)s
    ), counted AS (
        INSERT INTO lexemes (tenant_id, lexeme, chunk_count)
        SELECT %(tenant_id)s, lexeme, sum(delta)
        FROM changed, unnest(tsvector_to_array(tsv)) AS lexeme
        GROUP BY lexeme HAVING sum(delta) <> 0 ORDER BY lexeme
        ON CONFLICT (tenant_id, lexeme)
        DO UPDATE SET chunk_count = lexemes.chunk_count + excluded.chunk_count
    )
    UPDATE tenants SET corpus_revision = corpus_revision + 1,
        chunk_count = chunk_count + (SELECT coalesce(sum(delta), 0) FROM changed),
        lexeme_total = lexeme_total + (SELECT coalesce(sum(delta * length(tsv)), 0) FROM changed)
    WHERE id = %(tenant_id)s"""


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

    @property
    def key(self) -> ChunkKey:
        return self.page, self.start, self.digest


async def current_chunks(connection: Connection, document_id: str) -> dict[ChunkKey, str]:
    """Key → id of every chunk in the document's current version."""
    cursor = await connection.execute(
        "SELECT page, start_offset, digest, id FROM chunks"
        " WHERE document_id = %s AND valid_to IS NULL",
        (document_id,),
    )
    return {
        (row["page"], row["start_offset"], row["digest"]): row["id"]
        for row in await cursor.fetchall()
    }


async def known_vectors(connection: Connection, digests: Iterable[bytes]) -> dict[bytes, Vector]:
    """Vectors the tenant already has, by digest, whatever document or version they came from."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (digest) digest, embedding::real[] AS vector FROM chunks"
        " WHERE digest = ANY (%s)",
        (list(digests),),
    )
    return {
        row["digest"]: np.asarray(row["vector"], dtype=np.float32)
        for row in await cursor.fetchall()
    }


async def lock_corpus(connection: Connection, tenant_id: str) -> None:
    """Make publishers of one tenant take turns until the transaction ends."""
    await connection.execute("SELECT FROM tenants WHERE id = %s FOR UPDATE", (tenant_id,))


async def replace_chunks(
    connection: Connection,
    *,
    tenant_id: str,
    document_id: str,
    version: int,
    outdated: Sequence[str],
    chunks: Sequence[tuple[NewChunk, Vector]],
) -> None:
    """Close ``outdated`` (ids), open ``chunks``, and bring the text statistics along.

    Nothing is visible before the caller's transaction commits; chunks in neither list stay as they
    are and are shared by the old and the new version.
    """
    await connection.execute(
        "UPDATE chunks SET valid_to = %s WHERE id = ANY (%s)", (version, list(outdated))
    )
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
            "[" + ",".join(map(str, vector.tolist())) + "]",
        )
        for chunk, vector in chunks
    )
    await copy_rows(connection, "chunks", _COLUMNS, rows)
    await connection.execute(
        _COUNT_LEXEMES,
        {"tenant_id": tenant_id, "document_id": document_id, "version": version},
    )
