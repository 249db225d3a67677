"""The bytes of uploaded files, by tenant and SHA-256: in a folder, S3 or PostgreSQL (ADR 0006)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.errors import ConfigurationError
from app.infra.blob_stores.blob import (
    BlobDamaged,
    BlobInfo,
    BlobMissing,
    BlobStore,
    BlobsUnavailable,
    StorageFull,
)
from app.infra.blob_stores.bucket import S3Blobs, bucket_of
from app.infra.blob_stores.folder import FolderBlobs
from app.infra.blob_stores.table import PostgresBlobs
from app.infra.postgres import Pool
from app.settings import Settings

__all__ = [
    "BlobDamaged",
    "BlobInfo",
    "BlobMissing",
    "BlobStore",
    "BlobsUnavailable",
    "FolderBlobs",
    "PostgresBlobs",
    "S3Blobs",
    "StorageFull",
    "open_blobs",
]


@asynccontextmanager
async def open_blobs(settings: Settings, pool: Pool) -> AsyncIterator[BlobStore]:
    """The store that the settings name; by default a folder beside the embedded database.

    A bucket is not asked for anything yet: the service starts while its store is away.

    Raises:
        ConfigurationError: the URL is not one of a store, or the folder cannot be written to.
    """
    url = settings.blob_store_url
    if url is None and settings.database_url is not None:
        yield PostgresBlobs(pool)
        return
    try:
        parts = urlsplit(url or (settings.docent_home / "blobs").as_uri())
    except ValueError as error:
        raise ConfigurationError("BLOB_STORE_URL is not a URL.") from error
    place = unquote(parts.path)
    plain = not parts.query and not parts.fragment and "\0" not in place
    if plain and parts.scheme == "s3" and parts.netloc:
        yield S3Blobs(bucket_of(settings, parts.netloc, place.strip("/")))
    elif plain and parts.scheme == "file" and not parts.netloc and place.startswith("/"):
        yield await _folder(Path(place))
    else:
        raise ConfigurationError("BLOB_STORE_URL must be file:///folder or s3://bucket/prefix.")


async def _folder(root: Path) -> FolderBlobs:
    blobs = FolderBlobs(root)
    try:
        await asyncio.to_thread(blobs.prepare)
    except OSError as error:
        raise ConfigurationError(
            f"BLOB_STORE_URL: the folder cannot be used ({error.strerror})."
        ) from error
    return blobs
