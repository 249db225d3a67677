"""What every start does once the servers answer: schema, development key, samples."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from app.auth.keys import ensure_dev_key, secret_of
from app.errors import AppError, ConfigurationError
from app.infra.migrations import migrate
from app.infra.postgres import translated
from app.infra.servers import owner_url, servers
from app.settings import Settings, load_settings
from scripts.archives.database import has_schema

ROOT = Path(__file__).resolve().parents[1]
#: The tenant of the development key and of `make ingest` when it names none.
TENANT = "default"


def prepare(settings: Settings, *, with_samples: bool) -> int:
    """Prepare; the exit code. Nothing is written when there is nothing to do."""
    url = owner_url(settings)
    _migrate(settings)
    if settings.database_url is None:
        ensure_dev_key(url, secret_of(settings), settings.docent_home, tenant=TENANT)
    if with_samples and _is_empty(url):
        command = [sys.executable, "-m", "scripts.ingest", "docs/samples", "--tenant", TENANT]
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    return 0


@contextmanager
def prepared_servers(settings: Settings) -> Iterator[None]:
    """The servers, with a schema: what puts something in may be the first that a home ever sees.

    A schema that is there stays as it is: bringing it up to date is for a start, or `make migrate`.

    Raises:
        AppError: a server cannot be started or reached, or the database refuses its schema.
    """
    with servers(settings):
        if not _has_schema(settings):
            _migrate(settings)
        yield


@contextmanager
def known_servers(settings: Settings) -> Iterator[None]:
    """The servers, for commands that only look or take away: nothing is made in a wrong database.

    Raises:
        AppError: a server cannot be started or reached, or the database holds no Docent.
    """
    with servers(settings):
        if not _has_schema(settings):
            raise ConfigurationError("There is no Docent in this database yet.")
        yield


def _has_schema(settings: Settings) -> bool:
    with translated(), psycopg.connect(owner_url(settings), connect_timeout=5) as connection:
        return has_schema(connection)


def _migrate(settings: Settings) -> None:
    migrate(
        owner_url(settings),
        embedding_model=settings.embedding_model,
        embedding_dimension=settings.embedding_dimension,
    )


def _is_empty(url: str) -> bool:
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute("SELECT EXISTS (SELECT FROM documents)").fetchone()
    return row is not None and not row[0]


def main(arguments: list[str]) -> int:
    """Prepare; the exit code."""
    try:
        settings = load_settings()
        with servers(settings):
            return prepare(settings, with_samples="--samples" in arguments)
    except AppError as error:
        sys.stderr.write(f"docent: {error.detail}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
