"""A database that freezes at any moment: whoever waits for it is told in time, and it heals."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
import uvloop

from app.infra.hanging_up import ServerSilent, deadline, is_lost
from app.infra.postgres import DatabaseUnavailable, Pool, fetch_all, open_pool, tenant_transaction
from tests.conftest import FreshDatabase
from tests.door import Door
from tests.integration.workshop import owner_rows

SIZE = 3
#: For a connection; then for a statement, and the second of grace beyond it.
WAIT_S, STATEMENT_S = 0.4, 0.2
BOUND_S = WAIT_S + STATEMENT_S + 1.0 + 1.0


@asynccontextmanager
async def behind_a_door(database: FreshDatabase) -> AsyncIterator[tuple[Door, str]]:
    """A door before the server, and the URL that goes through it."""
    known = psycopg.conninfo.conninfo_to_dict(database.database_url)
    path = f"{known['host']}/.s.PGSQL.{known.get('port', 5432)}"
    async with Door(path) as door:
        through = {**known, "host": "127.0.0.1", "port": door.port}
        yield door, psycopg.conninfo.make_conninfo("", **through)
        door.let_go()


@asynccontextmanager
async def opened(database: FreshDatabase) -> AsyncIterator[tuple[Pool, Door]]:
    """A pool whose connections are all made."""
    async with (
        behind_a_door(database) as (door, url),
        open_pool(url, size=SIZE, timeout_s=WAIT_S, statement_timeout_s=STATEMENT_S) as pool,
    ):
        await fill(pool)
        yield pool, door
        door.let_go()


async def read(pool: Pool, query: str = "SELECT 1 AS one") -> object:
    return await fetch_all(pool, query, {})


async def fill(pool: Pool) -> None:
    await asyncio.gather(*(read(pool, "SELECT pg_sleep(0.02)") for _ in range(SIZE)))


async def refused(work: Awaitable[object]) -> None:
    """It says in time that the database is not there."""
    async with asyncio.timeout(BOUND_S):
        with pytest.raises(DatabaseUnavailable):
            await work


async def before_a_statement(pool: Pool, door: Door) -> None:
    door.hold()
    await refused(read(pool))


async def in_a_statement(pool: Pool, door: Door) -> None:
    reading = asyncio.create_task(read(pool, "SELECT pg_sleep(0.1)"))
    await asyncio.sleep(0)
    door.hold()
    await refused(reading)


async def before_what_may_take_long(pool: Pool, door: Door) -> None:
    async def write() -> None:
        async with tenant_transaction(pool, "ten_x", allow_s=600):
            raise AssertionError("nothing answered")

    door.hold()
    await refused(write())


async def between_statements(pool: Pool, door: Door) -> None:
    async def write() -> None:
        async with tenant_transaction(pool, "ten_x") as connection:
            door.hold()
            await connection.execute("SELECT 1")

    await refused(write())


async def at_commit(pool: Pool, door: Door) -> None:
    async def write() -> None:
        async with tenant_transaction(pool, "ten_x"):
            door.hold()

    await refused(write())


async def at_rollback(pool: Pool, door: Door) -> None:
    async def write() -> None:
        async with tenant_transaction(pool, "ten_x"):
            door.hold()
            raise DatabaseUnavailable

    await refused(write())


async def in_a_connect(pool: Pool, door: Door) -> None:
    lent = [await pool.getconn() for _ in range(SIZE)]
    door.hold()
    for connection in lent:
        await connection.close()
        await pool.putconn(connection)
    await refused(read(pool))


async def with_a_full_pool(pool: Pool, door: Door) -> None:
    door.hold()
    await asyncio.gather(*(refused(read(pool)) for _ in range(4 * SIZE)))


async def as_a_connection_comes_back_in_mid_transaction(pool: Pool, door: Door) -> None:
    lent = await pool.getconn()
    await lent.execute("BEGIN")
    door.hold()
    async with asyncio.timeout(BOUND_S):
        await pool.putconn(lent)


MOMENTS = (
    before_a_statement,
    in_a_statement,
    before_what_may_take_long,
    between_statements,
    at_commit,
    at_rollback,
    in_a_connect,
    with_a_full_pool,
    as_a_connection_comes_back_in_mid_transaction,
)


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
async def test_whoever_waits_is_told(
    database: FreshDatabase, moment: Callable[[Pool, Door], Awaitable[None]]
) -> None:
    async with opened(database) as (pool, door):
        await moment(pool, door)
        door.let_go()
        async with asyncio.timeout(10):
            while not await healed(pool):
                continue
        assert pool.get_stats()["pool_size"] <= SIZE


async def healed(pool: Pool) -> bool:
    try:
        await fill(pool)
    except DatabaseUnavailable:
        return False
    return True


async def test_the_dead_among_the_frozen_hold_nobody(database: FreshDatabase) -> None:
    """Whoever met one that was closed had all the others asked, and no limit for their answers."""
    async with opened(database) as (pool, door):
        lent = [await pool.getconn() for _ in range(SIZE)]
        dead = lent[0]
        for connection in lent:
            await pool.putconn(connection)
        await asyncio.to_thread(
            owner_rows,
            database.database_url,
            f"SELECT pg_terminate_backend({dead.info.backend_pid})",
        )
        async with asyncio.timeout(10):
            while not is_lost(dead):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0)
        door.hold()
        await refused(read(pool))


async def hang_up_while_others_connect(database: FreshDatabase) -> None:
    """The number of a descriptor goes to somebody else in the moment in which it is free."""
    async with behind_a_door(database) as (door, url):
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
        number = connection.fileno()
        ours, theirs = socket.socketpair()

        async def take_over() -> None:
            while not closed(number):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0)
            os.dup2(ours.fileno(), number)

        taking = asyncio.create_task(take_over())
        door.hold()
        with ours, theirs:
            async with asyncio.timeout(5):
                with pytest.raises(ServerSilent), deadline(connection, 0.1):
                    await connection.execute("SELECT 1")
            await connection.close()
            await taking
            os.close(number)


def closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_nobody_waits_for_the_connection_of_another(
    database: FreshDatabase, run: Callable[..., None]
) -> None:
    """Closed under a waiter, a descriptor became another connection's, and the wait endless."""
    run(hang_up_while_others_connect(database))


async def test_a_database_that_takes_no_writes_is_a_503(database: FreshDatabase) -> None:
    async def write(pool: Pool) -> None:
        async with tenant_transaction(pool, "ten_x") as connection:
            await connection.execute("SET TRANSACTION READ ONLY")
            await connection.execute("CREATE TABLE nothing ()")

    async with opened(database) as (pool, _):
        await refused(write(pool))
