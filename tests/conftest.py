"""What every test may use: one pair of real servers per test session, one database per module.

The servers live in a throw-away home that all xdist workers share; the controller (or the only
process) makes it before and removes it after. A home whose test session was killed is removed by
the next session.
"""

import fcntl
import gc
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import certifi
import psutil  # type: ignore[import-untyped,unused-ignore]
import psycopg
import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from app.infra.collector import settle
from app.infra.embedded.servers import ServerUrls, embedded_servers, stop, urls_for
from app.infra.migrations import migrate
from app.settings import Settings
from tests import forks

# Machines that run tests are loaded; how long one example takes says nothing there. All try the
# same examples, so that a change is judged by what it changes; `make test-explore` tries others.
hypothesis_settings.register_profile(
    "docent", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.register_profile(
    "explore", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("docent")

# The default draws tracebacks with every local variable, which takes seconds.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(),
    ]
)

ROOT = Path(__file__).parents[1]
#: Keys the hashes of API keys in every test.
SECRET = "a secret of the tests, long enough"
#: Files of few tests that take minutes.
LONGEST = {"test_jobs.py", "test_budget_machine.py"}
HOME_VARIABLE = "DOCENT_TEST_HOME"
HOME_PREFIX = "docent-tests-"
FAILED = pytest.StashKey[bool]()


@dataclass(frozen=True)
class FreshDatabase:
    """An empty database of its own, dropped with everybody still connected to it."""

    database_url: str
    redis_url: str


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # nothing of what is imported and collected is garbage
    if hasattr(config, "workerinput"):
        return  # an xdist worker: the controller's home comes with the environment
    _sweep()
    home = Path(tempfile.mkdtemp(prefix=f"{HOME_PREFIX}{os.getpid()}-"))
    os.environ[HOME_VARIABLE] = str(home)
    # Nothing here speaks TLS, and each of thousands of httpx clients reads every certificate there
    # is: 50 ms of CPU. One is enough; there are clients that refuse to have none.
    first, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    (home / "certificate.pem").write_text(first + end)
    os.environ["SSL_CERT_FILE"] = str(home / "certificate.pem")
    os.environ.pop("SSL_CERT_DIR", None)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and (home := os.environ.pop(HOME_VARIABLE, None)):
        remove_home(Path(home))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files with the longest tests begin first, or one of them ends the suite alone.

    Unit tests race with nobody: there is no second try for them.
    """
    items.sort(key=lambda item: item.path.name not in LONGEST)
    for item in items:
        if item.path.is_relative_to(ROOT / "tests" / "unit"):
            item.add_marker(pytest.mark.flaky(reruns=0))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Look for garbage from now on, as the API does: among what comes later."""
    settle()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether this try of a test failed."""
    report = yield
    before = report.when != "setup" and item.stash.get(FAILED, False)
    item.stash[FAILED] = before or report.failed
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Take down what a failed test shares with its file: a second try has servers of its own."""
    if item.stash.get(FAILED, False) and item.config.getoption("reruns", None):
        item.session._setupstate.teardown_exact(item.session)  # type: ignore[arg-type]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show why a test needed a second try."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"first try of {report.nodeid}", sep="-")
        terminalreporter.write_line(report.longreprtext)


@pytest.fixture(scope="session")
def server_home() -> Path:
    """The home of this session's servers."""
    return Path(os.environ[HOME_VARIABLE])


@pytest.fixture(scope="session")
def servers(server_home: Path) -> Iterator[ServerUrls]:
    """PostgreSQL with pgvector and Redis, shared by the whole session: use ``fresh_database``."""
    with embedded_servers(server_home) as urls:
        yield urls


@pytest.fixture(scope="module")
def fresh_database(servers: ServerUrls) -> Iterator[FreshDatabase]:
    """An empty database for this test module (Redis is shared: prefix keys with something own)."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        yield FreshDatabase(
            database_url=servers.database_url.replace("/docent?", f"/{name}?"),
            redis_url=servers.redis_url,
        )
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def schema_template(servers: ServerUrls, server_home: Path) -> str:
    """The name of a database with our schema and nothing in it; copying it takes a moment."""
    return _template(servers, server_home, "template_schema", "template0", _migrate)


@pytest.fixture(scope="session")
def samples_template(servers: ServerUrls, server_home: Path, schema_template: str) -> str:
    """The name of a database that holds ``docs/samples``, ingested once a session."""
    return _template(servers, server_home, "template_samples", schema_template, _ingest_samples)


@pytest.fixture(autouse=True)
def logging_stays() -> Iterator[None]:
    """An operator's program that a test runs in this process sets its own logging up."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="module")
def database(servers: ServerUrls, schema_template: str) -> Iterator[FreshDatabase]:
    """A database with our schema, for this test module alone."""
    with _copied(servers, schema_template) as copy:
        yield copy


@pytest.fixture(scope="session")
def samples_ingested(servers: ServerUrls, samples_template: str) -> Iterator[FreshDatabase]:
    """A database that holds the samples for the tenant ``default``; one for each xdist worker."""
    with _copied(servers, samples_template) as copy:
        yield copy


@pytest.fixture(scope="module")
def samples(servers: ServerUrls, samples_template: str) -> Iterator[FreshDatabase]:
    """The same for this test module alone, to be changed: others count what is there."""
    with _copied(servers, samples_template) as copy:
        yield copy


@contextmanager
def _copied(servers: ServerUrls, template: str) -> Iterator[FreshDatabase]:
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield FreshDatabase(_url_of(servers, name), servers.redis_url)
    finally:
        with psycopg.connect(servers.database_url, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _template(
    servers: ServerUrls, home: Path, name: str, base: str, fill: Callable[[FreshDatabase], None]
) -> str:
    """Make a template database once for all xdist workers; it gets its name when it is filled."""
    with (
        (home / f"{name}.lock").open("w") as lock,
        psycopg.connect(servers.database_url, autocommit=True) as admin,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = admin.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if known is None:
            draft = f"draft_{uuid.uuid4().hex}"
            admin.execute(f'CREATE DATABASE "{draft}" TEMPLATE "{base}"')
            fill(FreshDatabase(_url_of(servers, draft), servers.redis_url))
            admin.execute(f'ALTER DATABASE "{draft}" RENAME TO "{name}"')
    return name


def _url_of(servers: ServerUrls, database: str) -> str:
    return servers.database_url.replace("/docent?", f"/{database}?")


def _migrate(database: FreshDatabase) -> None:
    migrate(database.database_url, embedding_model="all-MiniLM-L6-v2", embedding_dimension=384)


def _ingest_samples(database: FreshDatabase) -> None:
    with tempfile.TemporaryDirectory() as home:
        env = environment(database, Path(home))
        forks.run("scripts.ingest", "docs/samples", env=env).check_returncode()


def environment(database: FreshDatabase, home: Path, **more: str) -> dict[str, str]:
    """What a process of ours is started with, to work on ``database``."""
    ours = {name.upper() for name in Settings.model_fields}
    return {
        **{name: value for name, value in os.environ.items() if name not in ours},
        "DATABASE_URL": database.database_url,
        "REDIS_URL": database.redis_url,
        "DOCENT_HOME": str(home),
        "SECRET_KEY": SECRET,
        "DATABASE_POOL_SIZE": "4",
        # What is asked twice is answered twice, unless a test is about that.
        "ANSWER_CACHE_TTL_S": "0",
        "LOGIN_FAILURES_PER_MINUTE_PER_IP": "100000",  # all tests have one address
        **more,
    }


def remove_home(home: Path) -> None:
    """Stop the servers of a throw-away home and remove everything of it."""
    stop(home)
    shutil.rmtree(home, ignore_errors=True)
    sockets = urls_for(home).redis_url.removeprefix("unix://")
    shutil.rmtree(Path(sockets).parent, ignore_errors=True)


def _sweep() -> None:
    for home in Path(tempfile.gettempdir()).glob(f"{HOME_PREFIX}*-*"):
        pid = home.name.removeprefix(HOME_PREFIX).partition("-")[0]
        if home.stat().st_uid == os.geteuid() and not psutil.pid_exists(int(pid)):
            remove_home(home)
