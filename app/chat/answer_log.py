"""The query log: how answers came about, and what their readers said of them.

A record is there for its caller at once, from Redis, and a second later in the database, where it
stays for ``QUERY_LOG_DAYS``. It is written behind the answer and never delays one: while the
database is away records wait, the oldest of too many are dropped and counted.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from itertools import groupby
from typing import cast

import psycopg
import structlog

from app.auth.caller import Caller
from app.chat.feedback_store import keep_feedback
from app.chat.record import AnswerNotFound, Record
from app.errors import Unavailable
from app.infra.metrics import Metrics
from app.infra.postgres import Pool, fetch_all, tenant_transaction
from app.infra.redis import Entry, Guarded, RedisAway

log = structlog.get_logger(__name__)
#: Seconds a record waits for others to be written with.
GATHERED_S = 1.0
#: How long Redis shows a record that may not be in the database yet.
SHOWN_S = 600
#: Records that wait while the database is away.
_MOST_WAITING = 10_000
_FORGETTING_S = 3600.0
_INSERT = """
    INSERT INTO answers (id, tenant_id, caller_id, asked_at, record)
    SELECT r ->> 'answer_id', %(tenant)s, r ->> 'caller_id', (r ->> 'asked_at')::timestamptz,
           r - 'caller_id'
    FROM jsonb_array_elements(%(records)s::jsonb) AS r
    ON CONFLICT (id) DO NOTHING"""


class AnswerLog:
    """The records of all tenants; each caller sees its own, an admin its tenant's."""

    def __init__(
        self, redis: Guarded, pool: Pool, *, kept_days: int, metrics: Metrics | None = None
    ) -> None:
        """Keep records for ``kept_days``; 0 keeps none beyond ten minutes."""
        self._redis = redis
        self._pool = pool
        self._kept_days = kept_days
        self._metrics = metrics or Metrics()
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._tasks: list[asyncio.Task[None]] = []

    def note(self, record: Record) -> Entry:
        """Take a record to be written; what Redis is to show of it until then."""
        encoded = record.encoded()
        if self._kept_days:
            if len(self._waiting) >= _MOST_WAITING:
                self._waiting.popleft()
                self._metrics.record_dropped()
            self._waiting.append((record.tenant_id, encoded))
        return Entry(_key(record.tenant_id, record.answer_id), encoded, SHOWN_S)

    async def find(self, caller: Caller, answer_id: str) -> Record:
        """The record of an answer.

        Raises:
            AnswerNotFound: there is none that the caller may see.
            DatabaseUnavailable: Redis does not have it and the database does not answer.
        """
        found = await self._shown(caller.tenant_id, answer_id)
        if found is None:
            found = await self._logged(caller.tenant_id, answer_id)
        if found is None or (found.caller_id != caller.id and "admin" not in caller.scopes):
            raise AnswerNotFound
        return found

    async def judge(
        self, caller: Caller, answer_id: str, *, score: int, comment: str | None
    ) -> Record:
        """Keep what the caller thinks of an answer: 1 or -1; a second opinion replaces the first.

        Returns the answer's record.

        Raises:
            AnswerNotFound: there is none that the caller may see.
            DatabaseUnavailable: when the database does not answer.
        """
        record = await self.find(caller, answer_id)
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            await keep_feedback(connection, caller, record, score=score, comment=comment)
        return record

    async def _shown(self, tenant_id: str, answer_id: str) -> Record | None:
        key = _key(tenant_id, answer_id)
        try:
            kept: bytes | None = await self._redis.run(
                lambda redis: cast("Awaitable[bytes | None]", redis.get(key))
            )
        except RedisAway:
            return None
        return Record.decoded(tenant_id, kept) if kept else None

    async def _logged(self, tenant_id: str, answer_id: str) -> Record | None:
        if "\0" in answer_id:  # which PostgreSQL's text cannot hold
            return None
        async with tenant_transaction(self._pool, tenant_id) as connection:
            cursor = await connection.execute(
                "SELECT caller_id, record FROM answers WHERE tenant_id = %s AND id = %s",
                (tenant_id, answer_id),
            )
            row = await cursor.fetchone()
        return (
            None if row is None else Record(tenant_id, row["caller_id"], answer_id, row["record"])
        )

    async def write(self) -> None:
        """Write what waits.

        Raises:
            Unavailable: the database is away; the records go on waiting.
        """
        records = sorted(self._waiting, key=_tenant)
        self._waiting.clear()
        try:
            for tenant_id, group in groupby(records, key=_tenant):
                joined = b"[" + b",".join(encoded for _, encoded in group) + b"]"
                values = {"tenant": tenant_id, "records": joined.decode()}
                try:
                    async with tenant_transaction(self._pool, tenant_id) as connection:
                        await connection.execute(_INSERT, values)
                except psycopg.Error:  # not for its being away: it would be refused again for ever
                    log.exception("records_refused", tenant_id=tenant_id)
        except BaseException:  # cancelled, too; those that were written are not written twice
            self._waiting.extendleft(reversed(records))
            raise

    async def forget(self) -> None:
        """Remove what is older than it may be."""
        await fetch_all(self._pool, "SELECT forget_answers(%(days)s)", {"days": self._kept_days})

    async def close(self) -> None:
        """Stop, and write what is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._try_writing()

    def open(self) -> None:
        """Begin to write now and then, and to forget."""
        self._tasks = [asyncio.create_task(self._keep_writing())]
        if self._kept_days:
            self._tasks.append(asyncio.create_task(self._keep_forgetting()))

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(GATHERED_S)
            await self._try_writing()

    async def _try_writing(self) -> None:
        try:
            await self.write()
        except Unavailable:
            log.warning("answers_not_logged", waiting=len(self._waiting))

    async def _keep_forgetting(self) -> None:
        while True:
            try:
                await self.forget()
            except Unavailable:
                log.info("answers_not_forgotten")
            await asyncio.sleep(_FORGETTING_S)


@asynccontextmanager
async def open_answer_log(
    redis: Guarded, pool: Pool, *, kept_days: int, metrics: Metrics
) -> AsyncIterator[AnswerLog]:
    """The query log of this process, written until the end."""
    answers = AnswerLog(redis, pool, kept_days=kept_days, metrics=metrics)
    answers.open()
    try:
        yield answers
    finally:
        await answers.close()


def _tenant(waiting: tuple[str, bytes]) -> str:
    return waiting[0]


def _key(tenant_id: str, answer_id: str) -> str:
    return f"record:{tenant_id}:{answer_id}"
