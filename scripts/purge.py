"""Remove for good what was deleted long enough ago: rows, vectors, bytes, quotes. For operators.

    python -m scripts.purge --deleted-before-days 30 [--tenant NAME] [--yes]

Without ``--yes`` it only says what would go. Bytes that no version needs go too, once they are an
hour old: an upload stores its bytes before its version.
"""

import argparse
import asyncio
import datetime
import sys
from typing import Any

import psycopg

from app.chat.memory import Memory
from app.documents.corpus import stray_quotes, stray_turns
from app.errors import AppError
from app.infra.blobs import BlobInfo, open_blobs
from app.infra.postgres import open_pool, tenant_transaction
from app.infra.reach import EVERYTHING, reaching
from app.infra.redis import Guarded, open_redis
from app.infra.servers import owner_url, urls_of
from app.retrieval.cited import QuotedPlaces
from app.settings import Settings, load_settings
from scripts.prepare import known_servers

#: Longer than any upload takes from its bytes to its version.
BLOB_AGE = datetime.timedelta(hours=1)
#: Nobody waits for an answer here.
REDIS_TIMEOUT_S = 5
#: In the order that foreign keys ask for.
TABLES = ("chunks", "pages", "activations", "document_versions")


def purge_rows(settings: Settings, tenant: str | None, days: float, *, really: bool) -> int:
    """Remove documents that were deleted more than ``days`` ago; how many."""
    with psycopg.connect(owner_url(settings)) as connection:
        gone = connection.execute(
            "SELECT d.id FROM documents d JOIN tenants t ON t.id = d.tenant_id"
            " WHERE d.deleted_at < now() - make_interval(secs => %s)"
            " AND (%s::text IS NULL OR t.name = %s) FOR UPDATE OF d",
            (days * 86_400, tenant, tenant),
        ).fetchall()
        ids = [document_id for (document_id,) in gone]
        if really:
            for table in TABLES:
                connection.execute(
                    f"DELETE FROM {table} WHERE document_id = ANY (%s)",  # noqa: S608 - constant
                    (ids,),
                )
            connection.execute("DELETE FROM documents WHERE id = ANY (%s)", (ids,))
    return len(ids)


async def purge_bytes(settings: Settings, tenant: str | None, *, really: bool) -> tuple[int, int]:
    """Remove bytes that no version needs: how many blobs, how many bytes."""
    count = size_bytes = 0
    async with (
        open_pool(urls_of(settings).database_url, size=1, timeout_s=30) as pool,
        open_blobs(settings, pool) as blobs,
    ):
        for tenant_id in _tenants(settings, tenant):
            with reaching(EVERYTHING):
                unneeded = await _unneeded(pool, blobs, tenant_id)
            for blob in unneeded:
                count, size_bytes = count + 1, size_bytes + blob.size_bytes
                if really:
                    await remove_blob(settings, blobs, blob)
    return count, size_bytes


async def purge_quotes(settings: Settings, tenant: str | None, *, really: bool) -> int:
    """Remove what is remembered of answers that cite a version that is gone; how many answers."""
    urls, count = urls_of(settings), 0
    async with (
        open_pool(urls.database_url, size=1, timeout_s=30) as pool,
        open_redis(urls.redis_url, timeout_s=REDIS_TIMEOUT_S) as redis,
    ):
        quoted, memory = QuotedPlaces(Guarded(redis)), Memory(Guarded(redis), pool)
        for tenant_id in _tenants(settings, tenant):
            stray = await stray_quotes(pool, quoted, tenant_id)
            told = await stray_turns(pool, memory, tenant_id)
            count += len({*stray, *told})
            if really:
                await quoted.forget(tenant_id, stray)
                for document_id in set().union(*told.values()):
                    await memory.forget_document(tenant_id, document_id)
    return count


def _tenants(settings: Settings, name: str | None) -> list[str]:
    with psycopg.connect(owner_url(settings)) as connection:
        rows = connection.execute(
            "SELECT id FROM tenants WHERE %s::text IS NULL OR name = %s", (name, name)
        ).fetchall()
    return [tenant_id for (tenant_id,) in rows]


async def _unneeded(pool: Any, blobs: Any, tenant_id: str) -> list[BlobInfo]:  # noqa: ANN401
    oldest = datetime.datetime.now(datetime.UTC) - BLOB_AGE
    stored = [blob async for blob in blobs.list(tenant_id) if blob.stored_at < oldest]
    async with tenant_transaction(pool, tenant_id) as connection:
        cursor = await connection.execute("SELECT DISTINCT sha256 FROM document_versions")
        needed = {bytes(row["sha256"]) for row in await cursor.fetchall()}
    return [blob for blob in stored if blob.sha256 not in needed]


async def remove_blob(settings: Settings, blobs: Any, blob: BlobInfo) -> None:  # noqa: ANN401
    """Remove bytes for good, wherever they are kept."""
    if hasattr(blobs, "delete"):
        await blobs.delete(blob.tenant_id, blob.sha256)
        return
    with psycopg.connect(owner_url(settings)) as connection:  # the application may not delete
        connection.execute(
            "DELETE FROM blobs WHERE tenant_id = %s AND sha256 = %s", (blob.tenant_id, blob.sha256)
        )


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--deleted-before-days", type=float, required=True)
    parser.add_argument("--tenant", help="by name; all when left out")
    parser.add_argument("--yes", action="store_true", help="really remove it")
    options = parser.parse_args()
    days, really = max(options.deleted_before_days, 0.0), options.yes
    try:
        settings = load_settings()
        with known_servers(settings):
            documents = purge_rows(settings, options.tenant, days, really=really)
            count, size = asyncio.run(purge_bytes(settings, options.tenant, really=really))
            answers = asyncio.run(purge_quotes(settings, options.tenant, really=really))
    except AppError as error:
        print(f"docent: {error.detail}", file=sys.stderr)
        return 1
    verb = "removed" if really else "would be removed (--yes removes them)"
    print(
        f"{documents} documents, {count} files of {size} bytes,"
        f" the quotes of {answers} answers {verb}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
