"""One launcher per home: the lock that says so, and what a killed launcher left behind."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]

from app.infra.embedded.account import Account
from app.infra.embedded.faults import StartError
from app.infra.embedded.folders import folders_of, make_home
from app.infra.embedded.locks import open_lock, take
from app.infra.embedded.processes import runs
from scripts.launcher.child import Child
from scripts.launcher.voice import say

#: Children of a killed launcher were told to stop by the kernel and may take so long.
PATIENCE_S = 8.0


class Claim:
    """The right to run Docent on a home, and the list of what runs because of it."""

    def __init__(self, home: Path) -> None:
        self.record = home / "launcher.json"

    def write(self, children: Sequence[Child]) -> None:
        """Note the children's process ids and birth times for a launcher that comes after us."""
        entries = [
            {"name": child.name, "pid": child.process.pid, "created": _birth(child.process.pid)}
            for child in children
            if child.process is not None and child.running
        ]
        new = self.record.with_suffix(".new")
        new.write_text(json.dumps(entries), encoding="utf-8")
        new.replace(self.record)

    def clear(self) -> None:
        """End whatever of the last launcher's children still runs."""
        try:
            entries = json.loads(self.record.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return
        stale = [process for entry in entries for process in _group(entry)]
        if stale:
            say("the last start was killed: waiting for what it left to end")
            for process in stale:
                _signal(process, signal.SIGTERM)
            _wait(stale, PATIENCE_S)
            for process in filter(runs, stale):
                _signal(process, signal.SIGKILL)
            _wait(stale, 2)
        self.record.unlink(missing_ok=True)


@contextmanager
def claim(home: Path) -> Iterator[Claim]:
    """Hold the home's launcher lock; the kernel gives it back whatever becomes of us.

    Raises:
        StartError: another launcher holds it.
    """
    folders = folders_of(home)
    make_home(folders)
    path = folders.home / "launcher.lock"
    handle = open_lock(path, Account(os.geteuid(), os.getegid()))
    try:
        if not take(handle, fcntl.LOCK_EX):
            pid = path.read_text(encoding="ascii").strip() or "unknown"
            raise StartError(
                f"Docent already runs on {folders.home} (process {pid}): stop that one, or give "
                "this one its own DOCENT_HOME, PORT and DEMO_PORT."
            )
        os.truncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        mine = Claim(folders.home)
        mine.clear()
        try:
            yield mine
        finally:
            mine.record.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _birth(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return 0.0


def _group(entry: dict[str, Any]) -> list[psutil.Process]:
    """The processes of a recorded child's group, unless its number was given to somebody else."""
    pid, created = int(entry["pid"]), float(entry["created"])
    if (now := _birth(pid)) and abs(now - created) > 1:
        return []
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == pid and process.create_time() >= created - 1:
                found.append(process)
        except (ProcessLookupError, PermissionError, psutil.Error):
            continue
    return [process for process in found if runs(process)]


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return


def _wait(processes: list[psutil.Process], timeout_s: float) -> None:
    # not psutil's own: a zombie that nobody reaps counts as running there
    deadline = time.monotonic() + timeout_s
    while any(runs(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
