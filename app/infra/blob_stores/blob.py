"""What a blob is, how it is named, and what every store of blobs promises.

A blob is named by its tenant and its SHA-256, so that writing it again is harmless and damage is
noticed when it is read.
"""

import asyncio
import errno
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.errors import AppError, Unavailable

#: A whole put or get, retries and hashing included.
DEADLINE_S = 10.0
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME = re.compile(r"[0-9a-f]{64}")
#: No space, no quota, or more than a process may write.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class BlobsUnavailable(Unavailable):
    """The store of uploaded files is not answering; try again shortly."""

    code = "blob_store_unavailable"


class StorageFull(Unavailable):
    """There is no space left for uploaded files."""

    code = "storage_full"


class BlobMissing(AppError):
    """The uploaded file is not in the blob store any more."""

    code = "blob_missing"


class BlobDamaged(AppError):
    """The uploaded file is damaged in the blob store."""

    code = "blob_damaged"


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A stored blob."""

    tenant_id: str
    sha256: bytes
    size_bytes: int
    stored_at: datetime


class BlobStore(Protocol):
    """Where bytes are kept. Every method raises BlobsUnavailable or DatabaseUnavailable.

    There is no ``delete``: the role that serves requests may not remove rows of the table, and
    stores that can (folder, bucket) offer it to an operator's purge by themselves.
    """

    async def put(self, tenant_id: str, sha256: bytes, content: bytes) -> None:
        """Keep ``content``; nobody ever sees a part of it, and it outlives a loss of power.

        Raises:
            StorageFull: nothing is kept then.
        """

    async def get(self, tenant_id: str, sha256: bytes) -> bytes:
        """The bytes, checked against ``sha256``. Raises BlobMissing, BlobDamaged."""

    def list(self, tenant_id: str) -> AsyncIterator[BlobInfo]:
        """A tenant's blobs in no order; what else lies in the store is passed over."""


def blob_path(tenant_id: str, sha256: bytes) -> str:
    """``tenant/ab/abcd…``, the same in a folder and in a bucket.

    Raises:
        ValueError: the tenant's id or the checksum could name another place.
    """
    digest = sha256.hex()
    if not _NAME.fullmatch(digest):
        raise ValueError("not a SHA-256")
    return f"{tenant_folder(tenant_id)}/{digest[:2]}/{digest}"


def tenant_folder(tenant_id: str) -> str:
    """The folder or prefix of a tenant.

    Raises:
        ValueError: the id could name another place.
    """
    if not _TENANT.fullmatch(tenant_id):
        raise ValueError("not the id of a tenant")
    return tenant_id


def checksum_of(tenant_id: str, path: str) -> bytes | None:
    """The checksum that ``path`` names; None when it is not the path of a blob."""
    name = path.rpartition("/")[2]
    if not _NAME.fullmatch(name):
        return None
    sha256 = bytes.fromhex(name)
    return sha256 if path == blob_path(tenant_id, sha256) else None


def checked(content: bytes, sha256: bytes) -> bytes:
    """``content``, if that is its SHA-256; takes 5 ms and more for 10 MB, so not on the loop.

    Raises:
        BlobDamaged: it is not.
    """
    if hashlib.sha256(content).digest() != sha256:
        raise BlobDamaged
    return content


@asynccontextmanager
async def within_deadline(foreign: type[Exception] = OSError) -> AsyncIterator[None]:
    """End what is inside after the deadline; OSError and ``foreign`` errors become ours."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield
    except (OSError, foreign) as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise StorageFull from error
        raise BlobsUnavailable from error
