"""Advisory file locks: who may start or stop the servers, and who is using them.

The kernel drops a lock with its process, however that dies, so nothing is ever stale.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.infra.embedded.account import Account
from app.infra.embedded.faults import StartError, from_os

_PAUSE_S = 0.01


@contextmanager
def alone(path: Path, account: Account, timeout_s: float) -> Iterator[None]:
    """Hold the exclusive lock on ``path``, waiting up to ``timeout_s`` for its holder.

    Raises:
        StartError: the file cannot be opened, or somebody kept it for too long.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        handle = open_lock(path, account)
        try:
            while not take(handle, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise StartError(
                        f"Another process has been starting or stopping the servers for "
                        f"{timeout_s:.0f} s: end it (it holds {path}) and start again."
                    )
                time.sleep(_PAUSE_S)
            if same_file(handle, path):
                yield
                return
        finally:
            os.close(handle)


def open_lock(path: Path, account: Account) -> int:
    """An open lock file; closing it drops the lock. It is not inherited by programs we start.

    Raises:
        StartError: it cannot be created.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise from_os(error, path) from error
    account.own(handle)
    return handle


def take(handle: int, kind: int) -> bool:
    """Try ``LOCK_SH`` or ``LOCK_EX`` without waiting; a lock already held is converted."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def same_file(handle: int, path: Path) -> bool:
    """Whether ``path`` is still the open file; false after the home was deleted under us."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
