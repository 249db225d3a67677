"""Why an embedded server did not start, always as one sentence that says what to do."""

import errno
import re
from pathlib import Path

from app.errors import AppError

#: What servers write to their log when something outside them is wrong -> what to tell the user.
#: ``{home}`` and ``{log}`` are filled in; the first match wins.
LOG_LINES: tuple[tuple[str, str], ...] = (
    (
        r"No space left on device|Disk quota exceeded|File size limit exceeded",
        "The disk that holds {home} is full: free some space or set DOCENT_HOME to another disk.",
    ),
    (
        r"Read-only file system",
        "The disk that holds {home} is read-only: set DOCENT_HOME to a folder on a writable one.",
    ),
    (
        r"could not create shared memory segment|Cannot allocate memory|Can't allocate",
        "There is not enough memory for the embedded servers (about 300 MB): free some, or set "
        "DATABASE_URL and REDIS_URL to servers that run elsewhere.",
    ),
    (
        r"cannot execute binary file|Exec format error|not found|error while loading shared",
        "The embedded server programs do not run on this machine ({line}): install Docent again "
        "(remove .venv), or set DATABASE_URL and REDIS_URL to servers of your own.",
    ),
    (
        r"Bad file format reading the append only file|Unexpected end of file reading the append",
        "Redis cannot read its file in {home}/redis: move that folder away to start with an empty "
        "Redis (documents are not in it), or repair its append-only file with valkey-check-aof.",
    ),
    (
        r"invalid primary checkpoint|could not locate a valid checkpoint|invalid checkpoint record"
        r"|could not read file \"global/pg_control\"|incorrect checksum in control file"
        r"|could not find the database system|database files are incompatible with server",
        "The data of PostgreSQL in {home} is damaged: restore that folder from a backup, or move "
        "it away to start empty (see {log}).",
    ),
)


class StartError(AppError):
    """An embedded server did not start."""

    status, code, title = 503, "start_failed", "Docent cannot start"


def from_log(server: str, log: Path, text: str, home: Path) -> StartError:
    """The sentence for a server that ended by itself; ``text`` is what it wrote this time."""
    for pattern, sentence in LOG_LINES:
        if found := re.search(rf".*(?:{pattern}).*", text):
            line = found.group().strip()
            return StartError(sentence.format(home=home, log=log, line=line))
    line = _last_complaint(text) or "it wrote no reason"
    return StartError(f"{server} did not start ({line}): see {log} for more.")


def from_os(error: OSError, home: Path) -> StartError:
    """The sentence for a system call that failed on ``home`` or on something inside it."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return disk_full(home)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        where = error.filename or home
        return StartError(
            f"Docent cannot write to {where}: start it as the user who owns that folder, or set "
            "DOCENT_HOME to a folder of your own."
        )
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        return StartError(f"{home} is not a folder: set DOCENT_HOME to a folder of your own.")
    return StartError(f"Docent cannot use {home} ({error.strerror}): set DOCENT_HOME to another.")


def disk_full(home: Path) -> StartError:
    """The sentence for a full disk, wherever it was noticed."""
    return StartError(LOG_LINES[0][1].format(home=home))


def _last_complaint(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    serious = [line for line in lines if re.search(r"FATAL|PANIC|ERROR|[Ee]rror|# ", line)]
    return re.sub(r"^.*?(FATAL|PANIC|ERROR):\s*", "", (serious or lines or [""])[-1])
