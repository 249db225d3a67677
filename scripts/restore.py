"""`make restore`: put what an archive holds where the settings say (docs/operations/backup.md).

    python -m scripts.restore FILE [--force]

Everything is checked before anything is written. ``--force`` replaces what is there.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from app.errors import AppError
from app.infra.blob_stores.blob import checksum_of
from app.infra.blobs import open_blobs
from app.infra.migrations import MIGRATIONS, migrate
from app.infra.postgres import open_pool, translated
from app.infra.servers import owner_url, servers, urls_of
from app.settings import Settings, load_settings
from scripts.archives.archive import Archive, ArchiveRefused, Facts, open_archive
from scripts.archives.database import OLDEST, has_schema, load
from scripts.archives.memory import write_memory
from scripts.backup import BLOBS, DATABASE, KEY_FILES, KEYS, MEMORY, fingerprint
from scripts.purge import purge_quotes, remove_blob
from scripts.verify_corpus import verify

_IN_USE = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""


def restore(settings: Settings, archive: Archive, *, force: bool) -> int:
    """Put everything in its place; the exit code of the check of the corpus that ends it.

    Raises:
        AppError: something does not fit, and nothing was changed; or a server went away half-way,
            and the same restore, forced, begins again.
    """
    replace = check(settings, archive, force=force)
    with tempfile.TemporaryDirectory(prefix="docent-restore-") as folder:
        copied = Path(folder, DATABASE)
        archive.copy(DATABASE, copied)
        load(owner_url(settings), copied, Path(folder), replace=replace)
    write_memory(urls_of(settings).redis_url, archive.read(MEMORY))
    _write_keys(settings, archive)
    migrate(
        owner_url(settings),
        embedding_model=settings.embedding_model,
        embedding_dimension=settings.embedding_dimension,
    )
    asyncio.run(_write_blobs(settings, archive))
    # Between the moments of Redis and of the database a document may have been deleted.
    asyncio.run(purge_quotes(settings, None, really=True))
    return asyncio.run(verify(settings, None))


def check(settings: Settings, archive: Archive, *, force: bool) -> bool:
    """Whether something is there that the archive is to take the place of.

    Raises:
        ArchiveRefused: the archive does not fit here, or something is there and ``force`` is not.
    """
    facts = archive.facts
    if not {DATABASE, MEMORY} <= set(archive.names) or not all(map(_expected, archive.names)):
        raise ArchiveRefused("The archive does not hold what a backup does.")
    _check_schema(facts)
    _check_secret(settings, archive)
    if (facts.embedding_model, facts.embedding_dimension) != (
        settings.embedding_model,
        settings.embedding_dimension,
    ):
        raise ArchiveRefused(
            f"The archive's vectors are of {facts.embedding_model} ({facts.embedding_dimension} "
            "dimensions): set EMBEDDING_MODEL and EMBEDDING_DIMENSION to that."
        )
    used = _check_database(owner_url(settings), facts)
    home = settings.docent_home
    used = used or (home / "secret.key").exists() or any((home / "blobs").glob("[!.]*"))
    if used and not force:
        raise ArchiveRefused(
            f"There is a Docent here already (DOCENT_HOME {home}): FORCE=1 replaces it, "
            "documents, keys and conversations."
        )
    return used


def _check_schema(facts: Facts) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    try:
        ScriptDirectory.from_config(config).get_revision(facts.schema_revision)
    except CommandError as error:
        raise ArchiveRefused(
            f"A newer Docent made the archive (schema {facts.schema_revision}): restore it with "
            "that version."
        ) from error


def _check_secret(settings: Settings, archive: Archive) -> None:
    kept = f"{KEYS}/{KEY_FILES[0]}"
    if settings.secret_key is not None:
        secret = settings.secret_key.get_secret_value().encode()
    elif kept in archive.names:
        secret = archive.read(kept).strip()
    else:
        raise ArchiveRefused("The archive comes from a Docent with a SECRET_KEY: set the same.")
    if fingerprint(secret) != archive.facts.secret_fingerprint:
        raise ArchiveRefused("SECRET_KEY is not the one of the archive, whose API keys need it.")


def _check_database(url: str, facts: Facts) -> bool:
    """Whether the database has a Docent in it; nobody may be using it."""
    with translated(), psycopg.connect(url, connect_timeout=10) as connection:
        major = connection.info.server_version // 10_000
        if major < max(OLDEST, facts.postgres):
            raise ArchiveRefused(
                f"The archive needs PostgreSQL {max(OLDEST, facts.postgres)} or newer; "
                f"this is PostgreSQL {major}."
            )
        [[others]] = connection.execute(_IN_USE).fetchall()
        if others:
            raise ArchiveRefused(
                f"The database is in use ({others} connections): stop every API and worker first."
            )
        return has_schema(connection)


def _expected(name: str) -> bool:
    known = {DATABASE, MEMORY, *(f"{KEYS}/{key}" for key in KEY_FILES)}
    return name in known or _blob_of(name) is not None


def _blob_of(name: str) -> tuple[str, bytes] | None:
    """The tenant and the checksum of a blob's member; None when it is something else."""
    folder, _, path = name.partition("/")
    tenant_id = path.partition("/")[0]
    try:
        sha256 = checksum_of(tenant_id, path) if folder == BLOBS else None
    except ValueError:
        return None
    return None if sha256 is None else (tenant_id, sha256)


def _blobs_of(archive: Archive) -> Iterator[tuple[str, tuple[str, bytes]]]:
    for name in archive.names:
        if (blob := _blob_of(name)) is not None:
            yield name, blob


async def _write_blobs(settings: Settings, archive: Archive) -> None:
    """Write the archive's bytes, and remove what its tenants have beyond them."""
    wanted = {blob: name for name, blob in _blobs_of(archive)}
    async with (
        open_pool(urls_of(settings).database_url, size=1, timeout_s=30) as pool,
        open_blobs(settings, pool) as blobs,
    ):
        for (tenant_id, sha256), name in wanted.items():
            await blobs.put(tenant_id, sha256, archive.read(name))
        for tenant_id in {tenant_id for tenant_id, _ in wanted}:
            async for blob in blobs.list(tenant_id):
                if (tenant_id, blob.sha256) not in wanted:
                    await remove_blob(settings, blobs, blob)


def _write_keys(settings: Settings, archive: Archive) -> None:
    home = settings.docent_home
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in KEY_FILES:
        if f"{KEYS}/{name}" in archive.names:
            draft = home / f"{name}.restored"
            draft.touch(mode=0o600)
            draft.write_bytes(archive.read(f"{KEYS}/{name}"))
            draft.replace(home / name)


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--force", action="store_true", help="replace what is there")
    options = parser.parse_args()
    try:
        settings = load_settings()
        with open_archive(options.file) as archive, servers(settings):
            made_at = archive.facts.made_at
            code = restore(settings, archive, force=options.force)
    except AppError as error:
        print(f"docent: {error.detail}", file=sys.stderr)
        return 2
    print(f"restored as of {made_at:%Y-%m-%d %H:%M:%S} UTC")
    return code


if __name__ == "__main__":
    sys.exit(main())
