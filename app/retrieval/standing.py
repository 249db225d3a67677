"""What still stands of what was said: documents that were cited, and a tenant's whole corpus."""

from collections.abc import Collection

from app.infra.postgres import Pool, tenant_transaction


async def current_versions(
    pool: Pool, tenant_id: str, document_ids: Collection[str]
) -> dict[str, int]:
    """Document id → the version it is answered from; deleted and unknown ones are left out.

    Raises:
        DatabaseUnavailable: when the database does not answer.
    """
    if not document_ids:
        return {}
    async with tenant_transaction(pool, tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT id, current_version FROM documents"
            " WHERE tenant_id = %s AND id = ANY (%s) AND deleted_at IS NULL"
            " AND current_version IS NOT NULL",
            (tenant_id, list(document_ids)),
            binary=True,
        )
        return {row["id"]: row["current_version"] for row in await cursor.fetchall()}


async def begin_revision(pool: Pool, tenant_id: str) -> None:
    """Begin another revision of a tenant's corpus: no answer that was given before is its own.

    Raises:
        DatabaseUnavailable: when the database does not answer.
    """
    async with tenant_transaction(pool, tenant_id) as connection:
        await connection.execute(
            "UPDATE tenants SET corpus_revision = corpus_revision + 1 WHERE id = %s", (tenant_id,)
        )
