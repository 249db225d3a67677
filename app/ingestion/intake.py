"""A file's first step: new, changed or unchanged, told by its SHA-256 alone.

What is new or changed is stored with its job in one transaction, so that a document that was
accepted is never forgotten, and one that was not leaves nothing behind.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.documents.document import NewFile
from app.documents.store import Newest, add_version, newest_by_source, requeue_version
from app.infra.postgres import Connection, Pool, tenant_transaction

Verdict = Literal["new", "changed", "unchanged", "failed"]
#: Records a job for (tenant, document, version) over the given connection.
Defer = Callable[[Connection, str, str, int], Awaitable[None]]

PDF_HEADER, PDF_HEADER_WITHIN = b"%PDF-", 1024


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one file; ``version`` is the one to wait for, None when nothing is to do."""

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


def examine(path: Path, *, max_bytes: int) -> Found:
    """Hash one file; blocks. A file that cannot be ingested gets a reason and no hash."""
    source = path.resolve().as_uri()
    try:
        if path.stat().st_size > max_bytes:
            return Found(path, source, reason="too_large_file")
        with path.open("rb") as file:
            start = file.read(PDF_HEADER_WITHIN)
            if not start:
                return Found(path, source, reason="empty_file")
            if PDF_HEADER not in start:
                return Found(path, source, reason="not_a_pdf")
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256")
    except OSError as error:
        return Found(path, source, reason=f"unreadable_file ({error.strerror})")
    return Found(path, source, sha256=digest.digest())


async def receive(
    pool: Pool, tenant_id: str, files: Sequence[Found], defer: Defer
) -> list[Received]:
    """Take in a batch; nothing is written for files whose newest version has the same bytes."""
    good = [found for found in files if found.reason is None]
    async with tenant_transaction(pool, tenant_id) as connection:
        newest = await newest_by_source(connection, tenant_id, [found.source for found in good])
    received = []
    for found in files:
        known = newest.get(found.source)
        if found.reason is not None:
            received.append(Received(found.path, "failed", reason=found.reason))
        elif known is None or known.sha256 != found.sha256:
            received.append(await _store(pool, tenant_id, found, defer))
        elif known.status == "ready":
            received.append(Received(found.path, "unchanged", known.document_id))
        else:
            received.append(await _go_on(pool, tenant_id, found, known, defer))
    return received


async def _store(pool: Pool, tenant_id: str, found: Found, defer: Defer) -> Received:
    try:
        content = found.path.read_bytes()
    except OSError as error:
        return Received(found.path, "failed", reason=f"unreadable_file ({error.strerror})")
    name = found.path.name.encode("utf-8", "replace").decode()
    file = NewFile(
        source=found.source,
        filename=name,
        title=found.path.stem.replace("_", " ").strip() or name,
        media_type="application/pdf",
        content=content,
        # Hashed again: the file may have been written to since it was examined.
        sha256=hashlib.sha256(content).digest(),
    )
    async with tenant_transaction(pool, tenant_id) as connection:
        document_id, version, is_new = await add_version(connection, tenant_id, file)
        await defer(connection, tenant_id, document_id, version)
    return Received(found.path, "new" if is_new else "changed", document_id, version)


async def _go_on(pool: Pool, tenant_id: str, found: Found, known: Newest, defer: Defer) -> Received:
    """The same bytes were accepted before but are not ready: try a failed one once more."""
    if known.status == "failed":
        async with tenant_transaction(pool, tenant_id) as connection:
            await requeue_version(connection, known.document_id, known.version)
            await defer(connection, tenant_id, known.document_id, known.version)
    verdict: Verdict = "new" if known.version == 1 else "changed"
    return Received(found.path, verdict, known.document_id, known.version)
