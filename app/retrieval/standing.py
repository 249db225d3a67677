"""What has become of documents that were cited once."""

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
