"""`make backup`: everything of one Docent in one file, while it serves (docs/operations/backup.md).

    python -m scripts.backup [FILE]

Redis is read first and the bytes of files last, because conversations cite documents, and
documents need bytes, that were there before them.
"""

import argparse
import asyncio
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from app.auth.derived_keys import derived_key
from app.auth.keys import secret_of
from app.errors import AppError
from app.infra.blob_stores.blob import blob_path
from app.infra.blobs import BlobDamaged, BlobMissing, open_blobs
from app.infra.postgres import open_pool
from app.infra.servers import owner_url, servers, urls_of
from app.settings import Settings, load_settings
from scripts.archives.archive import ArchiveRefused, Draft, Facts, writing
from scripts.archives.database import Snapshot, dump, snapshot
from scripts.archives.memory import read_memory

DATABASE, MEMORY, BLOBS, KEYS = "database.dump", "memory.jsonl", "blobs", "keys"
#: Of DOCENT_HOME; without the first, no API key of the archive would open anything.
KEY_FILES = ("secret.key", "dev.key")


def fingerprint(secret: bytes) -> str:
    """By which secrets are told apart, and which tells nothing of them."""
    return derived_key(secret, "fingerprint")[:8].hex()


def back_up(settings: Settings, path: Path) -> int:
    """Write the archive; how many uploaded files are in it.

    Raises:
        AppError: it cannot be made; nothing is left behind then.
    """
    with writing(path) as draft:
        draft.add(MEMORY, read_memory(urls_of(settings).redis_url))
        with (
            snapshot(owner_url(settings)) as moment,
            tempfile.TemporaryDirectory(dir=path.parent, prefix=".docent-") as folder,
        ):
            target = Path(folder, DATABASE)
            dump(owner_url(settings), moment, target)
            draft.add_file(DATABASE, target)
        asyncio.run(_add_blobs(settings, draft, moment))
        _add_keys(settings, draft)
        draft.finish(
            Facts(
                made_at=datetime.now(UTC),
                schema_revision=moment.schema_revision,
                postgres=moment.postgres,
                embedding_model=moment.embedding_model,
                embedding_dimension=moment.embedding_dimension,
                secret_fingerprint=fingerprint(secret_of(settings)),
            )
        )
    return len(moment.blobs)


async def _add_blobs(settings: Settings, draft: Draft, moment: Snapshot) -> None:
    async with (
        open_pool(urls_of(settings).database_url, size=1, timeout_s=30) as pool,
        open_blobs(settings, pool) as blobs,
    ):
        for tenant_id, sha256 in moment.blobs:
            try:
                content = await blobs.get(tenant_id, sha256)
            except (BlobMissing, BlobDamaged) as error:
                raise ArchiveRefused(
                    f"The bytes {sha256.hex()} of tenant {tenant_id} are missing or damaged; "
                    "upload that file again or delete and purge its document, then back up again."
                ) from error
            draft.add(f"{BLOBS}/{blob_path(tenant_id, sha256)}", content)


def _add_keys(settings: Settings, draft: Draft) -> None:
    """Add the keys that lie in the home; one that is configured stays where it is kept."""
    for name in KEY_FILES:
        path = settings.docent_home / name
        wanted = name != "secret.key" or settings.secret_key is None
        if wanted and path.is_file():
            draft.add(f"{KEYS}/{name}", path.read_bytes())


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    named = f"backups/docent-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar"
    parser.add_argument("file", nargs="?", type=Path, default=Path(named))
    path = parser.parse_args().file.absolute()
    try:
        settings = load_settings()
        with servers(settings):
            count = back_up(settings, path)
    except AppError as error:
        print(f"docent: {error.detail}", file=sys.stderr)
        return 1
    print(f"{path}: {path.stat().st_size} bytes, {count} uploaded files. It holds secrets.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
