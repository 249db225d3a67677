"""PostgreSQL: the pool every query goes through, and tenant transactions.

One driver, psycopg 3, serves the request path, Alembic and the job queue. Connections act as
``docent_app``, which owns nothing, so that row-level security holds whoever the URL logs in as.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from app.errors import ConfigurationError, Unavailable
from app.infra.hanging_up import ServerSilent, deadline, is_lost
from app.infra.reach import current_reach

Connection = psycopg.AsyncConnection[DictRow]
#: Seconds the client waits beyond the statement timeout, for a server that cannot even time out.
GRACE_S = 1.0
#: What grows with a document, the corpus or the query log is allowed: its rows enter the vector
#: index again, one to three milliseconds each, or all of them are read.
LONG_S = 120.0
#: The same for a program that nobody waits for at the other end of a request.
PROGRAM_S = 600.0
#: Seconds in which a connection is made, and as many again to set it up.
CONNECT_S = 5


class Pool(AsyncConnectionPool[Connection]):
    """The connections of one process; every use of one ends within ``deadline_s``."""

    deadline_s: float = 60.0

    @asynccontextmanager
    async def connection(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - psycopg's
        *,
        deadline_s: float | None = None,
    ) -> AsyncIterator[Connection]:
        """A connection, hung up when its user has it for longer than ``deadline_s``.

        psycopg's own commits at the end; ours are in autocommit and have nothing to (14 of 25 us).
        """
        connection = await self.getconn(timeout)
        try:
            if deadline_s:  # a server that is frozen is noticed as soon as by everybody else
                with deadline(connection, self.deadline_s):
                    await connection.execute("SELECT 1")
            with deadline(connection, deadline_s or self.deadline_s):
                yield connection
        finally:
            await self.putconn(connection)

    async def getconn(self, timeout: float | None = None) -> Connection:  # noqa: ASYNC109 - psycopg's
        """A connection that the server has not hung up, to be given back by :meth:`putconn`."""
        ends = monotonic() + (self.timeout if timeout is None else timeout)
        while is_lost(connection := await self._lend(ends - monotonic())):
            await connection.close()
            await self.putconn(connection)  # which makes another
        return connection

    async def putconn(self, conn: Connection) -> None:
        """Give a connection back, whoever is cancelled meanwhile.

        One that is in the middle of something is closed: the pool would roll back, and a server
        that is frozen never says that it has. The pool also waits for its lock, and a cancellation
        that came then left it one connection short for good.
        """
        if conn.pgconn.transaction_status != TransactionStatus.IDLE:
            await conn.close()
        back = super().putconn(conn)
        # A lock that is free and nobody's next is not waited for, so that nothing can come between.
        # Between two owners it is free, and those who wait are before us all the same.
        waited_for = self._lock.locked() or self._lock._waiters or self._waiting
        await (asyncio.shield(back) if waited_for else back)

    async def _lend(self, timeout_s: float) -> Connection:
        """A connection, or a cancellation that came with it.

        The pool waits with ``asyncio.wait_for``, which before Python 3.12 loses it: the work of a
        client that had left went on to ask a provider.
        """
        task = asyncio.current_task()
        asked = task.cancelling() if task else 0
        connection = await super().getconn(timeout_s)
        if task and task.cancelling() > asked:
            await self.putconn(connection)
            raise asyncio.CancelledError
        return connection


_SETUP = sql.SQL(
    "SET ROLE docent_app; SET search_path = public, jobs; SET jit = off;"
    "SET hnsw.ef_search = {ef_search}; SET hnsw.iterative_scan = strict_order;"
    "SET statement_timeout = {statement_timeout_ms}; SET TIME ZONE 'UTC';"
    # The locks of a process that was frozen in mid-transaction are not everybody's problem.
    "SET idle_in_transaction_session_timeout = '15s'"
)


class DatabaseUnavailable(Unavailable):
    """The database is not answering; try again shortly."""

    code = "database_unavailable"


#: What the driver and its pool say when it is not there, or takes no writes at present.
_AWAY = (
    psycopg.OperationalError,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
)
#: What is not tried again, for that would be to wait twice.
_WAITED = (psycopg.errors.QueryCanceled, ServerSilent, PoolTimeout, PoolClosed)


@asynccontextmanager
async def open_pool(
    url: str,
    *,
    size: int,
    timeout_s: float,
    ef_search: int = 100,
    statement_timeout_s: float = 5,
) -> AsyncIterator[Pool]:
    """Open the pool of this process and close it at the end.

    ``timeout_s`` bounds the wait for a free connection, and nothing else does: a crowd that one
    worker happened to accept is served in turn, and how many wait is how many are connected.
    Connections are in autocommit: one statement is one transaction, and several are bound by
    :func:`tenant_transaction`.

    Raises:
        DatabaseUnavailable: when no connection can be made.
    """
    setup = _SETUP.format(
        ef_search=sql.Literal(ef_search),
        statement_timeout_ms=sql.Literal(int(statement_timeout_s * 1000)),
    )

    async def configure(connection: Connection) -> None:
        # Set here and not in kwargs: Procrastinate passes its own to the same connect call.
        with deadline(connection, CONNECT_S):
            await connection.set_autocommit(True)
            await connection.execute(setup)

    pool = Pool(
        url,
        connection_class=psycopg.AsyncConnection[DictRow],
        kwargs={"row_factory": dict_row, "connect_timeout": CONNECT_S},
        configure=configure,
        min_size=1,
        max_size=size,
        timeout=timeout_s,
        # It doubles its pauses while it tries: much longer, and it would be late to notice that the
        # database is back. The next query tries at once.
        reconnect_timeout=2,
        open=False,
    )
    pool.deadline_s = statement_timeout_s + GRACE_S
    try:
        with translated():
            await pool.open(wait=True, timeout=timeout_s)
        yield pool
    finally:
        await pool.close()


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's "it is not there" into ours; SQL mistakes stay what they are, a 500."""
    try:
        yield
    except _AWAY as error:
        raise DatabaseUnavailable from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            "The database user may not act as docent_app; run the migrations as the user of "
            "DATABASE_URL, or grant it: GRANT docent_app TO <user>."
        ) from error


async def fetch_all(pool: Pool, query: str, values: Mapping[str, Any]) -> list[DictRow]:
    """Run one read-only statement and return its rows.

    When the server hangs up meanwhile it runs again, which is safe because it only reads.

    Raises:
        DatabaseUnavailable: when it fails a second time, or took too long.
    """
    with translated():
        try:
            return await _fetch(pool, query, values)
        except _WAITED:
            raise
        except psycopg.OperationalError:
            return await _fetch(pool, query, values)


async def _fetch(pool: Pool, query: str, values: Mapping[str, Any]) -> list[DictRow]:
    connection = await pool.getconn()  # not by `connection()`, which costs 8 us
    try:
        with deadline(connection, pool.deadline_s):
            cursor = await connection.execute(query, values, binary=True)
            return await cursor.fetchall()
    finally:
        await pool.putconn(connection)


@asynccontextmanager
async def tenant_transaction(
    pool: Pool, tenant_id: str, *, allow_s: float = 0.0
) -> AsyncIterator[Connection]:
    """A transaction that sees and writes the rows of one tenant only, as far as the task reaches.

    What grows with a document, the corpus or the query log may take longer than a question:
    ``allow_s`` as a whole, if the pool does not allow as much to all.

    Raises:
        DatabaseUnavailable: when the database goes away; nothing has been written then.
    """
    longer = allow_s > pool.deadline_s
    with translated():
        async with (
            pool.connection(deadline_s=allow_s + GRACE_S if longer else None) as connection,
            connection.transaction(),
        ):
            await enter_tenant(connection, tenant_id)
            if longer:
                await connection.execute(
                    "SELECT set_config('statement_timeout', %s, true)", (f"{allow_s:g}s",)
                )
            yield connection


async def enter_tenant(connection: Connection, tenant_id: str) -> None:
    """Show the open transaction the rows of ``tenant_id``, until it ends.

    Of its documents those that the running task reaches (``app/infra/reach.py``).
    """
    await connection.execute(
        "SELECT set_config('app.tenant', %s, true), set_config('app.reach', %s, true)",
        (tenant_id, current_reach()),
    )


async def copy_rows(
    connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Insert ``rows`` by COPY, in the open transaction.

    They go through a temporary table, because PostgreSQL refuses COPY into a table under row-level
    security; the policy is checked on the way from there.
    """
    into, staged = sql.Identifier(table), sql.Identifier("pg_temp", f"incoming_{table}")
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    await connection.execute(
        sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
            staged, names, into
        )
    )
    async with connection.cursor().copy(
        sql.SQL("COPY {} ({}) FROM STDIN").format(staged, names)
    ) as copy:
        for row in rows:
            await copy.write_row(row)
    await connection.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(into, names, names, staged)
    )
