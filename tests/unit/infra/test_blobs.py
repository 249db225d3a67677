"""A folder of blobs: whole or not there, durable, healed by writing again, and told from gone."""

import asyncio
import errno
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ConfigurationError
from app.infra.blob_stores.blob import blob_path, checksum_of, within_deadline
from app.infra.blob_stores.folder import ABANDONED_AFTER_S, INCOMING
from app.infra.blobs import (
    BlobDamaged,
    BlobMissing,
    BlobStore,
    BlobsUnavailable,
    FolderBlobs,
    PostgresBlobs,
    S3Blobs,
    StorageFull,
    open_blobs,
)
from app.settings import Settings
from tests.conftest import ROOT

TENANT = "ten_a"
CONTENT = b"%PDF-1.7 bytes that somebody uploaded"
SHA256 = hashlib.sha256(CONTENT).digest()
NO_POOL = None  # a folder and a bucket never touch the database
#: A process that puts 1 MB of zeros; what it has to do before that goes in front.
CHILD = """
import asyncio, hashlib, os, pathlib, resource, signal, sys
from app.infra.blobs import FolderBlobs, StorageFull

content = bytes(2**20)
sha256 = hashlib.sha256(content).digest()
blobs = FolderBlobs(pathlib.Path(sys.argv[1]))
"""
BIG = bytes(2**20)
BIG_SHA256 = hashlib.sha256(BIG).digest()


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[FolderBlobs]:
    async with opened(f"{(tmp_path / 'blobs').as_uri()}") as store:
        assert isinstance(store, FolderBlobs)
        yield store


def opened(url: str | None, **more: object) -> AbstractAsyncContextManager[BlobStore]:
    return open_blobs(Settings(_env_file=None, blob_store_url=url, **more), NO_POOL)  # type: ignore[arg-type]


def place(tmp_path: Path, tenant_id: str = TENANT, sha256: bytes = SHA256) -> Path:
    return tmp_path / "blobs" / blob_path(tenant_id, sha256)


def drafts(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "blobs" / INCOMING).iterdir())


async def listed(store: BlobStore, tenant_id: str = TENANT) -> set[bytes]:
    return {blob.sha256 async for blob in store.list(tenant_id)}


async def test_bytes_come_back_and_are_listed_for_their_tenant_alone(
    blobs: FolderBlobs, tmp_path: Path
) -> None:
    await blobs.put(TENANT, SHA256, CONTENT)
    await blobs.put(TENANT, SHA256, CONTENT)
    assert await blobs.get(TENANT, SHA256) == CONTENT
    [blob] = [blob async for blob in blobs.list(TENANT)]
    assert (blob.tenant_id, blob.sha256, blob.size_bytes) == (TENANT, SHA256, len(CONTENT))
    assert abs(blob.stored_at.timestamp() - time.time()) < 60
    with pytest.raises(BlobMissing):
        await blobs.get("ten_b", SHA256)
    assert await listed(blobs, "ten_b") == set()
    assert drafts(tmp_path) == []


async def test_only_we_can_read_what_is_stored(blobs: FolderBlobs, tmp_path: Path) -> None:
    await blobs.put(TENANT, SHA256, CONTENT)
    path = place(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert {folder.stat().st_mode & 0o777 for folder in list(path.parents)[:3]} == {0o700}


@pytest.mark.parametrize("damage", [CONTENT[:-1] + b"?", CONTENT[:5], b""], ids=len)
async def test_damage_is_noticed_and_healed_by_putting_again(
    blobs: FolderBlobs, tmp_path: Path, damage: bytes
) -> None:
    await blobs.put(TENANT, SHA256, CONTENT)
    place(tmp_path).write_bytes(damage)
    with pytest.raises(BlobDamaged):
        await blobs.get(TENANT, SHA256)
    await blobs.put(TENANT, SHA256, CONTENT)
    assert await blobs.get(TENANT, SHA256) == CONTENT


async def test_a_deleted_blob_is_missing_and_deleting_again_is_harmless(
    blobs: FolderBlobs,
) -> None:
    await blobs.put(TENANT, SHA256, CONTENT)
    await blobs.delete(TENANT, SHA256)
    await blobs.delete(TENANT, SHA256)
    with pytest.raises(BlobMissing):
        await blobs.get(TENANT, SHA256)
    assert await listed(blobs) == set()


async def test_everything_is_on_the_disk_before_put_returns(
    blobs: FolderBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        size = path.stat().st_size if path.is_file() else ""
        done.append(("fsync", f"{size}" if path.is_file() else path.name))
        fsync(descriptor)

    def noted_replace(source: str, target: Path) -> None:
        done.append(("replace", target.name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    await blobs.put(TENANT, SHA256, CONTENT)
    assert done == [
        ("fsync", str(len(CONTENT))),
        ("replace", SHA256.hex()),
        ("fsync", SHA256.hex()[:2]),
        ("fsync", TENANT),
        ("fsync", "blobs"),
    ]


async def test_twenty_writers_and_readers_at_once_see_whole_blobs(
    blobs: FolderBlobs, tmp_path: Path
) -> None:
    await blobs.put(TENANT, BIG_SHA256, BIG)
    results = await asyncio.gather(
        *(blobs.put(TENANT, BIG_SHA256, BIG) for _ in range(20)),
        *(blobs.get(TENANT, BIG_SHA256) for _ in range(20)),
    )
    assert results[20:] == [BIG] * 20
    assert await listed(blobs) == {BIG_SHA256}
    assert drafts(tmp_path) == []


async def test_a_writer_killed_in_the_middle_leaves_nothing_under_the_name(
    blobs: FolderBlobs, tmp_path: Path
) -> None:
    # It stops for good when its bytes are written and their name is not.
    stop = "os.fsync = lambda descriptor: (print('in the middle', flush=True), signal.pause())\n"
    put = "asyncio.run(blobs.put('ten_a', sha256, content))\n"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD + stop + put, str(tmp_path / "blobs"),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert await child.stdout.readline() == b"in the middle\n"
    child.kill()
    await child.wait()
    [draft] = drafts(tmp_path)
    assert draft.stat().st_size == len(BIG)
    assert await listed(blobs) == set()
    with pytest.raises(BlobMissing):
        await blobs.get(TENANT, BIG_SHA256)
    await blobs.put(TENANT, BIG_SHA256, BIG)
    assert await blobs.get(TENANT, BIG_SHA256) == BIG

    blobs.prepare()
    assert drafts(tmp_path) == [draft], "another process may be writing it"
    long_ago = time.time() - ABANDONED_AFTER_S - 1
    os.utime(draft, (long_ago, long_ago))
    blobs.prepare()
    assert drafts(tmp_path) == []


async def test_a_full_disk_is_said_and_leaves_nothing(blobs: FolderBlobs, tmp_path: Path) -> None:
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, resource.RLIM_INFINITY))\n"
    put = """
try:
    asyncio.run(blobs.put('ten_a', sha256, content))
except StorageFull as full:
    print(full.code, full.retryable, full.status)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
"""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD + limit + put, str(tmp_path / "blobs"),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await child.communicate()
    assert said == b"storage_full True 503\n"
    assert drafts(tmp_path) == []
    assert await listed(blobs) == set()


async def test_what_is_not_ours_is_passed_over(blobs: FolderBlobs, tmp_path: Path) -> None:
    await blobs.put(TENANT, SHA256, CONTENT)
    tenant, digest = tmp_path / "blobs" / TENANT, SHA256.hex()
    other = "00" if digest[:2] != "00" else "01"
    (tenant / other).mkdir()
    (tenant / other / digest).write_bytes(CONTENT)  # in the wrong place
    (tenant / digest[:2] / f"{digest}#1").write_bytes(b"")
    (tenant / digest[:2] / digest.upper()).write_bytes(b"")
    (tenant / digest[:2] / ".nfs0001").write_bytes(b"")
    (tenant / digest[:2] / (digest[:2] + "0" * 62)).mkdir()
    (tenant / digest[:2] / (digest[:2] + "1" * 62)).symlink_to("/etc/hostname")
    (tenant / "lost+found").mkdir()
    (tenant / "README").write_text("hello")
    assert await listed(blobs) == {SHA256}


async def test_a_folder_that_has_gone_is_not_a_missing_blob(
    blobs: FolderBlobs, tmp_path: Path
) -> None:
    await blobs.put(TENANT, SHA256, CONTENT)
    folder, elsewhere = tmp_path / "blobs", tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.mkdir()  # what is left where a volume was mounted
    with pytest.raises(BlobsUnavailable) as away:
        await blobs.get(TENANT, SHA256)
    assert away.value.retryable
    with pytest.raises(BlobsUnavailable):
        await blobs.put(TENANT, SHA256, CONTENT)
    with pytest.raises(BlobsUnavailable):
        await blobs.delete(TENANT, SHA256)
    with pytest.raises(BlobsUnavailable):
        await listed(blobs)
    assert list(folder.iterdir()) == []
    folder.rmdir()
    elsewhere.rename(folder)
    assert await blobs.get(TENANT, SHA256) == CONTENT


async def test_a_disk_that_hangs_is_unavailable_in_time(
    blobs: FolderBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.infra.blob_stores.blob.DEADLINE_S", 0.1)
    path = place(tmp_path)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)  # opening it blocks until somebody writes
    try:
        with pytest.raises(BlobsUnavailable):
            await blobs.get(TENANT, SHA256)
    finally:
        path.open("wb").close()  # lets the thread go


async def test_an_error_of_the_disk_is_unavailable() -> None:
    with pytest.raises(BlobsUnavailable):
        async with within_deadline():
            raise OSError(errno.EIO, "Input/output error")
    with pytest.raises(StorageFull):
        async with within_deadline():
            raise OSError(errno.EDQUOT, "Disk quota exceeded")


@pytest.mark.parametrize(
    "tenant_id", ["", ".", "..", "../b", "a/b", ".incoming", "a\0", "ä", "a" * 65, "ten_a\n"]
)
async def test_a_tenant_cannot_name_another_place(
    blobs: FolderBlobs, tmp_path: Path, tenant_id: str
) -> None:
    with pytest.raises(ValueError, match="not the id of a tenant"):
        await blobs.put(tenant_id, SHA256, CONTENT)
    with pytest.raises(ValueError, match="not the id of a tenant"):
        await listed(blobs, tenant_id)
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == [INCOMING]


async def test_a_name_has_to_be_a_checksum(blobs: FolderBlobs) -> None:
    with pytest.raises(ValueError, match="not a SHA-256"):
        await blobs.get(TENANT, b"short")


@given(sha256=st.binary(min_size=32, max_size=32))
def test_a_path_names_its_checksum(sha256: bytes) -> None:
    path = blob_path(TENANT, sha256)
    assert checksum_of(TENANT, path) == sha256
    assert checksum_of("ten_b", path) is None


@given(path=st.text())
def test_any_other_path_names_none(path: str) -> None:
    assert checksum_of(TENANT, path) is None
    assert checksum_of(TENANT, f"{TENANT}/{path}") is None


async def test_the_default_is_a_folder_and_with_a_database_its_table(tmp_path: Path) -> None:
    async with opened(None, docent_home=tmp_path) as store:
        assert isinstance(store, FolderBlobs)
        await store.put(TENANT, SHA256, CONTENT)
        assert place(tmp_path).is_file()
    async with opened(None, docent_home=tmp_path, database_url="postgresql://db/x") as store:
        assert isinstance(store, PostgresBlobs)
    async with opened("s3://bucket/some/prefix", database_url="postgresql://db/x") as store:
        assert isinstance(store, S3Blobs)


async def test_a_folder_with_a_blank_in_its_name_is_that_folder(tmp_path: Path) -> None:
    async with opened((tmp_path / "my blobs").as_uri()):
        assert (tmp_path / "my blobs" / INCOMING).is_dir()


@pytest.mark.parametrize(
    "url",
    [
        "blobs", "/var/blobs", "file://host/blobs", "file:blobs", "file://", "file:///a?b=c",
        "file:///a%00b", "s3://", "s3:///prefix", "gs://bucket", "http://bucket", "s3://bucket?x=y",
        "s3://bucket/a#b", "s3://[bucket",
        "s3://KEY:SECRET@bucket", "s3://Bucket_", "s3://bucket:9000", "s3://bucket/../other",
        "s3://bucket/a//b",
    ],
)  # fmt: skip
async def test_a_url_of_no_store_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ConfigurationError, match="BLOB_STORE_URL") as refused:
        async with opened(url):
            pytest.fail("opened")
    assert "SECRET" not in refused.value.detail


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"s3_access_key_id": "key"}, "belong together"),
        ({"s3_secret_access_key": "secret"}, "belong together"),
        ({"s3_endpoint_url": "minio:9000"}, "S3_ENDPOINT_URL"),
        ({"s3_endpoint_url": "http://me:word@minio"}, "S3_ENDPOINT_URL"),
        ({"s3_endpoint_url": "https://"}, "S3_ENDPOINT_URL"),
    ],
)
async def test_settings_of_a_bucket_that_cannot_be_are_named(
    settings: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        async with opened("s3://bucket", **settings):
            pytest.fail("opened")


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match=r"cannot be used \(Not a directory\)"):
        async with opened((tmp_path / "file" / "blobs").as_uri()):
            pytest.fail("opened")
