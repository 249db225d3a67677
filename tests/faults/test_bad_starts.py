"""What can be wrong at a start: every program says it in one sentence and fails, without traceback.

Programs that fail before they use anything are run in this process (their ``main`` is what
``python -m`` runs), because importing them again and again would take minutes.
"""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import structlog

from app import worker
from app.infra.embedded.account import Account, as_account
from app.infra.embedded.servers import embedded_servers
from scripts import create_key, ingest, migrate, prepare, run, serve
from scripts.launcher import launch
from tests.faults.running import Docent, Ended, Program, copy_of_docent

KEY = ["--tenant", "acme", "--name", "first"]
#: ``python -m`` → its main, as called by the Makefile.
PROGRAMS: dict[str, Callable[[], int]] = {
    "scripts.serve": serve.main,
    "scripts.ingest": lambda: ingest.main(["docs/samples"]),
    "scripts.create_key": lambda: create_key.main(KEY),
    "scripts.prepare": lambda: prepare.main(["--samples"]),
    "scripts.migrate": lambda: migrate.main([]),
    "app.worker": worker.main,
}
#: A port where nobody listens: connecting is refused at once.
NOBODY = "postgresql://nobody@127.0.0.1:1/docent"


@pytest.fixture(scope="module")
def copy() -> Iterator[Docent]:
    with copy_of_docent() as docent:
        yield docent


@pytest.fixture
def fails(
    copy: Docent, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Ended]]:
    """Run a program's main in this process with some settings changed."""

    root, stop = logging.getLogger(), signal.getsignal(signal.SIGTERM)
    handlers, level = root.handlers[:], root.level

    def run_main(main: Callable[[], int], **settings: str) -> Ended:
        for name, value in (copy.environment | settings).items():
            monkeypatch.setenv(name, value)
        code = main()
        out, err = capfd.readouterr()
        return Ended(code, (out + err).splitlines())

    yield run_main
    root.handlers[:] = handlers
    root.setLevel(level)
    signal.signal(signal.SIGTERM, stop)
    structlog.reset_defaults()


@pytest.mark.parametrize("name", PROGRAMS)
def test_settings_that_are_not_valid(fails: Callable[..., Ended], name: str) -> None:
    ended = fails(PROGRAMS[name], PORT="abc", PROVIDER_ORDER="nonsense")
    ended.check_one_sentence("The configuration is not valid", "PORT:", "PROVIDER_ORDER")
    assert "abc" not in ended.text


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_database_that_cannot_be_reached(fails: Callable[..., Ended], name: str) -> None:
    ended = fails(
        PROGRAMS[name], DATABASE_URL=NOBODY, REDIS_URL="redis://127.0.0.1:1", DATABASE_TIMEOUT_S="1"
    )
    ended.check_one_sentence("database")


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "app.worker"])
def test_a_home_that_cannot_be_written_to(fails: Callable[..., Ended], name: str) -> None:
    fails(PROGRAMS[name], DOCENT_HOME="/dev/null/docent").check_one_sentence("/dev/null")


@pytest.mark.parametrize("name", ["scripts.serve", "scripts.ingest", "scripts.prepare"])
def test_data_of_another_postgresql(fails: Callable[..., Ended], tmp_path: Path, name: str) -> None:
    (tmp_path / "postgres18").mkdir()
    (tmp_path / "postgres18" / "PG_VERSION").write_text("16\n")
    ended = fails(PROGRAMS[name], DOCENT_HOME=str(tmp_path))
    ended.check_one_sentence("PostgreSQL 16", "PostgreSQL 18", "DOCENT_HOME")


def test_the_launcher_says_each_of_these(copy: Docent, tmp_path: Path) -> None:
    """As real processes, all at once."""
    (tmp_path / "postgres18").mkdir()
    (tmp_path / "postgres18" / "PG_VERSION").write_text("16\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        started = {
            ("taken", f"Port {port}", "set PORT"): {"PORT": port},
            ("taken", f"Port {port}", "set DEMO_PORT"): {"DEMO_PORT": port},
            ("PORT and DEMO_PORT",): {"DEMO_PORT": str(copy.port)},
            ("not valid", "PORT:", "PROVIDER_ORDER"): {"PORT": "abc", "PROVIDER_ORDER": "nonsense"},
            ("/dev/null",): {"DOCENT_HOME": "/dev/null/docent"},
            ("PostgreSQL 16", "PostgreSQL 18"): {"DOCENT_HOME": str(tmp_path)},
            ("schema, key and samples", "database"): {
                "DOCENT_HOME": str(tmp_path / "unreachable"),
                "DATABASE_URL": NOBODY,
                "REDIS_URL": "redis://127.0.0.1:1",
            },
        }
        for expected, settings in started.items():
            flags = [] if "DEMO_PORT" in settings else ["--no-demo"]
            copy.program("scripts.run", *flags, **settings).ended().check_one_sentence(*expected)
    assert copy.processes() == []


def test_a_second_launcher_on_the_same_home_is_refused(copy: Docent) -> None:
    first = copy.run("--no-demo", ready=False)
    first.until_line("starting postgres")
    copy.program("scripts.run").ended().check_one_sentence("already runs", str(first.pid))
    first.kill()


def test_an_index_of_another_model(copy: Docent, fails: Callable[..., Ended]) -> None:
    """Found by everything that would search or write; the API worker's sentence comes through."""
    with embedded_servers(copy.home) as urls:
        with psycopg.connect(urls.database_url) as owner:
            owner.execute("UPDATE index_info SET embedding_model = 'another'")
        for name in ("scripts.ingest", "app.worker"):
            fails(PROGRAMS[name]).check_one_sentence("The index holds vectors of another")
        for command in (["scripts.serve"], ["scripts.run", "--no-demo"]):
            ended = copy.command(*command)
            assert ended.code not in (0, None)
            assert "Traceback" not in ended.text, ended.text
            said = [line for line in ended.lines if "docent: The index holds vectors of" in line]
            assert len(said) == 1, ended.text
        assert "The API ended with exit code 3: The index holds" in ended.lines[-1]
        with psycopg.connect(urls.database_url) as owner:
            owner.execute("UPDATE index_info SET embedding_model = 'all-MiniLM-L6-v2'")


def test_a_home_of_somebody_else(copy: Docent, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    account = Account(65534, 65534) if os.geteuid() == 0 else Account(os.geteuid(), os.getegid())
    needs = [Path(sys.executable), Path(os.__file__), Path(run.__file__), Path(launch.__file__)]
    command, options = as_account(
        account, [sys.executable, "-m", "scripts.run", "--no-demo"], needs
    )
    program = Program(command, copy.environment | {"DOCENT_HOME": str(closed)}, **options)
    program.ended().check_one_sentence("cannot write", str(closed))
