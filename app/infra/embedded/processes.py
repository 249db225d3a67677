"""Starting, recognising and ending server processes that outlive the process that starts them."""

import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]

from app.infra.embedded.account import Account, as_account

#: Nothing of the caller's environment: PGPORT, LD_PRELOAD and the like must not reach a server.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
#: Starts its arguments in the background and prints their pid: the server is then nobody's
#: child, so it neither becomes a zombie of ours nor dies with our terminal.
_DETACH = '"$@" >&2 & echo $!'


def run_as(account: Account, command: list[str], needs: Iterable[Path]) -> tuple[int, str]:
    """Run a command to its end as ``account``; its exit code and everything it wrote."""
    argv, options = as_account(account, command, needs)
    done = subprocess.run(  # noqa: S603 - our own programs and paths
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT,
        cwd="/",
        umask=0o077,
        check=False,
        start_new_session=True,
        **options,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def launch(account: Account, command: list[str], needs: Iterable[Path], log: int) -> int:
    """Start a server as ``account``, detached from us; its pid. It writes to ``log``."""
    argv, options = as_account(account, ["/bin/sh", "-c", _DETACH, "docent", *command], needs)
    started = subprocess.run(  # noqa: S603 - our own programs and paths
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env=ENVIRONMENT,
        cwd="/",
        umask=0o077,
        check=False,
        start_new_session=True,
        **options,
    )
    return int(started.stdout.strip() or 0)


def runs(process: psutil.Process) -> bool:
    """Whether a process runs; a zombie that nobody reaps does not.

    A zombie whose other threads are still ending does: it holds its ports and files until then.
    """
    try:
        if not process.is_running():
            return False
        return bool(process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def alive(pid: int) -> bool:
    """Whether ``pid`` runs."""
    try:
        return bool(pid) and runs(psutil.Process(pid))
    except (psutil.NoSuchProcess, ValueError):
        return False


def working_in(pid: int, folder: Path, name: str) -> psutil.Process | None:
    """The process ``pid`` if it is the server of ``folder``.

    Both servers make their data folder their working directory, which tells a server from a
    stranger that was given its old pid, and from a server whose folder was deleted.
    """
    try:
        process = psutil.Process(pid)
        ours = process.name() == name and process.cwd() == str(folder)
        return process if ours and runs(process) else None
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
        return None


def all_working_in(folder: Path, name: str) -> list[psutil.Process]:
    """Every process of a server on ``folder``, such as backends whose postmaster was killed."""
    found = (working_in(pid, folder, name) for pid in psutil.pids())
    return [process for process in found if process is not None]


def listening_on(path: Path, name: str) -> psutil.Process | None:
    """The server that answers on a socket, if that can be told (Linux) and it is called ``name``.

    It need not be the server of the present data folder: one whose home was deleted lives on.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
            credentials = client.getsockopt(
                socket.SOL_SOCKET, getattr(socket, "SO_PEERCRED", 0), 12
            )
            process = psutil.Process(struct.unpack("3i", credentials)[0])
            return process if process.name() == name else None
        except (OSError, ValueError, psutil.NoSuchProcess, struct.error):
            return None


def end(process: psutil.Process, *patience: tuple[signal.Signals, float]) -> None:
    """Send each signal in turn, giving the process so many seconds to go after it."""
    for number, timeout_s in (*patience, (signal.SIGKILL, 5.0)):
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not runs(process):
                return
            time.sleep(0.005)
