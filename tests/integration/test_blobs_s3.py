"""A bucket of a real S3 server (moto's, a process of its own), and the table of PostgreSQL."""

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest

from app.infra.blob_stores import table
from app.infra.blob_stores.blob import blob_path
from app.infra.blobs import (
    BlobDamaged,
    BlobMissing,
    BlobStore,
    BlobsUnavailable,
    PostgresBlobs,
    S3Blobs,
    StorageFull,
    open_blobs,
)
from app.infra.postgres import Pool, open_pool
from app.settings import Settings
from tests.conftest import FreshDatabase
from tests.integration.workshop import owner_rows

TENANT = "ten_a"
#: How many keys the server lists at once; Amazon's lists 1,000.
PAGE = 20
CONTENT = b"bytes that somebody uploaded" * 1000
SHA256 = hashlib.sha256(CONTENT).digest()
KEYS: dict[str, Any] = {"s3_access_key_id": "key", "s3_secret_access_key": "secret"}
#: The server wants to see whose request it is and does not check the signature.
SOMEBODY = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
}


class S3Server:
    """A server that can be killed and started again on its port; it forgets everything then."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-p", str(self.port)],
            env={**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not self._listens():
            assert self._process.poll() is None, "moto's server did not start"

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)  # or the loop would take the core that the server starts on
            return False
        return True

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def make_bucket(self, name: str) -> None:
        self.write(name, b"")

    def write(self, path: str, content: bytes) -> None:
        answer = httpx.put(f"{self.url}/{path}", content=content, headers=SOMEBODY)
        assert answer.status_code == 200


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.kill()


@pytest.fixture
def prefix() -> str:
    """Every test has its own part of the bucket."""
    return uuid.uuid4().hex


@pytest.fixture
async def blobs(server: S3Server, prefix: str) -> AsyncIterator[S3Blobs]:
    server.make_bucket("docent")
    async with opened(server, f"s3://docent/{prefix}/blobs") as store:
        assert isinstance(store, S3Blobs)
        yield store


def opened(server: S3Server, url: str, **more: str) -> AbstractAsyncContextManager[BlobStore]:
    values: dict[str, Any] = {"s3_endpoint_url": server.url, **KEYS, **more}
    settings = Settings(_env_file=None, blob_store_url=url, **values)
    return open_blobs(settings, None)  # type: ignore[arg-type]  # no database


def address(prefix: str) -> str:
    return f"docent/{prefix}/blobs/{blob_path(TENANT, SHA256)}"


async def listed(store: BlobStore) -> dict[bytes, int]:
    return {blob.sha256: blob.size_bytes async for blob in store.list(TENANT)}


async def test_bytes_come_back_and_are_listed(blobs: S3Blobs, server: S3Server) -> None:
    await blobs.put(TENANT, SHA256, CONTENT)
    await blobs.put(TENANT, SHA256, CONTENT)
    assert await blobs.get(TENANT, SHA256) == CONTENT
    async with opened(server, "s3://docent/elsewhere") as other:
        assert await listed(other) == {}
    assert await listed(blobs) == {SHA256: len(CONTENT)}
    with pytest.raises(BlobMissing):
        await blobs.get("ten_b", SHA256)
    await blobs.delete(TENANT, SHA256)
    await blobs.delete(TENANT, SHA256)
    with pytest.raises(BlobMissing):
        await blobs.get(TENANT, SHA256)
    assert await listed(blobs) == {}


async def test_more_than_one_page_is_listed_and_what_is_not_ours_is_passed_over(
    blobs: S3Blobs, server: S3Server, prefix: str
) -> None:
    contents = [str(number).encode() for number in range(2 * PAGE + 5)]
    sums = [hashlib.sha256(content).digest() for content in contents]
    pairs = zip(sums, contents, strict=True)
    await asyncio.gather(*(blobs.put(TENANT, sha256, content) for sha256, content in pairs))
    shard = address(prefix).rpartition("/")[0]
    for foreign in ("README", f"{SHA256.hex()}.bak", f"x/{SHA256.hex()}"):
        server.write(f"{shard}/{foreign}", b"x")
    assert set(await listed(blobs)) == set(sums)


@pytest.mark.parametrize("damage", [CONTENT[:-1] + b"?", CONTENT[:5]], ids=len)
async def test_damage_is_noticed_and_healed_by_putting_again(
    blobs: S3Blobs, server: S3Server, prefix: str, damage: bytes
) -> None:
    await blobs.put(TENANT, SHA256, CONTENT)
    server.write(address(prefix), damage)
    with pytest.raises(BlobDamaged):
        await blobs.get(TENANT, SHA256)
    await blobs.put(TENANT, SHA256, CONTENT)
    assert await blobs.get(TENANT, SHA256) == CONTENT


async def test_twenty_writers_at_once_leave_one_blob(blobs: S3Blobs) -> None:
    await asyncio.gather(*(blobs.put(TENANT, SHA256, CONTENT) for _ in range(20)))
    assert await listed(blobs) == {SHA256: len(CONTENT)}
    assert await blobs.get(TENANT, SHA256) == CONTENT


async def test_a_bucket_that_is_not_there_is_not_a_missing_blob(server: S3Server) -> None:
    async with opened(server, "s3://nowhere") as store:
        assert isinstance(store, S3Blobs)
        with pytest.raises(BlobsUnavailable) as away:
            await store.get(TENANT, SHA256)
        assert away.value.retryable
        with pytest.raises(BlobsUnavailable):
            await store.put(TENANT, SHA256, CONTENT)
        with pytest.raises(BlobsUnavailable):
            await listed(store)


async def test_a_server_that_is_away_is_unavailable_and_back_it_is_used_again() -> None:
    server = S3Server()
    try:
        async with opened(server, "s3://docent/blobs") as store:
            server.make_bucket("docent")
            await store.put(TENANT, SHA256, CONTENT)
            await asyncio.to_thread(server.kill)
            with pytest.raises(BlobsUnavailable):
                await store.get(TENANT, SHA256)
            with pytest.raises(BlobsUnavailable):
                await store.put(TENANT, SHA256, CONTENT)
            with pytest.raises(BlobsUnavailable):
                await listed(store)
            await asyncio.to_thread(server.start)
            server.make_bucket("docent")
            with pytest.raises(BlobMissing):
                await store.get(TENANT, SHA256)
            await store.put(TENANT, SHA256, CONTENT)
            assert await store.get(TENANT, SHA256) == CONTENT
    finally:
        server.kill()


async def test_a_server_that_hangs_is_unavailable_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.infra.blob_stores.blob.DEADLINE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = Settings(
            _env_file=None, blob_store_url="s3://docent", s3_endpoint_url=url, **KEYS
        )
        async with open_blobs(settings, None) as store:  # type: ignore[arg-type]
            with pytest.raises(BlobsUnavailable):
                await store.put(TENANT, SHA256, CONTENT)
            with pytest.raises(BlobsUnavailable):
                await store.get(TENANT, SHA256)


async def request_of(monkeypatch: pytest.MonkeyPatch, **settings: object) -> str:
    """The head of the request that a get makes, with stray variables of Amazon's about."""
    for name, value in {
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "stray-key",
        "AWS_SECRET_ACCESS_KEY": "stray-secret",
        "AWS_SESSION_TOKEN": "stray-token",
        "AWS_REGION": "eu-stray-1",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_UNSIGNED_PAYLOAD": "true",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
    }.items():
        monkeypatch.setenv(name, value)
    heads = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        monkeypatch.setenv("HTTP_PROXY", url)  # asked for hosts that are not this one
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        values: dict[str, Any] = {"s3_endpoint_url": url, **settings}
        ours = Settings(_env_file=None, blob_store_url="s3://docent/blobs", **values)
        async with open_blobs(ours, None) as store:  # type: ignore[arg-type]
            with pytest.raises(BlobsUnavailable):
                await store.get(TENANT, SHA256)
    [head] = heads
    return head.lower()


async def test_stray_variables_of_the_environment_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = await request_of(monkeypatch, **KEYS)
    assert head.startswith(f"get /docent/blobs/{blob_path(TENANT, SHA256)} ")
    assert "credential=key/" in head
    assert "/us-east-1/s3/aws4_request" in head
    assert "unsigned-payload" not in head
    assert "stray" not in head
    assert "x-amz-security-token" not in head


async def test_without_keys_in_the_settings_those_of_the_environment_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = await request_of(monkeypatch)
    assert "credential=stray-key/" in head
    assert "x-amz-security-token: stray-token" in head


async def test_a_bucket_may_be_addressed_as_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    head = await request_of(
        monkeypatch, s3_virtual_hosted=True, s3_endpoint_url="http://store.test:9000/", **KEYS
    )
    path = f"/blobs/{blob_path(TENANT, SHA256)}"
    assert head.startswith(f"get http://docent.store.test:9000{path} ")


@pytest.fixture
async def pool(database: FreshDatabase) -> AsyncIterator[Pool]:
    owner_rows(
        database.database_url,
        "INSERT INTO tenants (id, name) VALUES ('ten_a', 'a'), ('ten_b', 'b')"
        " ON CONFLICT DO NOTHING",
    )
    async with open_pool(database.database_url, size=2, timeout_s=2) as pool:
        yield pool


async def test_the_table_keeps_bytes_for_their_tenant_and_lists_them_in_pages(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "PAGE", 3)
    store = PostgresBlobs(pool)
    contents = [str(number).encode() for number in range(7)]
    for content in contents:
        await store.put(TENANT, hashlib.sha256(content).digest(), content)
        await store.put(TENANT, hashlib.sha256(content).digest(), content)
    assert await store.get(TENANT, hashlib.sha256(b"3").digest()) == b"3"
    assert await listed(store) == {hashlib.sha256(c).digest(): 1 for c in contents}
    for foreign in ("ten_b", "ten_none"):
        with pytest.raises(BlobMissing):
            await store.get(foreign, hashlib.sha256(b"3").digest())
    assert [blob async for blob in store.list("ten_b")] == []


async def test_damage_in_the_table_is_noticed(pool: Pool, database: FreshDatabase) -> None:
    store = PostgresBlobs(pool)
    await store.put(TENANT, SHA256, CONTENT)
    owner_rows(database.database_url, "UPDATE blobs SET content = 'x' WHERE sha256 = %s", SHA256)
    with pytest.raises(BlobDamaged):
        await store.get(TENANT, SHA256)


async def test_a_full_disk_of_the_database_is_said(pool: Pool, database: FreshDatabase) -> None:
    owner_rows(
        database.database_url,
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$;"
        " CREATE TRIGGER full_disk BEFORE INSERT ON blobs EXECUTE FUNCTION full_disk()",
    )
    try:
        with pytest.raises(StorageFull):
            await PostgresBlobs(pool).put(TENANT, hashlib.sha256(b"new").digest(), b"new")
    finally:
        owner_rows(database.database_url, "DROP TRIGGER full_disk ON blobs")
