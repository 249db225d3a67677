"""Blobs as files: ``root/tenant/ab/abcd…``, written beside and renamed.

``root/.incoming`` holds what is being written. It is made when the store is opened and never later,
so that a folder whose volume has gone is told from a blob that is missing.
"""

import asyncio
import os
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from app.infra.blob_stores.blob import (
    BlobInfo,
    BlobMissing,
    blob_path,
    checked,
    checksum_of,
    tenant_folder,
    within_deadline,
)

P = ParamSpec("P")
T = TypeVar("T")
INCOMING = ".incoming"
#: Far above the deadline of a put: whoever wrote such a file has died.
ABANDONED_AFTER_S = 3600


class FolderBlobs:
    """A folder on this machine, or one that several machines mount."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / INCOMING

    def prepare(self) -> None:
        """Make the folder and remove what writers that died left behind; blocks.

        Raises:
            OSError: it cannot be made or not be written to.
        """
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._incoming.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._incoming):
            pass  # better known now than at the first upload
        _sync(self._root)
        with suppress(PermissionError):  # we may be let through a folder and not read it
            _sync(self._root.parent)
        for draft in self._incoming.iterdir():
            with suppress(FileNotFoundError):  # another process sweeps as well
                if draft.stat().st_mtime < time.time() - ABANDONED_AFTER_S:
                    draft.unlink()

    async def put(self, tenant_id: str, sha256: bytes, content: bytes) -> None:
        # Always written, also over what is there: that heals a damaged file, and what is there may
        # be another writer's that has not reached the disk.
        await _in_thread(self._write, self._path(tenant_id, sha256), content)

    async def get(self, tenant_id: str, sha256: bytes) -> bytes:
        return await _in_thread(self._read, self._path(tenant_id, sha256), sha256)

    async def delete(self, tenant_id: str, sha256: bytes) -> None:
        """Remove the bytes for good; nothing happens when they are not there."""
        await _in_thread(self._unlink, self._path(tenant_id, sha256))

    async def list(self, tenant_id: str) -> AsyncIterator[BlobInfo]:
        folder = self._root / tenant_folder(tenant_id)
        for shard in await _in_thread(self._entries, folder):
            for blob in await _in_thread(self._blobs_in, tenant_id, shard):
                yield blob

    def _path(self, tenant_id: str, sha256: bytes) -> Path:
        return self._root / blob_path(tenant_id, sha256)

    def _write(self, path: Path, content: bytes) -> None:
        descriptor, draft = tempfile.mkstemp(dir=self._incoming)  # readable by us alone
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            shard, tenant = path.parent, path.parent.parent
            for folder in (tenant, shard):
                with suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
            os.replace(draft, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(draft)
            raise
        # A name outlives a loss of power when its folder has been written, and so on upwards.
        for folder in (shard, tenant, self._root):
            _sync(folder)

    def _read(self, path: Path, sha256: bytes) -> bytes:
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            self._require_root()
            raise BlobMissing from error
        return checked(content, sha256)

    def _unlink(self, path: Path) -> None:
        try:
            path.unlink()
        except FileNotFoundError:
            self._require_root()
        else:
            _sync(path.parent)

    def _require_root(self) -> None:
        """Raise FileNotFoundError, which is "unavailable", when the folder itself has gone."""
        self._incoming.stat()

    def _entries(self, folder: Path) -> Sequence[Path]:
        try:
            return sorted(folder.iterdir())
        except FileNotFoundError:
            self._require_root()
            return ()
        except NotADirectoryError:
            return ()  # not ours

    def _blobs_in(self, tenant_id: str, shard: Path) -> Sequence[BlobInfo]:
        found = []
        for path in self._entries(shard):
            sha256 = checksum_of(tenant_id, path.relative_to(self._root).as_posix())
            if sha256 is None:
                continue
            with suppress(FileNotFoundError):  # removed just now
                state = path.lstat()
                if stat.S_ISREG(state.st_mode):
                    stored_at = datetime.fromtimestamp(state.st_mtime, UTC)
                    found.append(BlobInfo(tenant_id, sha256, state.st_size, stored_at))
        return found


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``work`` returns; a disk that hangs keeps its thread and not the caller."""
    async with within_deadline():
        return await asyncio.to_thread(work, *args, **kwargs)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
