"""The embedded servers as their users see them: shared, started by the first, stopped by the last.

Every process that uses the servers of a home holds a shared lock while it does. Entering and
leaving happen under a second, exclusive lock, so first starts and last stops never overlap. A
killed user loses its lock with its life; servers it leaves behind are taken over by the next.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from app.infra.embedded.account import account_for
from app.infra.embedded.folders import Folders, check_space, folders_of, make_home
from app.infra.embedded.locks import alone, open_lock, same_file, take
from app.infra.embedded.postgres import Postgres, database_url
from app.infra.embedded.redis import Redis, redis_url

#: Longer than the slowest start of both servers.
LOCK_TIMEOUT_S = 160.0


@dataclass(frozen=True)
class ServerUrls:
    """Where the servers of a home listen, whether or not they run."""

    database_url: str
    redis_url: str


@dataclass(frozen=True)
class ServerStatus:
    """Process ids of the running servers; None for one that does not run."""

    postgres_pid: int | None
    redis_pid: int | None


def urls_for(home: Path) -> ServerUrls:
    """The URLs of a home's servers, the same in every process; nothing is started or created."""
    folders = folders_of(home)
    return ServerUrls(database_url(folders), redis_url(folders))


@contextmanager
def embedded_servers(
    home: Path, *, postgres: bool = True, redis: bool = True
) -> Iterator[ServerUrls]:
    """Use the servers of ``home``, starting those wanted that do not run.

    The last user to leave stops whatever runs. A child made by ``fork`` (not by starting a
    program) counts as part of its parent: the servers run until both have ended.

    Raises:
        StartError: a server cannot run, with one sentence that says what to do.
    """
    users = _enter(folders_of(home), postgres=postgres, redis=redis)
    try:
        yield urls_for(home)
    finally:
        _leave(folders_of(home), users)


def start(home: Path, *, postgres: bool = True, redis: bool = True) -> list[str]:
    """Start the wanted servers that do not run, without becoming a user; the names of those.

    A user may call this when it finds a server dead.

    Raises:
        StartError: a server cannot run.
    """
    folders = folders_of(home)
    make_home(folders)
    with _start_lock(folders):
        return _start(folders, postgres=postgres, redis=redis)


def status(home: Path) -> ServerStatus:
    """Which servers of ``home`` run now."""
    database, cache = _servers(folders_of(home))
    processes = database.process(), cache.process()
    pids = [None if process is None else process.pid for process in processes]
    return ServerStatus(postgres_pid=pids[0], redis_pid=pids[1])


def stop(home: Path) -> None:
    """Stop the servers of ``home`` cleanly, whoever uses them."""
    folders = folders_of(home)
    if folders.home.is_dir():
        with _start_lock(folders):
            _stop(folders)


def _enter(folders: Folders, *, postgres: bool, redis: bool) -> int:
    make_home(folders)
    with _start_lock(folders):
        users = open_lock(folders.users_lock, account_for([folders.postgres, folders.redis]))
        try:
            take(users, fcntl.LOCK_SH)
            _start(folders, postgres=postgres, redis=redis)
        except BaseException:
            if take(users, fcntl.LOCK_EX):  # nobody else: leave no half of a pair behind
                _stop(folders)
            os.close(users)
            raise
    return users


def _leave(folders: Folders, users: int) -> None:
    try:
        if not same_file(users, folders.users_lock):  # the home was deleted, and perhaps remade
            return
        with _start_lock(folders):
            if take(users, fcntl.LOCK_EX):
                _stop(folders)
    finally:
        os.close(users)


def _start_lock(folders: Folders) -> AbstractContextManager[None]:
    account = account_for([folders.postgres, folders.redis])
    return alone(folders.start_lock, account, LOCK_TIMEOUT_S)


def _servers(folders: Folders) -> tuple[Postgres, Redis]:
    account = account_for([folders.postgres, folders.redis])
    return Postgres(folders, account), Redis(folders, account)


def _start(folders: Folders, *, postgres: bool, redis: bool) -> list[str]:
    database, cache = _servers(folders)
    wanted = [server for server, is_wanted in ((cache, redis), (database, postgres)) if is_wanted]
    dead = [server.name for server in wanted if server.process() is None]
    if dead:
        check_space(folders)
    for server in wanted:
        server.start()
    return dead


def _stop(folders: Folders) -> None:
    for server in _servers(folders):
        server.stop()
    with suppress(OSError):  # not there, or something in it is not ours
        folders.sockets.rmdir()
