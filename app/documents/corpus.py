"""Whether a tenant's corpus is whole, and how large it is.

The checks look for what no code path should ever leave behind. Each is one statement that returns
what is wrong, so that an empty answer is the proof.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from app.infra.blobs import BlobStore
from app.infra.postgres import LONG_S, Connection, Pool, tenant_transaction
from app.infra.reach import EVERYTHING, reaching

#: Ids shown of each kind of finding.
SAMPLES = 10
#: Check → rows that should not be there, each with an ``id``. All run in a tenant's transaction.
CHECKS = {
    "live_chunks_of_no_current_version": """
        SELECT c.id FROM chunks c LEFT JOIN documents d
          ON d.tenant_id = c.tenant_id AND d.id = c.document_id
        WHERE c.tenant_id = current_setting('app.tenant') AND c.live
          AND (d.id IS NULL OR d.deleted_at IS NOT NULL OR d.current_version IS NULL
            OR c.valid_from > d.current_version OR c.valid_to <= d.current_version)""",
    "current_chunks_that_are_not_live": """
        SELECT c.id FROM chunks c
        JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
        WHERE c.tenant_id = current_setting('app.tenant') AND NOT c.live AND d.deleted_at IS NULL
          AND c.valid_from <= d.current_version
          AND (c.valid_to IS NULL OR c.valid_to > d.current_version)""",
    "chunks_of_versions_never_published": """
        SELECT c.id FROM chunks c WHERE c.tenant_id = current_setting('app.tenant') AND NOT EXISTS (
            SELECT FROM document_versions v
            WHERE v.tenant_id = c.tenant_id AND v.document_id = c.document_id
              AND v.number = c.valid_from AND v.published_at IS NOT NULL)""",
    "ranges_that_end_before_they_begin": """
        SELECT id FROM chunks
        WHERE tenant_id = current_setting('app.tenant') AND valid_to <= valid_from
        UNION ALL SELECT document_id || '/' || number FROM pages
        WHERE tenant_id = current_setting('app.tenant') AND valid_to <= valid_from""",
    "chunks_twice_in_one_version": """
        SELECT min(c.id) AS id FROM chunks c
        WHERE c.tenant_id = current_setting('app.tenant') AND c.live
        GROUP BY c.document_id, c.page, c.start_offset HAVING count(*) > 1""",
    "chunks_that_are_not_their_pages_text": """
        SELECT c.id FROM chunks c
        JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
        LEFT JOIN pages p
          ON p.tenant_id = c.tenant_id AND p.document_id = c.document_id AND p.number = c.page
          AND p.valid_from <= d.current_version
          AND (p.valid_to IS NULL OR p.valid_to > d.current_version)
        WHERE c.tenant_id = current_setting('app.tenant') AND c.live
          AND substr(p.text, c.start_offset + 1, c.end_offset - c.start_offset)
              IS DISTINCT FROM c.text""",
    "ready_documents_without_their_pages": """
        SELECT d.id FROM documents d
        JOIN document_versions v
          ON v.tenant_id = d.tenant_id AND v.document_id = d.id AND v.number = d.current_version
        WHERE d.tenant_id = current_setting('app.tenant')
          AND (v.published_at IS NULL OR v.page_count IS DISTINCT FROM (
            SELECT count(*) FROM pages p WHERE p.tenant_id = d.tenant_id AND p.document_id = d.id
              AND p.valid_from <= d.current_version
              AND (p.valid_to IS NULL OR p.valid_to > d.current_version)))""",
    "word_counts_that_are_wrong": """
        SELECT coalesce(l.lexeme, r.lexeme) AS id
        FROM (SELECT lexeme, chunk_count FROM lexemes
              WHERE tenant_id = current_setting('app.tenant') AND chunk_count <> 0) l
        FULL JOIN (SELECT lexeme, count(*) AS chunk_count
                   FROM chunks c, unnest(tsvector_to_array(c.tsv)) AS lexeme
                   WHERE c.tenant_id = current_setting('app.tenant') AND c.live
                   GROUP BY lexeme) r USING (lexeme)
        WHERE l.chunk_count IS DISTINCT FROM r.chunk_count""",
    "chunk_count_that_is_wrong": """
        SELECT t.id FROM tenants t, LATERAL (
            SELECT count(*) AS chunks, coalesce(sum(length(tsv)), 0) AS lexemes
            FROM chunks c WHERE c.tenant_id = current_setting('app.tenant') AND c.live) found
        WHERE t.id = current_setting('app.tenant')
          AND (t.chunk_count, t.lexeme_total) IS DISTINCT FROM (found.chunks, found.lexemes)""",
}
#: A check, of which only so much leaves the database as is shown.
_COUNTED = f"""
    WITH wrong AS MATERIALIZED ({{statement}})
    SELECT (SELECT count(*) FROM wrong) AS found,
           ARRAY(SELECT id FROM wrong ORDER BY id COLLATE "C" LIMIT {SAMPLES}) AS samples"""  # noqa: S608 - constants only


class Cites(Protocol):
    """Something that was kept of answers."""

    async def cited(self, tenant_id: str) -> dict[str, set[tuple[str, int]]]:
        """Answer → the versions (document id, number) that it cites."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; nothing, on a healthy system."""

    name: str
    found: int
    samples: tuple[str, ...]


async def check_corpus(
    pool: Pool,
    blobs: BlobStore,
    tenant_id: str,
    *,
    quoted: Cites,
    memory: Cites,
) -> list[Finding]:
    """Run every check on one tenant; reads all of its chunks.

    Raises:
        Unavailable: the database, the blob store or Redis is away.
    """
    with reaching(EVERYTHING):
        return await _check(pool, blobs, tenant_id, quoted=quoted, memory=memory)


async def _check(
    pool: Pool, blobs: BlobStore, tenant_id: str, *, quoted: Cites, memory: Cites
) -> list[Finding]:
    findings = []
    async with tenant_transaction(pool, tenant_id, allow_s=LONG_S) as connection:
        for name, statement in CHECKS.items():
            cursor = await connection.execute(_COUNTED.format(statement=statement))
            row = await cursor.fetchone()
            assert row is not None  # noqa: S101 - a count is one row
            findings.append(Finding(name, row["found"], tuple(row["samples"])))
        wanted = await _wanted(connection, tenant_id)
    kept = {blob.sha256 async for blob in blobs.list(tenant_id)}
    missing, orphans = wanted - kept, kept - wanted
    if orphans:  # an upload may have stored its bytes and not yet its version
        async with tenant_transaction(pool, tenant_id) as connection:
            orphans -= await _wanted(connection, tenant_id)
    findings.append(_finding("versions_without_their_bytes", [s.hex() for s in missing]))
    findings.append(_finding("bytes_without_a_version", [s.hex() for s in orphans]))
    stray = await stray_quotes(pool, quoted, tenant_id)
    findings.append(_finding("answers_that_quote_a_version_that_is_gone", stray))
    told = await stray_turns(pool, memory, tenant_id)
    findings.append(_finding("turns_that_repeat_what_was_deleted", list(told)))
    return findings


async def _wanted(connection: Connection, tenant_id: str) -> set[bytes]:
    """The checksums of every version's bytes."""
    cursor = await connection.execute(
        "SELECT DISTINCT sha256 FROM document_versions WHERE tenant_id = %s", (tenant_id,)
    )
    return {bytes(row["sha256"]) for row in await cursor.fetchall()}


async def stray_turns(pool: Pool, memory: Cites, tenant_id: str) -> dict[str, set[str]]:
    """Remembered answers that still have their text, with the deleted documents that they cite.

    Raises:
        Unavailable: the database or Redis is away.
    """
    cited = await memory.cited(tenant_id)
    with reaching(EVERYTHING):  # what one caller does not see is not gone
        present = await _present(pool, tenant_id)
    gone = {
        answer_id: {document_id for document_id, _ in versions} - present
        for answer_id, versions in cited.items()
    }
    return {answer_id: documents for answer_id, documents in gone.items() if documents}


async def _present(pool: Pool, tenant_id: str) -> set[str]:
    async with tenant_transaction(pool, tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT id FROM documents WHERE tenant_id = %s AND deleted_at IS NULL", (tenant_id,)
        )
        return {row["id"] for row in await cursor.fetchall()}


async def stray_quotes(pool: Pool, quoted: Cites, tenant_id: str) -> list[str]:
    """The ids of answers whose quotes are kept although a version they cite is no more.

    Raises:
        Unavailable: the database or Redis is away.
    """
    cited = await quoted.cited(tenant_id)  # first: versions come while we look, and none goes
    with reaching(EVERYTHING):
        known = await _known(pool, tenant_id)
    return [answer_id for answer_id, versions in cited.items() if not versions <= known]


async def _known(pool: Pool, tenant_id: str) -> set[tuple[str, int]]:
    async with tenant_transaction(pool, tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT document_id, number FROM document_versions WHERE tenant_id = %s", (tenant_id,)
        )
        return {(row["document_id"], row["number"]) for row in await cursor.fetchall()}


def _finding(name: str, ids: list[str]) -> Finding:
    return Finding(name, len(ids), tuple(sorted(ids)[:SAMPLES]))


_STATS = """
    SELECT count(*) FILTER (WHERE d.deleted_at IS NULL) AS documents,
           count(*) FILTER (WHERE d.deleted_at IS NOT NULL) AS deleted_documents,
           coalesce(sum(s.versions), 0)::bigint AS versions,
           coalesce(sum(s.bytes), 0)::bigint AS bytes,
           coalesce(sum(c.live), 0)::bigint AS vectors,
           coalesce(sum(c.chunks), 0)::bigint AS chunks
    FROM {documents} d
    LEFT JOIN LATERAL (SELECT count(*) AS versions, sum(v.size_bytes) AS bytes
                       FROM document_versions v WHERE v.tenant_id = d.tenant_id
                         AND v.document_id = d.id) s ON true
    LEFT JOIN LATERAL (SELECT count(*) AS chunks, count(*) FILTER (WHERE c.live) AS live
                       FROM chunks c WHERE c.tenant_id = d.tenant_id
                         AND c.document_id = d.id) c ON true
    WHERE d.tenant_id = current_setting('app.tenant')"""
_BY = {
    "tag": "(SELECT d.*, tag AS name FROM documents d, unnest(d.tags) AS tag"
    " WHERE d.tenant_id = current_setting('app.tenant'))",
    "media_type": "(SELECT d.*, d.media_type AS name FROM documents d"
    " WHERE d.tenant_id = current_setting('app.tenant'))",
}
_INDEX = """
    SELECT pg_relation_size('chunks_embedding') AS vector_index_bytes,
           pg_relation_size('chunks_tsv') AS text_index_bytes,
           pg_table_size('chunks') AS chunk_table_bytes,
           (SELECT bool_and(i.indisvalid AND i.indisready) FROM pg_index i
            WHERE i.indexrelid IN ('chunks_embedding'::regclass, 'chunks_tsv'::regclass))
           AS healthy,
           (SELECT corpus_revision FROM tenants
            WHERE id = current_setting('app.tenant')) AS corpus_revision,
           (SELECT embedding_model FROM index_info
            WHERE chunk_table = 'chunks'::regclass) AS embedding_model,
           (SELECT dimension FROM index_info
            WHERE chunk_table = 'chunks'::regclass) AS dimension"""


async def corpus_stats(pool: Pool, tenant_id: str) -> dict[str, Any]:
    """``totals``, ``by_tag``, ``by_media_type`` (counts and bytes of the tenant), and ``index``.

    The sizes of the index are those of the whole database, of which a tenant's rows are a part.
    ``vectors`` counts chunks that are searched, ``chunks`` those of all versions.
    """
    async with tenant_transaction(pool, tenant_id, allow_s=LONG_S) as connection:
        cursor = await connection.execute(_STATS.format(documents="documents"))
        found: dict[str, Any] = {"totals": await cursor.fetchone()}
        for name, documents in _BY.items():
            statement = _STATS.format(documents=documents).replace("SELECT", "SELECT d.name,", 1)
            cursor = await connection.execute(f"{statement} GROUP BY d.name ORDER BY d.name")
            found[f"by_{name}"] = {row.pop("name"): row for row in await cursor.fetchall()}
        cursor = await connection.execute(_INDEX)
        found["index"] = await cursor.fetchone()
    return found
