"""A folder's journey: every PDF below it is examined, and what is new or changed is ingested."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.documents.store import outcomes
from app.errors import InvalidRequest
from app.infra.postgres import Pool, tenant_transaction
from app.ingestion.intake import Found, Received, examine, receive
from app.ingestion.jobs import IngestionQueue

#: Files examined and taken in together: one database round trip for so many unchanged ones.
BATCH = 256
#: Seconds between two looks at the versions that are waited for.
POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the awaited versions have come."""

    done: int
    total: int
    pages_done: int
    pages_total: int
    chunks_embedded: int
    chunks_reused: int
    #: (document, version) → "code: detail" of those that failed.
    failures: dict[tuple[str, int], str]


def find_files(folder: Path) -> list[Path]:
    """Every ``*.pdf`` below ``folder``, sorted; links to folders are not followed.

    Raises:
        InvalidRequest: when there is no such folder.
    """
    if not folder.is_dir():
        raise InvalidRequest(f"{folder} is not a folder.")
    found = [
        Path(place) / name
        for place, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(".pdf")
    ]
    return sorted(found)


async def take_in(
    pool: Pool, queue: IngestionQueue, tenant_id: str, files: Sequence[Path], *, max_bytes: int
) -> AsyncIterator[list[Received]]:
    """Examine ``files`` batch by batch and accept what is new or changed; yields the verdicts."""
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        found = await asyncio.to_thread(_examine_all, batch, max_bytes)
        yield await receive(pool, tenant_id, found, queue.defer)


def _examine_all(files: Sequence[Path], max_bytes: int) -> list[Found]:
    return [examine(path, max_bytes=max_bytes) for path in files]


async def watch(
    pool: Pool, tenant_id: str, versions: Sequence[tuple[str, int]]
) -> AsyncIterator[Progress]:
    """Report on ``versions`` until all of them are ready or failed, whoever works on them."""
    while True:
        async with tenant_transaction(pool, tenant_id) as connection:
            rows = await outcomes(connection, versions)
        finished = [row for row in rows.values() if row["status"] in ("ready", "failed")]
        yield Progress(
            done=len(finished),
            total=len(versions),
            pages_done=sum(row["pages_done"] for row in rows.values()),
            pages_total=sum(row["page_count"] or 0 for row in rows.values()),
            chunks_embedded=sum(row["chunks_embedded"] for row in rows.values()),
            chunks_reused=sum(row["chunks_reused"] for row in rows.values()),
            failures={
                key: f"{row['error_code']}: {row['error_detail']}"
                for key, row in rows.items()
                if row["status"] == "failed"
            },
        )
        if len(finished) == len(versions):
            return
        await asyncio.sleep(POLL_S)
