"""Blobs as objects of a bucket, in AWS or any store that speaks S3."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from app.errors import ConfigurationError
from app.infra.blob_stores.blob import (
    DEADLINE_S,
    BlobInfo,
    BlobMissing,
    blob_path,
    checked,
    checksum_of,
    tenant_folder,
    within_deadline,
)
from app.settings import Settings

if TYPE_CHECKING:  # what obstore has for type checkers only
    from obstore.store import S3Config, S3Credential

#: Amazon's rule, without the names it reserves.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
CONNECT_TIMEOUT_S = 2.0
RETRIES = 2


class S3Blobs:
    """A bucket; it is not asked for anything before the first blob is."""

    def __init__(self, bucket: S3Store) -> None:
        self._bucket = bucket

    async def put(self, tenant_id: str, sha256: bytes, content: bytes) -> None:
        # Always written, also over what is there: the same request heals a damaged object.
        path = blob_path(tenant_id, sha256)
        async with within_deadline(BaseError):
            await obstore.put_async(self._bucket, path, content, use_multipart=False)

    async def get(self, tenant_id: str, sha256: bytes) -> bytes:
        path = blob_path(tenant_id, sha256)
        async with within_deadline(BaseError):
            try:
                found = await obstore.get_async(self._bucket, path)
            except FileNotFoundError as error:
                await self._require_bucket(path)
                raise BlobMissing from error
            content = await found.bytes_async()
            return await asyncio.to_thread(lambda: checked(bytes(content), sha256))

    async def delete(self, tenant_id: str, sha256: bytes) -> None:
        """Remove the bytes for good; nothing happens when they are not there."""
        path = blob_path(tenant_id, sha256)
        async with within_deadline(BaseError):
            await obstore.delete_async(self._bucket, path)

    async def list(self, tenant_id: str) -> AsyncIterator[BlobInfo]:
        pages = obstore.list(self._bucket, prefix=tenant_folder(tenant_id))
        while True:
            async with within_deadline(BaseError):
                page = await anext(pages, None)
            if page is None:
                return
            for found in page:
                sha256 = checksum_of(tenant_id, found["path"])
                if sha256 is not None:
                    yield BlobInfo(tenant_id, sha256, found["size"], found["last_modified"])

    async def _require_bucket(self, path: str) -> None:
        """Raise BaseError, which is "unavailable", when the bucket itself is not there.

        Getting an object of a bucket that is not there fails like getting one that is missing; only
        listing tells them apart. Nothing lies below a blob's path, so the list is empty.
        """
        await anext(obstore.list(self._bucket, prefix=path), None)


def bucket_of(settings: Settings, name: str, prefix: str) -> S3Store:
    """The bucket, as the settings and nothing of the environment say where it is.

    The environment is asked for credentials when the settings have none, as is the machine's role.

    Raises:
        ConfigurationError: a setting cannot be used; the network is not needed to tell.
    """
    if not _BUCKET.fullmatch(name):
        raise ConfigurationError("BLOB_STORE_URL: that is not the name of a bucket.")
    endpoint = _endpoint(settings, name)
    credential = _credential(settings)
    config: S3Config = {
        "region": settings.s3_region,
        "endpoint": endpoint,
        "virtual_hosted_style_request": settings.s3_virtual_hosted,
        # Each of these would otherwise be taken from a stray AWS_… variable.
        "skip_signature": False,
        "unsigned_payload": False,
    }
    # Wins over ``endpoint`` when AWS_ENDPOINT_URL_S3 is set, so it has to be ours as well.
    config["aws_endpoint_url_s3"] = endpoint
    try:
        return S3Store(
            name,
            prefix=prefix or None,
            config=config,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "timeout": timedelta(seconds=DEADLINE_S),
                "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
            },
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": timedelta(seconds=DEADLINE_S),
            },
            # Not in ``config``: beside keys given there a stray AWS_SESSION_TOKEN would be sent.
            credential_provider=(lambda: credential) if credential else None,
        )
    except (BaseError, ValueError) as error:
        raise ConfigurationError("BLOB_STORE_URL or S3_REGION cannot be used.") from error


def _endpoint(settings: Settings, bucket: str) -> str:
    url = settings.s3_endpoint_url or f"https://s3.{settings.s3_region}.amazonaws.com"
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise ConfigurationError("S3_ENDPOINT_URL must be http(s)://host or http(s)://host:port.")
    if settings.s3_virtual_hosted:
        # The client does not do this itself when it is given an endpoint.
        parts = parts._replace(netloc=f"{bucket}.{parts.netloc}")
    return parts.geturl().rstrip("/")


def _credential(settings: Settings) -> "S3Credential | None":
    key, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    if bool(key) != bool(secret):
        raise ConfigurationError("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY belong together.")
    if not key or not secret:
        return None
    credential: S3Credential = {
        "access_key_id": key,
        "secret_access_key": secret.get_secret_value(),
        "token": None,
        "expires_at": None,
    }
    return credential
