"""Where the embedded servers keep things, and how those folders are made safe."""

import hashlib
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from app.infra.embedded.account import Account
from app.infra.embedded.faults import StartError, disk_full, from_os

#: The kernel refuses socket paths beyond 104-108 characters, so sockets never live in the home.
#: Fixed, not ``tempfile.gettempdir()``: processes with another TMPDIR must find the same folder.
SOCKETS_IN = Path("/tmp")  # noqa: S108 - the folder below it is checked before it is trusted
#: Free space below which starting is refused: a new cluster is 40 MB and PostgreSQL writes its
#: log in files of 16 MB.
FREE_BYTES_NEW, FREE_BYTES_AGAIN = 128 * 2**20, 40 * 2**20
#: Server logs are cut when they pass this size at a start.
LOG_BYTES = 5 * 2**20


@dataclass(frozen=True)
class Folders:
    """The places of one home; ``home`` is absolute and without symbolic links."""

    home: Path

    @property
    def postgres(self) -> Path:
        return self.home / "postgres18"

    @property
    def redis(self) -> Path:
        return self.home / "redis"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def start_lock(self) -> Path:
        """Held while servers are started or stopped."""
        return self.home / "servers.lock"

    @property
    def users_lock(self) -> Path:
        """Shared by every process that uses the servers."""
        return self.home / "servers.users"

    @property
    def sockets(self) -> Path:
        """A short folder outside the home, the same for every process that knows the home."""
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()
        return SOCKETS_IN / f"docent-{digest[:16]}"


def folders_of(home: Path) -> Folders:
    """The places of ``home``; nothing is created."""
    return Folders(Path(os.path.realpath(home.expanduser())))


def make_home(folders: Folders) -> None:
    """Create the home, private to us; a home that exists keeps its permissions.

    Root's home may be entered (not listed) by others, for PostgreSQL does not run as root; what
    is in it is closed by its own permissions.

    Raises:
        StartError: it cannot be created or written to.
    """
    home = folders.home
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        if not home.exists():
            home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, exist_ok=True)
        if not home.is_dir():
            raise NotADirectoryError(20, "Not a directory", str(home))
        if not os.access(home, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied", str(home))
    except OSError as error:
        raise from_os(error, home) from error


def check_space(folders: Folders) -> None:
    """Refuse to start on a disk so full that PostgreSQL would stop in the middle of something.

    Raises:
        StartError: saying that the disk is full.
    """
    needed = FREE_BYTES_AGAIN if folders.postgres.exists() else FREE_BYTES_NEW
    if shutil.disk_usage(folders.home).free < needed:
        raise disk_full(folders.home)


def make_private(path: Path, account: Account) -> None:
    """Create a data folder of ``account`` (mode 0700) unless it is there.

    Raises:
        StartError: it cannot be created.
    """
    try:
        if not path.exists():
            path.mkdir(mode=0o700)
            account.own(path)
    except OSError as error:
        raise from_os(error, path) from error


def make_sockets(folders: Folders, account: Account) -> None:
    """Create the socket folder, or trust the one that is there only if nobody else could make it.

    Raises:
        StartError: something else is in its place: another user's folder, a link, a file.
    """
    path = folders.sockets
    try:
        path.mkdir(mode=0o700)
        made = True
    except FileExistsError:
        made = False
    except OSError as error:
        raise StartError(
            f"The folder for sockets {path} cannot be created ({error.strerror}): make "
            f"{path.parent} writable, or set DATABASE_URL and REDIS_URL to servers of your own."
        ) from error
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise _not_ours(path) from error
    try:
        if made:
            account.own(handle)
        found = os.fstat(handle)
        if found.st_uid != account.uid or stat.S_IMODE(found.st_mode) & 0o077:
            raise _not_ours(path)
    finally:
        os.close(handle)


def _not_ours(path: Path) -> StartError:
    return StartError(
        f"{path} is not a private folder of the user Docent runs its servers as: remove it, "
        "or set DOCENT_HOME to another folder."
    )


def open_log(folders: Folders, account: Account, name: str) -> int:
    """An appending file descriptor of ``logs/<name>.log``; the caller closes it."""
    make_private(folders.logs, Account(os.geteuid(), os.getegid()))
    path = folders.logs / f"{name}.log"
    try:
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise from_os(error, path) from error
    account.own(handle)
    return handle
