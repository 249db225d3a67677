"""Have documents read again by the readers of this release, as new versions of the same bytes.

    python -m scripts.reread [--tenant NAME] [DOCUMENT ...]

All that answer, or those named. A file is told by its bytes, so what is taken in again unchanged
keeps what an older release read of it. Here only what reads otherwise now is embedded; the old
version answers until then and stays in the history. The worker does the rest.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence

from app.auth.keys import tenant_named
from app.documents.store import Listing
from app.errors import AppError
from app.infra.reach import EVERYTHING, reaching
from app.infra.servers import owner_url
from app.settings import Settings, load_settings
from app.wiring import House, open_house
from scripts.prepare import known_servers

PAGE = 100


async def ready_documents(house: House, tenant_id: str) -> AsyncIterator[str]:
    """Yield the ids of the tenant's documents that are not deleted."""
    after: str | None = None
    more = True
    while more:
        found, more = await house.archive.list(tenant_id, Listing(PAGE, after=after))
        for document in found:
            after = document.id
            yield document.id


async def reread(house: House, tenant_id: str, named: Sequence[str]) -> tuple[int, int]:
    """Queue the documents; how many were queued, and how many were not."""
    ids = [*named] or [one async for one in ready_documents(house, tenant_id)]
    queued = 0
    for document_id in ids:
        taken = await house.intake.read_again(tenant_id, document_id)
        queued += taken is not None
        if taken is None:
            print(f"not queued: {document_id}: it answers nothing yet, or is being worked on")
    return queued, len(ids) - queued


async def run(settings: Settings, options: argparse.Namespace) -> int:
    """Open the house and queue; the exit code."""
    tenant_id = tenant_named(owner_url(settings), options.tenant)
    with reaching(EVERYTHING):
        async with open_house(settings) as house:
            queued, left = await reread(house, tenant_id, options.documents)
    print(f"{queued} documents queued to be read again")
    return 1 if options.documents and left else 0


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tenant", default="default")
    parser.add_argument(
        "documents", nargs="*", metavar="DOCUMENT", help="ids; all if none is named"
    )
    options = parser.parse_args()
    try:
        settings = load_settings()
        with known_servers(settings):
            return asyncio.run(run(settings, options))
    except AppError as error:
        print(f"docent: {error.detail}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
