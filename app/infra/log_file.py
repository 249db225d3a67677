"""Log lines in files: one for each process and day, compressed when the next one begins."""

import gzip
import logging
import os
import shutil
import threading
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

#: A file that has reached so much is put away.
MOST_BYTES = 100 * 2**20


class LogFile(logging.Handler):
    """Writes ``app_<pid>_<date>.log``; a process that was forked writes one of its own.

    What is full, or of another day, is renamed with the time and compressed by a thread. A line
    that the disk has no room for is lost here, and stands on stderr all the same.
    """

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
        super().__init__()
        self._folder = folder
        self._most_bytes = most_bytes
        self._file: FileIO | None = None
        self._path = Path()
        self._pid = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
        try:
            self._open_file().write(line)
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
        if self._file is not None:
            if path == self._path and self._file.tell() < self._most_bytes:
                return self._file
            self._leave()
            if pid == self._pid:
                _put_away(self._path, now)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = FileIO(path, "ab", opener=_private)
        self._path, self._pid = path, pid
        return self._file


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _put_away(path: Path, now: datetime) -> None:
    kept = path.rename(path.with_suffix(f".{now:%H%M%S.%f}.log"))
    threading.Thread(target=_compress, args=(kept,), name="log-file").start()


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
