"""Log lines in files: one for each process and day, compressed when the next one begins.

All processes of a home share one folder, and what is in it is bounded: whoever begins a file
removes the oldest ones.
"""

import gzip
import logging
import os
import shutil
import threading
from contextlib import suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

#: A file that has reached so much is put away.
MOST_BYTES = 100 * 2**20
#: All files together may have so much, until told otherwise (``LOG_FILES_MAX_BYTES``).
MOST_FOLDER_BYTES = 2**30


class LogFile(logging.Handler):
    """Writes ``app_<pid>_<date>.log``; a process that was forked writes one of its own.

    What is full, or of another day, is renamed with the time and compressed by a thread, which
    then removes the oldest files beyond ``most_folder_bytes``. A line that the disk has no room for
    is lost here, and stands on stderr all the same.
    """

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int = MOST_BYTES,
        most_folder_bytes: int = MOST_FOLDER_BYTES,
    ) -> None:
        super().__init__()
        self._folder = folder
        self._most_bytes = most_bytes
        self._most_folder_bytes = most_folder_bytes
        self._file: FileIO | None = None
        self._path = Path()
        self._pid = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.write(self.format(record))

    def write(self, line: str) -> None:
        """Write what is formatted already; whoever calls holds the lock."""
        try:
            self._open_file().write(f"{line}\n".encode("utf-8", "backslashreplace"))
        except OSError:
            self._leave()  # tried again with the next line

    def close(self) -> None:
        """Close the file; it stays as it is."""
        self._leave()
        super().close()

    def _leave(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open_file(self) -> FileIO:
        now, pid = datetime.now(UTC), os.getpid()
        path = self._folder / f"app_{pid}_{now:%Y-%m-%d}.log"
        kept = None
        if self._file is not None:
            if path == self._path and self._file.tell() < self._most_bytes:
                return self._file
            self._leave()
            kept = _put_away(self._path, now) if pid == self._pid else None
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = FileIO(path, "ab", opener=_private)
        if kept is not None or path != self._path:
            threading.Thread(target=self._tidy, args=(kept,), name="log-file").start()
        self._path, self._pid = path, pid
        return self._file

    def _tidy(self, kept: Path | None) -> None:
        """Compress what was put away; remove the oldest files."""
        with suppress(OSError):  # the folder is tidied again with the next file
            if kept is not None:
                _compress(kept)
            _remove_oldest(self._folder, self._most_folder_bytes)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _put_away(path: Path, now: datetime) -> Path | None:
    """Its new place; None when another process took it for old, as nothing was written for long."""
    with suppress(FileNotFoundError):
        return path.rename(path.with_suffix(f".{now:%H%M%S.%f}.log"))
    return None


def _compress(path: Path) -> None:
    """In place; what cannot be compressed stays as it is."""
    draft = path.with_suffix(".gz.part")
    try:
        with path.open("rb") as plain, gzip.open(draft, "wb", compresslevel=6) as compressed:
            shutil.copyfileobj(plain, compressed)
        draft.chmod(0o600)
        draft.rename(path.with_suffix(".log.gz"))
        path.unlink()
    except OSError:
        draft.unlink(missing_ok=True)


def _remove_oldest(folder: Path, most_bytes: int) -> None:
    """Leave at most so much, and what may still be written to: today's plain files."""
    written = f"app_*_{datetime.now(UTC):%Y-%m-%d}.log"
    found = [(path.stat(), path) for path in folder.glob("app_*")]
    size = sum(state.st_size for state, _ in found)
    for state, path in sorted(found, key=lambda one: one[0].st_mtime):
        if size <= most_bytes:
            return
        if not path.match(written):
            path.unlink(missing_ok=True)
            size -= state.st_size
