"""What every start does once the servers answer: schema, development key, samples."""

import subprocess
import sys
from pathlib import Path

import psycopg

from app.auth.keys import ensure_dev_key, secret_of
from app.errors import AppError
from app.infra.migrations import migrate
from app.infra.servers import owner_url, servers
from app.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[1]
#: The tenant of the development key and of `make ingest` when it names none.
TENANT = "default"


def prepare(settings: Settings, *, with_samples: bool) -> int:
    """Prepare; the exit code. Nothing is written when there is nothing to do."""
    url = owner_url(settings)
    migrate(
        url,
        embedding_model=settings.embedding_model,
        embedding_dimension=settings.embedding_dimension,
    )
    if settings.database_url is None:
        ensure_dev_key(url, secret_of(settings), settings.docent_home, tenant=TENANT)
    if with_samples and _is_empty(url):
        command = [sys.executable, "-m", "scripts.ingest", "docs/samples", "--tenant", TENANT]
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    return 0


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
