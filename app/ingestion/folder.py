"""A folder's journey: every file below it is examined, and what is new or changed is ingested."""

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.documents.job_store import outcomes
from app.documents.version_store import deleted_sources, newest_by_source
from app.errors import AppError, InvalidRequest, Unavailable
from app.infra.postgres import Pool, tenant_transaction
from app.ingestion.intake import Intake, Upload

#: Files examined and taken in together: one database round trip for so many unchanged ones.
BATCH = 256
#: Seconds between two looks at the versions that are waited for.
POLL_S = 0.25
#: What is looked at; the format is then told by the content.
SUFFIXES = frozenset(
    [
        ".pdf",
        ".docx",
        ".pptx",
        ".xlsx",
        ".csv",
        ".html",
        ".htm",
        ".md",
        ".markdown",
        ".txt",
        ".odt",
        ".epub",
        ".png",
        ".jpg",
        ".jpeg",
        ".tif",
        ".tiff",
    ]
)

Verdict = Literal["new", "changed", "unchanged", "deleted", "failed"]


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one file; ``version`` is the one to wait for, None when nothing is to do.

    ``deleted``: the document was deleted, and the same bytes do not bring it back.
    """

    path: Path
    verdict: Verdict
    document_id: str | None = None
    version: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it was read: its hash, or why it cannot be ingested."""

    path: Path
    source: str
    sha256: bytes = b""
    reason: str | None = None


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
    """Every file below ``folder`` with a known suffix, sorted; links to folders are not followed.

    A folder that cannot be looked into is among them, and is then told of as an unreadable file.

    Raises:
        InvalidRequest: when there is no such folder.
    """
    if not folder.is_dir():
        raise InvalidRequest(f"{folder} is not a folder.")
    found: list[Path] = []
    closed: list[OSError] = []
    for place, _, names in os.walk(folder, onerror=closed.append):
        known = (name for name in names if os.path.splitext(name)[1].lower() in SUFFIXES)
        found += (Path(place) / name for name in known)
    found += (Path(error.filename) for error in closed)
    return sorted(found)


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """The bytes of a file; at most one more than ``max_bytes``, for it may grow all the time.

    Raises:
        OSError: also when it is no file: a pipe would be waited for, and a device has no end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a file")
        return file.read(max_bytes + 1)


def examine(path: Path, *, max_bytes: int) -> Found:
    """Hash one file; blocks. A file that cannot be ingested gets a reason and no hash."""
    source = Path(os.path.realpath(path)).as_uri()  # Path.resolve() takes a loop of links badly
    try:
        content = read_file(path, max_bytes=max_bytes)
    except OSError as error:
        return Found(path, source, reason=f"unreadable_file ({error.strerror})")
    if len(content) > max_bytes:
        return Found(path, source, reason="too_large_file")
    if not content:
        return Found(path, source, reason="empty_file")
    return Found(path, source, sha256=hashlib.sha256(content).digest())


def examine_all(paths: Sequence[Path], max_bytes: int) -> list[Found]:
    """Hash a batch; blocks."""
    return [examine(path, max_bytes=max_bytes) for path in paths]


async def take_in(
    pool: Pool, intake: Intake, tenant_id: str, files: Sequence[Path]
) -> AsyncIterator[list[Received]]:
    """Examine ``files`` batch by batch and accept what is new or changed; yields the verdicts."""
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        found = await asyncio.to_thread(examine_all, batch, intake.max_bytes)
        yield await receive(pool, intake, tenant_id, found)


async def receive(
    pool: Pool, intake: Intake, tenant_id: str, files: Sequence[Found]
) -> list[Received]:
    """Take in a batch; nothing is written for files that are answered from as they are.

    Nor for those that wait for their turn, as most do when a large folder is begun again.
    """
    sources = [found.source for found in files if found.reason is None]
    async with tenant_transaction(pool, tenant_id) as connection:
        newest = await newest_by_source(connection, tenant_id, sources)
        deleted = await deleted_sources(connection, tenant_id, sources)
    received = []
    for found in files:
        known = newest.get(found.source)
        if found.reason is not None:
            received.append(Received(found.path, "failed", reason=found.reason))
        elif known is None and (found.source, found.sha256) in deleted:
            received.append(Received(found.path, "deleted"))
        elif known is not None and known.sha256 == found.sha256 and known.status == "ready":
            # Also when an older version was gone back to: the folder says nothing new.
            received.append(Received(found.path, "unchanged", known.document_id))
        elif known is not None and known.sha256 == found.sha256 and known.unfinished:
            received.append(_awaited(found.path, known.document_id, known.version))
        else:
            received.append(await _add(intake, tenant_id, found))
    return received


async def _add(intake: Intake, tenant_id: str, found: Found) -> Received:
    try:
        content = await asyncio.to_thread(read_file, found.path, max_bytes=intake.max_bytes)
    except OSError as error:
        return Received(found.path, "failed", reason=f"unreadable_file ({error.strerror})")
    try:
        taken = await intake.add(
            tenant_id, Upload(filename=found.path.name, content=content, source=found.source)
        )
    except Unavailable:
        raise
    except AppError as error:
        return Received(found.path, "failed", reason=error.code)
    if taken.job_id is None:
        return Received(found.path, "unchanged", taken.document_id)
    return _awaited(found.path, taken.document_id, taken.version)


def _awaited(path: Path, document_id: str, version: int) -> Received:
    return Received(path, "new" if version == 1 else "changed", document_id, version)


async def watch(
    pool: Pool, tenant_id: str, versions: Sequence[tuple[str, int]]
) -> AsyncIterator[Progress]:
    """Report on ``versions`` until all of them are settled, whoever works on them."""
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    open_versions = list(versions)
    while True:
        async with tenant_transaction(pool, tenant_id) as connection:
            rows |= await outcomes(connection, open_versions)
        # What is settled is not looked at again: of a large folder each look would be at all of it.
        settled = {key for key in rows if rows[key]["status"] not in ("queued", "processing")}
        open_versions = [version for version in open_versions if version not in settled]
        yield Progress(
            done=len(settled),
            total=len(versions),
            pages_done=sum(row["pages_done"] for row in rows.values()),
            pages_total=sum(row["page_count"] or 0 for row in rows.values()),
            chunks_embedded=sum(row["chunks_embedded"] for row in rows.values()),
            chunks_reused=sum(row["chunks_reused"] for row in rows.values()),
            failures={
                key: f"{row['error_code']}: {row['error_detail']}"
                for key, row in rows.items()
                if row["status"] in ("failed", "cancelled", "dead")
            },
        )
        if not open_versions:
            return
        await asyncio.sleep(POLL_S)
