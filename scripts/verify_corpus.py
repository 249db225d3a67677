"""Look for what should not be there: chunks and quotes of dead versions, bytes without a row.

    python -m scripts.verify_corpus [--tenant NAME]

Checks every tenant, or one. Exit code 0 when everything is whole, 1 when anything was found,
2 when it could not be checked.
"""

import argparse
import asyncio
import sys

import psycopg

from app.chat.memory import Memory
from app.documents.corpus import check_corpus
from app.errors import AppError
from app.infra.blobs import open_blobs
from app.infra.postgres import PROGRAM_S, open_pool
from app.infra.redis import Guarded, open_redis
from app.infra.servers import owner_url, urls_of
from app.retrieval.cited import QuotedPlaces
from app.settings import Settings, load_settings
from scripts.prepare import known_servers

#: Nobody waits for an answer here.
REDIS_TIMEOUT_S = 5


def tenants(settings: Settings, name: str | None) -> dict[str, str]:
    """Name → id of the tenants to be checked."""
    with psycopg.connect(owner_url(settings)) as connection:
        rows = connection.execute("SELECT name, id FROM tenants ORDER BY name").fetchall()
    return {known: tenant_id for known, tenant_id in rows if name in (None, known)}


async def verify(settings: Settings, name: str | None) -> int:
    """Check, and print what was found; the exit code."""
    found = 0
    checked = tenants(settings, name)
    urls = urls_of(settings)
    async with (
        open_pool(urls.database_url, size=1, timeout_s=30, statement_timeout_s=PROGRAM_S) as pool,
        open_blobs(settings, pool) as blobs,
        open_redis(urls.redis_url, timeout_s=REDIS_TIMEOUT_S) as redis,
    ):
        quoted, memory = QuotedPlaces(Guarded(redis)), Memory(Guarded(redis), pool)
        for tenant, tenant_id in checked.items():
            findings = await check_corpus(pool, blobs, tenant_id, quoted=quoted, memory=memory)
            for finding in findings:
                if finding.found:
                    found += finding.found
                    samples = ", ".join(finding.samples)
                    print(f"{tenant}: {finding.name}: {finding.found} ({samples})")
    print(f"{len(checked)} tenants checked, {found} findings")
    return 1 if found else 0


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tenant")
    options = parser.parse_args()
    try:
        settings = load_settings()
        with known_servers(settings):
            return asyncio.run(verify(settings, options.tenant))
    except AppError as error:
        print(f"docent: {error.detail}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
