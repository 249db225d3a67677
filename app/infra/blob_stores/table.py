"""Blobs as rows of PostgreSQL: workers on other machines then need nothing but the database."""

import asyncio
from collections.abc import AsyncIterator

from psycopg.errors import DiskFull

from app.infra.blob_stores.blob import BlobInfo, BlobMissing, StorageFull, checked
from app.infra.postgres import DatabaseUnavailable, Pool, tenant_transaction

#: Rows of one page of a list.
PAGE = 1000


class PostgresBlobs:
    """The table ``blobs``, under row-level security; the pool's deadlines hold.

    A row is never written again nor removed, because the role that serves requests may not: a
    damaged page of the database is the business of its backups.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, tenant_id: str, sha256: bytes, content: bytes) -> None:
        try:
            async with tenant_transaction(self._pool, tenant_id) as connection:
                await connection.execute(
                    "INSERT INTO blobs (tenant_id, sha256, content) VALUES (%s, %s, %s)"
                    " ON CONFLICT DO NOTHING",
                    (tenant_id, sha256, content),
                )
        except DatabaseUnavailable as error:
            if isinstance(error.__cause__, DiskFull):
                raise StorageFull from error
            raise

    async def get(self, tenant_id: str, sha256: bytes) -> bytes:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            cursor = await connection.execute(
                "SELECT content FROM blobs WHERE tenant_id = %s AND sha256 = %s",
                (tenant_id, sha256),
                binary=True,
            )
            row = await cursor.fetchone()
        if row is None:
            raise BlobMissing
        return await asyncio.to_thread(checked, bytes(row["content"]), sha256)

    async def list(self, tenant_id: str) -> AsyncIterator[BlobInfo]:
        last = b""
        while True:
            async with tenant_transaction(self._pool, tenant_id) as connection:
                cursor = await connection.execute(
                    "SELECT sha256, octet_length(content) AS size, created_at FROM blobs"
                    " WHERE tenant_id = %s AND sha256 > %s ORDER BY sha256 LIMIT %s",
                    (tenant_id, last, PAGE),
                )
                rows = await cursor.fetchall()
            for row in rows:  # no connection is held while they are read
                last = bytes(row["sha256"])
                yield BlobInfo(tenant_id, last, row["size"], row["created_at"])
            if len(rows) < PAGE:
                return
