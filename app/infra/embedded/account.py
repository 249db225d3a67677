"""Which system user the servers run as: ourselves, or an unprivileged stand-in for root."""

import os
import pwd
import shutil
import stat
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.infra.embedded.faults import StartError

#: The user made for the servers when Docent runs as root, which PostgreSQL refuses to.
SYSTEM_USER = "docent-db"
_NO_LOGIN = ["--system", "--user-group", "--no-create-home", "--shell", "/bin/false"]
_ADMIN_PATH = os.pathsep.join(["/usr/sbin", "/sbin", "/usr/bin", "/bin"])
#: Capabilities that let a process enter folders closed to it, weakest first: (bit, name).
_ENTER_CAPABILITIES = ((2, "dac_read_search"), (1, "dac_override"))


@dataclass(frozen=True)
class Account:
    """The user and group the servers run as and own their data as."""

    uid: int
    gid: int

    @property
    def is_self(self) -> bool:
        return self.uid == os.geteuid()

    def own(self, path: Path | int) -> None:
        """Hand ``path`` (or an open file) to this account; nothing to do for an ordinary user."""
        if not self.is_self:
            os.chown(path, self.uid, self.gid)


def account_for(data_folders: Iterable[Path]) -> Account:
    """The account for a home: its present owner if root starts it, else ourselves.

    Root keeps the owner of existing data, so that a home started by an ordinary user still works
    for that user after root has used it.

    Raises:
        StartError: root, and no unprivileged user could be made.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    for folder in data_folders:
        if folder.exists() and (found := folder.stat()).st_uid != 0:
            return Account(found.st_uid, found.st_gid)
    entry = _system_user()
    return Account(entry.pw_uid, entry.pw_gid)


def _system_user() -> pwd.struct_passwd:
    useradd = shutil.which("useradd", path=_ADMIN_PATH)
    for _attempt in range(20):  # /etc/passwd may be locked by somebody else's useradd
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            if useradd is None:
                break
        made = subprocess.run(  # noqa: S603 - a fixed command
            [useradd, *_NO_LOGIN, SYSTEM_USER],
            capture_output=True,
            check=False,
        )
        if made.returncode != 0:
            time.sleep(0.1)
    raise StartError(
        f"PostgreSQL does not run as root and the user {SYSTEM_USER} could not be made: create it "
        f"(useradd --system {SYSTEM_USER}), or start Docent as an ordinary user."
    )


def as_account(
    account: Account, command: list[str], needs: Iterable[Path]
) -> tuple[list[str], dict[str, Any]]:
    """``command`` and the ``subprocess`` arguments that run it as ``account``.

    A home below a closed folder such as ``/root`` stays closed: instead of opening folders that
    are not ours to everybody, the server gets the one Linux capability that lets it pass them.

    Raises:
        StartError: ``account`` cannot enter one of ``needs`` and cannot be given that capability.
    """
    if account.is_self:
        return command, {}
    closed = next((path for path in needs if not enters(account, path)), None)
    if closed is None:
        return command, {"user": account.uid, "group": account.gid, "extra_groups": []}
    capability, setpriv = _enter_capability(), shutil.which("setpriv", path=_ADMIN_PATH)
    if capability is None or setpriv is None:
        raise StartError(
            f"PostgreSQL does not run as root, and the user it runs as cannot enter {closed}: set "
            "DOCENT_HOME (and install Docent) in folders every user can enter, or start Docent "
            "as an ordinary user."
        )
    drop = [setpriv, f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
    keep = [f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}", "--"]
    return [*drop, *keep, *command], {}


def enters(account: Account, path: Path) -> bool:
    """Whether ``account`` may pass every folder down to ``path`` and read or enter it."""
    path = path.resolve()
    chain = [*path.parents, path] if path.is_dir() else list(path.parents)
    wanted = [(folder, stat.S_IXOTH) for folder in chain]
    if not path.is_dir():
        wanted.append((path, stat.S_IROTH | stat.S_IXOTH))
    return all(_allows(account, folder.stat(), bits) for folder, bits in wanted)


def _allows(account: Account, found: os.stat_result, bits: int) -> bool:
    if found.st_uid == account.uid:
        bits <<= 6
    elif found.st_gid == account.gid:
        bits <<= 3
    return found.st_mode & bits == bits


def _enter_capability() -> str | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux
        return None
    mine = next((int(line.split()[1], 16) for line in lines if line.startswith("CapPrm")), 0)
    return next((name for bit, name in _ENTER_CAPABILITIES if mine >> bit & 1), None)
