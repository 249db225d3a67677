"""What every test may use: one pair of real servers per test session, one database per module.

The servers live in a throw-away home that all xdist workers share; the controller (or the only
process) makes it before and removes it after. A home whose test session was killed is removed by
the next session.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]
import psycopg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from app.infra.embedded.servers import ServerUrls, embedded_servers, stop, urls_for

# Machines that run tests are loaded; how long one example takes says nothing there.
hypothesis_settings.register_profile(
    "docent", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("docent")

HOME_VARIABLE = "DOCENT_TEST_HOME"
HOME_PREFIX = "docent-tests-"


@dataclass(frozen=True)
class FreshDatabase:
    """An empty database of its own, dropped with everybody still connected to it."""

    database_url: str
    redis_url: str


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return  # an xdist worker: the controller's home comes with the environment
    _sweep()
    home = Path(tempfile.mkdtemp(prefix=f"{HOME_PREFIX}{os.getpid()}-"))
    os.environ[HOME_VARIABLE] = str(home)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and (home := os.environ.pop(HOME_VARIABLE, None)):
        remove_home(Path(home))


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
