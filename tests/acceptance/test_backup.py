"""Backed up while it serves, destroyed, and restored: the same answers, keys and sessions."""

import asyncio
import stat
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr
from redis import Redis

from app.auth.keys import create_key, load_secret
from app.infra.migrations import migrate
from app.settings import Settings
from scripts.archives.archive import ArchiveRefused, open_archive
from scripts.backup import back_up
from scripts.reindexing import tables
from scripts.restore import check, restore
from tests import forks
from tests.acceptance.conftest import serving
from tests.conftest import FreshDatabase, environment

#: Databases of the shared Redis, so that restoring clears nothing of another test's.
SOURCE_REDIS, TARGET_REDIS = 9, 10
QUESTIONS = (
    "What happens to open files on a processor reset?",
    "What happens when a file gets larger than its maximum size?",
    "What is the diameter of the planet Zorblax?",
)
#: What differs from one answer to the next.
OF_THE_MOMENT = ("answer_id", "trace_id", "timings", "attempts")


@dataclass(frozen=True)
class Place:
    """A database, a Redis and a home of their own; the secret lies in the home."""

    database: FreshDatabase
    home: Path
    more: dict[str, str]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return forks.run(*arguments, env=environment(self.database, self.home, **self.more))

    def settings(self, **more: Any) -> Settings:
        urls = {"database_url": self.database.database_url, "redis_url": self.database.redis_url}
        return Settings(_env_file=None, docent_home=self.home, **urls, **more)  # type: ignore[call-arg]

    def client(self, url: str, key: str) -> httpx.Client:
        return httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=120)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.database_url) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def source(samples: FreshDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The samples, their bytes in the database."""
    yield from place(samples, SOURCE_REDIS, tmp_path_factory.mktemp("source"), {})


@pytest.fixture(scope="module")
def target(
    fresh_database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Nothing; bytes go into a folder."""
    home = tmp_path_factory.mktemp("target")
    more = {"BLOB_STORE_URL": f"file://{home / 'blobs'}"}
    yield from place(fresh_database, TARGET_REDIS, home, more)


def place(database: FreshDatabase, redis: int, home: Path, more: dict[str, str]) -> Iterator[Place]:
    url = f"{database.redis_url}?db={redis}"
    made = FreshDatabase(database.database_url, url)
    with Redis.from_url(url) as client:
        client.flushdb()
        yield Place(made, home, {"SECRET_KEY": "", **more})
        client.flushdb()


@pytest.fixture(scope="module")
def key(source: Place) -> str:
    secret = load_secret(None, source.home)
    return create_key(source.database.database_url, secret, tenant="default", name="test")


def told(client: httpx.Client, session_id: str) -> list[dict[str, Any]]:
    answers = []
    for question in QUESTIONS:
        body = {"question": question, "session_id": session_id}
        answer = client.post("/api/v1/chat", json=body).raise_for_status().json()
        answers.append({name: answer[name] for name in answer if name not in OF_THE_MOMENT})
    return answers


def content(client: httpx.Client) -> dict[str, bytes]:
    documents = client.get("/api/v1/docs").raise_for_status().json()["items"]
    return {one["id"]: client.get(f"/api/v1/docs/{one['id']}/content").content for one in documents}


def back_up_in_use(place: Place, client: httpx.Client, path: Path) -> list[int]:
    """The statuses of the questions and uploads that came meanwhile."""
    done, statuses = threading.Event(), []

    def use() -> None:
        while not done.is_set():
            body = {"question": QUESTIONS[0], "session_id": "meanwhile"}
            statuses.append(client.post("/api/v1/chat", json=body).status_code)
            note = {"file": ("note.txt", f"Note {len(statuses)}: written meanwhile.".encode())}
            statuses.append(client.post("/api/v1/docs", files=note).status_code)
            done.wait(0.2)

    asking = threading.Thread(target=use)
    asking.start()
    try:
        made = place.run("scripts.backup", str(path))
    finally:
        done.set()
        asking.join()
    assert (made.returncode, made.stderr) == (0, ""), made
    return statuses


def test_destroyed_and_restored_it_answers_the_same(  # noqa: PLR0915 - a journey
    source: Place, target: Place, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "all.tar"
    with (
        serving(source.database, source.home, **source.more) as (url, _),
        source.client(url, key) as client,
    ):
        before = told(client, "first")
        assert [answer["status"] for answer in before] == ["complete", "complete", "abstained"]
        turns = client.get("/api/v1/sessions/first").raise_for_status().json()
        files = content(client)
        statuses = back_up_in_use(source, client, path)
    assert set(statuses) == {200, 202}
    assert len(statuses) > 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    restored = target.run("scripts.restore", str(path))
    assert (restored.returncode, restored.stderr) == (0, ""), restored
    assert "1 tenants checked, 0 findings" in restored.stdout
    with (
        serving(target.database, target.home, **target.more) as (url, _),
        target.client(url, key) as client,
    ):
        assert client.get("/api/v1/sessions/first").raise_for_status().json() == turns
        assert content(client).items() >= files.items()
        assert told(client, "second") == [{**answer, "session_id": "second"} for answer in before]

    # Destroyed in every store, while a file came that the archive does not know.
    documents = target.rows("SELECT id, current_version FROM documents ORDER BY id")
    with psycopg.connect(target.database.database_url) as connection:
        connection.execute("TRUNCATE chunks, pages, documents, api_keys CASCADE")
    [blob, *_] = sorted((target.home / "blobs").glob("ten_*/*/*"))
    stray = blob.rename(blob.with_name(blob.name[:2] + "0" * 62))
    with Redis.from_url(target.database.redis_url) as redis:
        redis.flushdb()
        redis.set("cached:ten_old:answer", b"of the corpus that was replaced")
    with open_archive(path) as archive:
        settings = target.settings(blob_store_url=target.more["BLOB_STORE_URL"])
        assert restore(settings, archive, force=True) == 0
    assert target.rows("SELECT id, current_version FROM documents ORDER BY id") == documents
    assert (blob.exists(), stray.exists()) == (True, False)
    with Redis.from_url(target.database.redis_url) as redis:
        assert (redis.exists("cached:ten_old:answer"), redis.keys("turns:*first") != []) == (
            0,
            True,
        )


def test_what_does_not_fit_is_refused_before_anything_is_written(
    source: Place, target: Place, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "one.tar"
    assert back_up(source.settings(), path) == len(source.rows("SELECT FROM blobs"))

    def refusal(place: Place, *, force: bool = True, **more: Any) -> str:
        with open_archive(path) as archive, pytest.raises(ArchiveRefused) as refused:
            check(place.settings(**more), archive, force=force)
        return refused.value.detail

    assert "FORCE=1" in refusal(source, force=False)
    assert "SECRET_KEY" in refusal(target, secret_key=SecretStr("another secret " * 4))
    assert "EMBEDDING_MODEL" in refusal(target, embedding_model="another", embedding_dimension=8)
    with psycopg.connect(source.database.database_url):
        assert "stop every API and worker" in refusal(source)
    with open_archive(path) as archive:
        newer = archive.facts.model_copy(update={"schema_revision": "9999"})
        archive.facts = newer
        with pytest.raises(ArchiveRefused, match="newer Docent"):
            check(target.settings(), archive, force=True)
        archive.facts = newer.model_copy(update={"schema_revision": "0012", "postgres": 99})
        with pytest.raises(ArchiveRefused, match="needs PostgreSQL 99"):
            check(target.settings(), archive, force=True)


def test_another_models_vectors_go_with_it_and_do_not_outlive_it(
    source: Place, target: Place, key: str, tmp_path: Path
) -> None:
    """A backup in the middle of a change of the embedding model, and one without it over that."""

    async def beside(place: Place, change: Callable[[tables.Owner], Awaitable[object]]) -> Any:
        async with await psycopg.AsyncConnection.connect(
            place.database.database_url, autocommit=True, row_factory=dict_row
        ) as owner:
            return await change(owner)

    def restored(path: Path) -> tables.Standing:
        back_up(source.settings(), path)
        settings = target.settings(blob_store_url=target.more["BLOB_STORE_URL"])
        with open_archive(path) as archive:
            assert archive.facts.embedding_model == "all-MiniLM-L6-v2"
            assert restore(settings, archive, force=True) == 0
        found: tables.Standing = asyncio.run(beside(target, tables.standing))
        return found

    asyncio.run(beside(source, lambda owner: tables.make_beside(owner, "another", 8)))
    found = restored(tmp_path / "with.tar")
    assert (found.current, found.beside, found.beside_dimension) == (
        "all-MiniLM-L6-v2", "another", 8,
    )  # fmt: skip
    assert found.missing == found.chunks > 0
    asyncio.run(beside(source, tables.drop_beside))
    assert restored(tmp_path / "without.tar").beside is None
    assert target.rows("SELECT FROM pg_namespace WHERE nspname = 'beside'") == []


def test_an_older_archive_is_brought_up_to_date(
    source: Place, target: Place, key: str, tmp_path: Path
) -> None:
    """As when a release comes with migrations: the data of the one before is restored into it."""
    url = source.database.database_url
    chunks = source.rows("SELECT id, text FROM chunks WHERE live ORDER BY id")
    [(newest,)] = source.rows("SELECT version_num FROM alembic_version")
    migrate(url, embedding_model="all-MiniLM-L6-v2", embedding_dimension=384, revision="-1")
    path = tmp_path / "old.tar"
    back_up(source.settings(), path)
    with open_archive(path) as archive:
        assert archive.facts.schema_revision < newest
        assert (
            restore(
                target.settings(blob_store_url=target.more["BLOB_STORE_URL"]), archive, force=True
            )
            == 0
        )
    assert target.rows("SELECT version_num FROM alembic_version") == [(newest,)]
    assert target.rows("SELECT id, text FROM chunks WHERE live ORDER BY id") == chunks
