"""A whole copy of Docent as real processes: started, asked, hurt, looked at, and always cleaned up.

Every copy is made from one prepared home (schema, key, one small document), built once per test
session beside the session's own servers and copied while stopped.
"""

import asyncio
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped,unused-ignore]
import psycopg
from procrastinate import App as JobApp
from procrastinate import PsycopgConnector
from psycopg.rows import dict_row

from app.infra.blobs import open_blobs
from app.infra.embedded.account import Account
from app.infra.embedded.locks import alone
from app.infra.embedded.processes import runs
from app.infra.embedded.servers import start, status, stop, urls_for
from app.infra.postgres import open_pool
from app.ingestion.folder import take_in
from app.ingestion.intake import Intake
from app.ingestion.jobs import IngestionQueue
from app.settings import Settings
from tests.conftest import HOME_VARIABLE, remove_home
from tests.pdfs import make_pdf

ROOT = Path(__file__).parents[2]
#: Below what Linux and others give to outgoing connections.
PORTS = range(15_000, 32_000)
#: Everything that is waited for has a limit; this one is for starts on a loaded machine.
PATIENCE_S = 150.0
QUESTION = "Which colour does the beacon show during docking?"
ANSWER = "The beacon shows an amber colour during docking."
PAPER = [
    ["Manual of the beacon", ANSWER, "It is bolted to the upper deck."],
    ["Maintenance", "The lamp of the beacon is replaced every 400 hours."],
]
#: A job whose worker was killed is taken over after so long; the default waits longer.
STALLED_AFTER_S = 2


class Docent:
    """One home with its ports and everything that runs because of it."""

    def __init__(self, home: Path, **settings: object) -> None:
        self.home = home
        self.port, self.demo_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {key: str(value) for key, value in settings.items()}
        self.database_url = urls_for(home).database_url
        self.programs: list[Program] = []

    @property
    def environment(self) -> dict[str, str]:
        """The settings of every process of this copy."""
        return {
            **os.environ,
            # What is asked twice is answered twice.
            "ANSWER_CACHE_TTL_S": "0",
            "DOCENT_HOME": str(self.home),
            "PORT": str(self.port),
            "DEMO_PORT": str(self.demo_port),
            "JOB_STALLED_AFTER_S": str(STALLED_AFTER_S),
            "LOG_LEVEL": "WARNING",
            **self.settings,
        }

    @property
    def key(self) -> str:
        return (self.home / "dev.key").read_text().strip()

    def program(self, *arguments: str, **settings: object) -> "Program":
        """Start ``python -m arguments…`` on this copy."""
        environment = self.environment | {key: str(value) for key, value in settings.items()}
        program = Program([sys.executable, "-m", *arguments], environment)
        self.programs.append(program)
        return program

    def run(self, *arguments: str, ready: bool = True) -> "Program":
        """``make run``, up to the last line of its introduction."""
        launcher = self.program("scripts.run", *arguments)
        if ready:
            launcher.until_line("Ctrl-C stops everything")
        return launcher

    def command(self, *arguments: str, **settings: object) -> "Ended":
        """Run ``python -m arguments…`` to its end."""
        return self.program(*arguments, **settings).ended()

    def get(self, path: str, timeout_s: float = 60, key: str | None = None) -> httpx.Response:
        headers = {"X-API-Key": key or self.key}
        return httpx.get(self.url + path, headers=headers, timeout=timeout_s)

    def ask(
        self, question: str = QUESTION, timeout_s: float = 60, key: str | None = None
    ) -> httpx.Response:
        return httpx.post(
            f"{self.url}/api/v1/chat",
            headers={"X-API-Key": key or self.key},
            json={"question": question},
            timeout=timeout_s,
        )

    def status_of(self, path: str) -> int:
        """The status of a GET; 0 when nobody answers."""
        try:
            return self.get(path).status_code
        except httpx.TransportError:
            return 0

    def until_ready(self, timeout_s: float = PATIENCE_S) -> float:
        """Wait until questions are answered; the seconds it took."""
        return until(lambda: self.status_of("/readyz") == 200, timeout_s, "/readyz says 200")

    def pid(self, name: str) -> int:
        """The process id of a child of the launcher: api, worker or demo."""
        entries = json.loads((self.home / "launcher.json").read_text())
        return int(next(entry["pid"] for entry in entries if entry["name"] == name))

    def server_pids(self) -> dict[str, int]:
        found = status(self.home)
        assert found.postgres_pid is not None
        assert found.redis_pid is not None
        return {"postgres": found.postgres_pid, "redis": found.redis_pid}

    def processes(self) -> list[psutil.Process]:
        """Every process of this copy, servers included."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        if process.pid == os.getpid():
            return False
        try:
            mine = process.environ().get("DOCENT_HOME") == str(self.home)
            return (mine or process.cwd().startswith(str(self.home))) and runs(process)
        except (psutil.Error, OSError):
            return False

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Read (or write) as the owner of the tables."""
        with psycopg.connect(self.database_url, row_factory=dict_row) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def submit(self, path: Path) -> str:
        """Accept a file as ``make ingest`` does, but leave the work to the workers; its id."""
        return asyncio.run(self._submit(path))

    async def _submit(self, path: Path) -> str:
        tenant = self.rows("SELECT id FROM tenants WHERE name = 'default'")[0]["id"]
        async with open_pool(self.database_url, size=1, timeout_s=10) as pool:
            jobs = JobApp(connector=PsycopgConnector())
            await jobs.connector.open_async(pool)
            queue = IngestionQueue(pool, jobs)
            async with open_blobs(Settings(docent_home=self.home), pool) as blobs:
                intake = Intake(pool, blobs, queue.defer, max_bytes=2**20)
                taken = take_in(pool, intake, tenant, [path])
                received = [item async for batch in taken for item in batch]
        assert received[0].document_id is not None
        return received[0].document_id

    def until_ingested(self, document_id: str, timeout_s: float = PATIENCE_S) -> float:
        return until(
            lambda: self.get(f"/api/v1/docs/{document_id}").json().get("status") == "ready",
            timeout_s,
            "the document is ready",
        )

    def check_intact(self) -> None:
        """The oracle: same answer and key, one live version per document, nothing stuck."""
        body = self.ask().json()
        assert body["status"] == "complete", body
        assert ANSWER in body["answer"]
        assert body["citations"][0]["page"] == 1
        assert (
            self.rows(
                "SELECT d.id FROM documents d WHERE d.current_version IS DISTINCT FROM"
                " (SELECT max(number) FROM document_versions v WHERE v.document_id = d.id)"
            )
            == []
        )
        assert self.rows("SELECT 1 FROM document_versions WHERE status <> 'ready'") == []
        assert (
            self.rows(  # the same place of a page twice would be a second live version
                "SELECT document_id, page, start_offset FROM chunks WHERE live"
                " GROUP BY document_id, page, start_offset HAVING count(*) > 1"
            )
            == []
        )

    def clean_up(self) -> None:
        for program in self.programs:
            program.kill()
        for process in self.processes():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        remove_home(self.home)


class Ended:
    """How a program ended."""

    def __init__(self, code: int, lines: list[str]) -> None:
        self.code = code
        self.lines = lines
        self.text = "\n".join(lines)

    def check_one_sentence(self, *expected: str) -> None:
        """It failed, and said why in one line that is no traceback."""
        assert self.code not in (0, None), self.text
        assert "Traceback" not in self.text, self.text
        told = [line for line in self.lines if all(part in line for part in expected)]
        assert len(told) == 1, self.text
        assert told[0].endswith(".")


class Program:
    """A real process, its output read line by line as it comes."""

    def __init__(self, command: list[str], environment: dict[str, str], **options: Any) -> None:
        self.lines: list[str] = []
        self._more = threading.Condition()
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            **options,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as pipe:
            for line in pipe:
                with self._more:
                    self.lines.append(line.rstrip("\n"))
                    self._more.notify_all()
        with self._more:
            self._more.notify_all()

    def until_line(self, part: str, timeout_s: float = PATIENCE_S) -> str:
        """The first line that holds ``part``."""

        def found() -> str | None:
            return next((line for line in self.lines if part in line), None)

        with self._more:
            self._more.wait_for(lambda: found() or not self._reader.is_alive(), timeout_s)
            line = found()
        assert line is not None, f"no line with {part!r} in:\n" + "\n".join(self.lines)
        return line

    def ended(self, timeout_s: float = PATIENCE_S) -> Ended:
        """Wait for its end."""
        code = self.process.wait(timeout_s)
        self._reader.join(5)
        return Ended(code, self.lines)

    def stop(self, number: signal.Signals = signal.SIGINT, timeout_s: float = 60) -> Ended:
        """Ask it to stop, as Ctrl-C does."""
        self.process.send_signal(number)
        return self.ended(timeout_s)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def until(condition: Callable[[], object], timeout_s: float, what: str) -> float:
    """Look again and again until ``condition`` holds; the seconds it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_s, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - started


def free_port() -> int:
    """One of those that the kernel gives to no outgoing connection before it is listened on."""
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def kill(*pids: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Signal all at once; after SIGKILL, wait until they are gone."""
    for pid in pids:
        os.kill(pid, number)
    if number is signal.SIGKILL:
        until(lambda: not any(alive(pid) for pid in pids), 60, "the killed are gone")


def alive(pid: int) -> bool:
    try:
        return runs(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """SIGSTOP a server and its children, and wake them again."""
    server = psutil.Process(pid)
    stopped = [server, *server.children(recursive=True)]
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            if process.is_running():
                process.resume()


@contextmanager
def copy_of_docent(**settings: object) -> Iterator[Docent]:
    """A copy of the prepared home, not started; whatever runs on it is ended with the block."""
    template = _template()
    home = Path(tempfile.mkdtemp(prefix="docent-copy-")) / "home"
    subprocess.run(["cp", "-a", str(template), str(home)], check=True)
    docent = Docent(home, **settings)
    try:
        yield docent
    finally:
        docent.clean_up()
        shutil.rmtree(home.parent, ignore_errors=True)


def write_paper(path: Path, pages: list[list[str]] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_pdf(pages or PAPER))
    return path


def _template() -> Path:
    """The prepared home; the session's other test processes wait for the one that makes it."""
    shared = Path(os.environ[HOME_VARIABLE])
    template = shared / "template"
    with alone(shared / "template.lock", Account(os.geteuid(), os.getegid()), 180):
        if not template.exists():
            new = Docent(shared / "template.new")
            new.home.mkdir(mode=0o711)
            try:
                start(new.home)
                assert new.command("scripts.prepare").code == 0
                write_paper(shared / "papers" / "beacon.pdf")
                done = new.command("scripts.ingest", str(shared / "papers"))
                assert done.code == 0, done.text
            finally:
                for process in new.programs:
                    process.kill()
                stop(new.home)
            new.home.rename(template)
    return template


def key_in(text: str) -> str:
    """The API key somewhere in ``text``."""
    found = re.search(r"dk_[\w-]{43}", text)
    assert found is not None, text
    return found.group()
