"""The pool heals by itself, keeps nothing of a cancelled request, and says 503 in time."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from app.errors import ConfigurationError
from app.infra.postgres import (
    DatabaseUnavailable,
    Pool,
    copy_rows,
    fetch_all,
    open_pool,
    tenant_transaction,
    translated,
)
from tests.conftest import FreshDatabase
from tests.integration.workshop import owner_rows

SIZE = 3


@pytest.fixture
async def pool(database: FreshDatabase) -> AsyncIterator[Pool]:
    async with open_pool(
        database.database_url, size=SIZE, timeout_s=1, statement_timeout_s=8
    ) as pool:
        yield pool


def terminate(database: FreshDatabase) -> int:
    """End every connection to this database but our own; how many there were."""
    return len(
        owner_rows(
            database.database_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
    )


def connections(database: FreshDatabase) -> list[dict]:
    return owner_rows(
        database.database_url,
        "SELECT pid, state, query FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
    )


async def fill(pool: Pool) -> None:
    """Open every connection the pool may have."""
    await asyncio.gather(*(fetch_all(pool, "SELECT pg_sleep(0.05)", {}) for _ in range(SIZE)))


async def test_a_connection_is_made_as_the_design_says(pool: Pool) -> None:
    for setting, value in {
        "hnsw.ef_search": "100", "hnsw.iterative_scan": "strict_order", "role": "docent_app",
        "TimeZone": "UTC", "statement_timeout": "8s", "search_path": "public, jobs", "jit": "off",
    }.items():  # fmt: skip
        [row] = await fetch_all(pool, "SELECT current_setting(%(s)s) AS value", {"s": setting})
        assert row["value"] == value, setting


async def test_reading_does_not_notice_that_every_backend_was_ended(
    pool: Pool, database: FreshDatabase
) -> None:
    await fill(pool)
    assert terminate(database) == SIZE
    rows = await asyncio.gather(*(fetch_all(pool, "SELECT 1 AS one", {}) for _ in range(9)))
    assert rows == [[{"one": 1}]] * 9


async def test_transactions_say_503_and_then_work_again(
    pool: Pool, database: FreshDatabase
) -> None:
    await fill(pool)
    assert terminate(database) == SIZE
    failures = 0
    while True:
        try:
            async with tenant_transaction(pool, "ten_x") as connection:
                await connection.execute("SELECT count(*) FROM documents")
            break
        except DatabaseUnavailable:
            failures += 1
            assert failures <= SIZE
    async with tenant_transaction(pool, "ten_x") as connection:
        await connection.execute("SELECT 1")


async def test_cancelled_requests_leave_neither_connections_nor_queries(
    pool: Pool, database: FreshDatabase
) -> None:
    async def ask() -> None:
        await fetch_all(pool, "SELECT pg_sleep(60)", {})

    async def write() -> None:
        async with tenant_transaction(pool, "ten_x") as connection:
            await connection.execute("SELECT pg_sleep(60)")

    for work in (ask, write):
        tasks = [asyncio.create_task(work()) for _ in range(SIZE * 4)]
        while sum("pg_sleep(60)" in row["query"] for row in connections(database)) < SIZE:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(error, asyncio.CancelledError) for error in ended)
        await fill(pool)
        left = connections(database)
        assert len(left) <= SIZE
        assert not [row for row in left if row["state"] != "idle"]


async def test_a_crowd_is_served_in_turn(pool: Pool) -> None:
    """However few connections there are: that many wait is no reason to refuse one of them."""
    crowd = (fetch_all(pool, "SELECT 1 AS one", {}) for _ in range(SIZE * 100))
    assert await asyncio.gather(*crowd) == [[{"one": 1}]] * (SIZE * 100)


async def test_a_full_pool_is_waited_for_only_so_long(pool: Pool) -> None:
    held = [asyncio.create_task(fetch_all(pool, "SELECT pg_sleep(5)", {})) for _ in range(SIZE)]
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    with pytest.raises(DatabaseUnavailable):
        async with tenant_transaction(pool, "ten_x"):
            raise AssertionError("there was no connection to have")
    assert loop.time() - begin < 3
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)


async def test_a_statement_that_takes_too_long_is_a_503_and_not_run_twice(
    database: FreshDatabase,
) -> None:
    async with open_pool(
        database.database_url, size=1, timeout_s=5, statement_timeout_s=0.1
    ) as pool:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        with pytest.raises(DatabaseUnavailable):
            await fetch_all(pool, "SELECT pg_sleep(9)", {})
        assert loop.time() - begin < 2
        assert await fetch_all(pool, "SELECT 1 AS one", {}) == [{"one": 1}]


async def test_a_connection_comes_back_though_others_are_next_for_the_lock(pool: Pool) -> None:
    """Between two owners the lock is free; who was cancelled there took a connection along."""
    await fill(pool)

    async def own() -> None:
        async with pool._lock:
            pass

    connection = await pool.getconn()
    await pool._lock.acquire()
    following = asyncio.create_task(own())
    await asyncio.sleep(0)
    giving = asyncio.create_task(pool.putconn(connection))
    asyncio.get_running_loop().call_soon(giving.cancel)
    pool._lock.release()
    ended = await asyncio.gather(giving, following, return_exceptions=True)
    assert isinstance(ended[0], asyncio.CancelledError)
    async with asyncio.timeout(5):
        while pool.get_stats()["pool_available"] < SIZE:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def test_what_grows_with_the_corpus_may_take_longer(database: FreshDatabase) -> None:
    async with open_pool(
        database.database_url, size=1, timeout_s=5, statement_timeout_s=0.1
    ) as pool:

        async def work(allow_s: float) -> None:
            async with tenant_transaction(pool, "ten_x", allow_s=allow_s) as connection:
                await connection.execute("SELECT pg_sleep(0.3), pg_sleep(1)")

        await work(9)
        with pytest.raises(DatabaseUnavailable):  # on the same connection
            await work(0)


async def test_a_database_that_is_not_there_is_said_in_time() -> None:
    with pytest.raises(DatabaseUnavailable):
        async with open_pool("postgresql://nobody@127.0.0.1:1/x", size=1, timeout_s=0.3):
            raise AssertionError("nobody answers on port 1")


def test_mistakes_in_sql_stay_mistakes() -> None:
    with pytest.raises(psycopg.errors.SyntaxError), translated():
        raise psycopg.errors.SyntaxError
    with pytest.raises(ConfigurationError, match="GRANT docent_app"), translated():
        raise psycopg.errors.InsufficientPrivilege


async def test_rows_are_copied_under_the_policy(pool: Pool, database: FreshDatabase) -> None:
    owner_rows(database.database_url, "INSERT INTO tenants (id, name) VALUES ('ten_c', 'copy')")
    awkward = ["a\tb\n\\N", "é'\"", "\\.", ""]
    async with tenant_transaction(pool, "ten_c") as connection:
        rows = (("ten_c", text.encode(), text.encode()) for text in awkward)
        await copy_rows(connection, "blobs", ("tenant_id", "sha256", "content"), rows)
        cursor = await connection.execute("SELECT content FROM blobs")
        assert {row["content"].decode() for row in await cursor.fetchall()} == set(awkward)
    with pytest.raises((psycopg.errors.InsufficientPrivilege, ConfigurationError)):
        async with tenant_transaction(pool, "ten_other") as connection:
            await copy_rows(
                connection, "blobs", ("tenant_id", "sha256", "content"), [("ten_c", b"x", b"x")]
            )


@pytest.mark.parametrize("turns", range(8))
async def test_who_is_cancelled_as_a_connection_comes_is_cancelled(pool: Pool, turns: int) -> None:
    """Python 3.11's ``wait_for``, with which the pool waits, loses a cancellation at one turn of
    the loop: requests went on, and asked a provider, for a client that had left."""
    held = [await pool.getconn() for _ in range(SIZE)]
    waiting = asyncio.create_task(fetch_all(pool, "SELECT 1 AS one", {}))
    while not pool.get_stats().get("requests_waiting"):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)
    returning = asyncio.create_task(pool.putconn(held.pop()))
    for _ in range(turns):
        await asyncio.sleep(0)
    if waiting.cancel():  # it had not got that far
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await returning
    for connection in held:
        await pool.putconn(connection)
    assert await fetch_all(pool, "SELECT 1 AS one", {}) == [{"one": 1}]
