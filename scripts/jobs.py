"""List the jobs that did not succeed, and have them tried again.

    python -m scripts.jobs [--tenant NAME] [--status dead] [--retry]

Dead jobs were given up after their attempts; failed ones are of files that cannot be read. With
``--retry`` each listed job is queued once more; the worker does the rest.
"""

import argparse
import asyncio
import sys
from typing import get_args

from app.auth.keys import tenant_named
from app.documents.job import JobStatus
from app.errors import AppError
from app.infra.servers import owner_url
from app.ingestion.board import JobNotRetryable
from app.settings import Settings, load_settings
from app.wiring import House, open_house
from scripts.prepare import known_servers

PAGE = 100


async def show(house: House, tenant_id: str, status: JobStatus, *, retry: bool) -> int:
    """Print every job with its reason; how many were queued again."""
    after: str | None = None
    more, queued = True, 0
    while more:
        jobs, more = await house.board.list(tenant_id, status=status, after=after, limit=PAGE)
        for job in jobs:
            print(f"{job.id} {job.document_id} v{job.version} {job.error_code}: {job.error_detail}")
            after = job.id
            if retry:
                try:
                    await house.board.retry(tenant_id, job.id)
                    queued += 1
                except JobNotRetryable as error:
                    print(f"  not queued: {error.detail}")
    return queued


async def run(settings: Settings, options: argparse.Namespace) -> None:
    """Open the house, list, and queue."""
    tenant_id = tenant_named(owner_url(settings), options.tenant)
    async with open_house(settings) as house:
        queued = await show(house, tenant_id, options.status, retry=options.retry)
    if options.retry:
        print(f"{queued} jobs queued again")


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tenant", default="default")
    parser.add_argument("--status", default="dead", choices=get_args(JobStatus))
    parser.add_argument("--retry", action="store_true")
    options = parser.parse_args()
    try:
        settings = load_settings()
        with known_servers(settings):
            asyncio.run(run(settings, options))
    except AppError as error:
        print(f"docent: {error.detail}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
