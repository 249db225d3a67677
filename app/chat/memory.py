"""What was asked and answered in a session: the last thirty turns, for thirty days.

A session belongs to one caller of one tenant. Turns that cite what has changed since are marked
whenever they are read; those that cite a document that was deleted lose their text for good when
it is deleted. Kept in Redis: while it is away, questions are answered without what was said before,
and while it is full of what must not be evicted, new turns are not kept (ADR 0031).
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from redis.asyncio import Redis

from app.auth.caller import Caller
from app.chat.memory_scripts import EMPTY, FORGET, MARK_GONE, REMEMBER
from app.chat.memory_sweep import IN_FLIGHT_S, forgetting_lapsed, keys_like
from app.chat.turn import Turn
from app.errors import NotFound, PlaceGone, Unavailable
from app.infra.postgres import Pool
from app.infra.redis import Entry, Guarded, RedisAway
from app.retrieval.cited import KEPT_S
from app.retrieval.standing import current_versions

#: Design: issue "Conversation and trust".
MOST_TURNS = 30
#: Sessions of one caller that are listed; older ones go on existing until they lapse.
MOST_SESSIONS = 1000


class SessionNotFound(NotFound):
    """There is no such session."""

    code = "session_not_found"


class MemoryUnavailable(Unavailable):
    """What was said before cannot be read right now; try again shortly."""

    code = "memory_unavailable"


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation of a caller."""

    id: str
    turns: int
    #: Its first question that is still remembered.
    title: str
    used_at: datetime


class Memory:
    """The sessions of all callers."""

    def __init__(self, redis: Guarded, pool: Pool) -> None:
        self._redis = redis
        self._pool = pool
        self._scripts: dict[str, Any] = {}

    async def recall(self, caller: Caller, session_id: str) -> tuple[Turn, ...]:
        """The turns of a session, oldest first, as they stand now; none without Redis.

        Raises:
            DatabaseUnavailable: nobody can tell what has become of the documents.
        """
        try:
            kept = await self._kept(caller, session_id)
        except RedisAway:
            return ()
        return await self._standing(caller.tenant_id, kept)

    async def read(self, caller: Caller, session_id: str) -> tuple[Turn, ...]:
        """The turns of a session, oldest first, as they stand now.

        Raises:
            SessionNotFound: the caller has no such session.
            MemoryUnavailable: Redis is away.
            DatabaseUnavailable: the database is.
        """
        try:
            kept = await self._kept(caller, session_id)
        except RedisAway as error:
            raise MemoryUnavailable from error
        if not kept:
            raise SessionNotFound
        return await self._standing(caller.tenant_id, kept)

    async def remember(
        self,
        caller: Caller,
        session_id: str,
        turn: Turn,
        entries: Sequence[Entry] = (),
        *,
        took_s: float = 0.0,
    ) -> None:
        """Keep a turn, and ``entries`` in the same round trip; without Redis nothing is kept.

        Nor is the turn when its session was forgotten in the ``took_s`` that the answer took.
        """
        name = _name(caller, session_id)
        documents = sorted({cite.document_id for cite in turn.cites})
        keys = [
            _turns_key(caller.tenant_id, name),
            _sessions_key(caller),
            _gone_key(caller.tenant_id),
            _forgotten_key(caller),
            *(_citing_key(caller.tenant_id, document_id) for document_id in documents),
            *(entry.key for entry in entries),
        ]
        arguments: list[Any] = [*turn.encoded(), MOST_TURNS, KEPT_S]
        arguments += [session_id, turn.asked_at.timestamp(), MOST_SESSIONS, name, len(entries)]
        arguments += [took_s, *documents]
        for entry in entries:
            arguments += (entry.value, entry.ttl_s)
        with suppress(RedisAway):
            await self._run(REMEMBER, keys, arguments)

    async def _run(self, text: str, keys: Sequence[Any], arguments: list[Any]) -> Any:  # noqa: ANN401 - a script's reply
        async def command(redis: Redis) -> Any:  # noqa: ANN401
            if text not in self._scripts:
                self._scripts[text] = redis.register_script(text)
            return await self._scripts[text](keys=keys, args=arguments)

        return await self._redis.run(command)

    async def sessions(
        self, caller: Caller, *, after: str | None, limit: int
    ) -> tuple[list[Session], bool]:
        """Sessions, last used first, and whether there are more.

        Raises:
            PlaceGone: the one that the page before ended with was forgotten.
            MemoryUnavailable: Redis is away.
        """

        async def command(redis: Any) -> tuple[list[tuple[bytes, float]], list[Any]] | None:  # noqa: ANN401 - redis-py's generic client
            first = 0
            if after is not None:
                place = await redis.zrevrank(_sessions_key(caller), after)
                if place is None:
                    return None
                first = place + 1
            found = await redis.zrevrange(
                _sessions_key(caller), first, first + limit, withscores=True
            )
            async with redis.pipeline(transaction=False) as pipeline:
                for session_id, _ in found:
                    key = _turns_key(caller.tenant_id, _name(caller, session_id.decode()))
                    pipeline.llen(key)
                    pipeline.lindex(key, 0)
                return found, await pipeline.execute()

        try:
            listed = await self._redis.run(command)
        except RedisAway as error:
            raise MemoryUnavailable from error
        if listed is None:
            raise PlaceGone
        found, facts = listed
        sessions = [
            Session(
                session_id.decode(),
                count,
                Turn.decoded(first).question,
                datetime.fromtimestamp(used_at, UTC),
            )
            for (session_id, used_at), count, first in zip(
                found, facts[::2], facts[1::2], strict=True
            )
            if first is not None  # it lapsed between the two looks
        ]
        return sessions[:limit], len(found) > limit

    async def forget(self, caller: Caller, session_id: str) -> None:
        """Forget a session, with the answers to it that are under way.

        Raises:
            SessionNotFound: the caller has no such session.
            MemoryUnavailable: Redis is away.
        """
        turns = _turns_key(caller.tenant_id, _name(caller, session_id))
        keys = [turns, _sessions_key(caller), _forgotten_key(caller)]
        try:
            if not await self._run(FORGET, keys, [session_id, IN_FLIGHT_S]):
                raise SessionNotFound
        except RedisAway as error:
            raise MemoryUnavailable from error

    async def forget_document(self, tenant_id: str, document_id: str) -> int:
        """Empty the text of every turn that cites a document; how many turns those are.

        Without Redis none is emptied now: what is read later is looked at before it is shown.
        """
        keys = [_gone_key(tenant_id), _citing_key(tenant_id, document_id)]
        emptied = 0
        with suppress(RedisAway):
            for name in await self._run(MARK_GONE, keys, [document_id, time.time(), IN_FLIGHT_S]):
                turns = _turns_key(tenant_id, name.decode())
                emptied += int(await self._run(EMPTY, [turns], [document_id]))
        return emptied

    async def admit_document(self, tenant_id: str, document_id: str) -> None:
        """Let turns that cite a document keep their text again, as it was restored."""
        with suppress(RedisAway):
            await self._redis.run(lambda redis: redis.zrem(_gone_key(tenant_id), document_id))

    async def cited(self, tenant_id: str) -> dict[str, set[tuple[str, int]]]:
        """Of all turns that still have their text: the versions that they cite, by answer.

        Raises:
            MemoryUnavailable: Redis is away.
        """
        found: dict[str, set[tuple[str, int]]] = {}
        try:
            async for keys in keys_like(self._redis, _turns_key(tenant_id, "*")):
                for key in keys:
                    kept: list[bytes] = await self._redis.run(partial(_range, key))
                    for turn in map(Turn.decoded, kept):
                        if turn.text and turn.cites:
                            versions = {(cite.document_id, cite.version) for cite in turn.cites}
                            found[turn.answer_id] = versions
        except RedisAway as error:
            raise MemoryUnavailable from error
        return found

    async def _kept(self, caller: Caller, session_id: str) -> list[Turn]:
        key = _turns_key(caller.tenant_id, _name(caller, session_id))
        return [Turn.decoded(kept) for kept in await self._redis.run(partial(_range, key))]

    async def _standing(self, tenant_id: str, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        documents = {cite.document_id for turn in turns for cite in turn.cites}
        current = await current_versions(self._pool, tenant_id, documents)
        return tuple(_as_it_stands(turn, current) for turn in turns)


@asynccontextmanager
async def open_memory(redis: Guarded, pool: Pool) -> AsyncIterator[Memory]:
    """The sessions, those that lapsed forgotten now and then, until the end."""
    async with forgetting_lapsed(redis):
        yield Memory(redis, pool)


def _as_it_stands(turn: Turn, current: dict[str, int]) -> Turn:
    if any(cite.document_id not in current for cite in turn.cites):
        return turn.without_text()
    stale = any(cite.marker and current[cite.document_id] != cite.version for cite in turn.cites)
    return replace(turn, stale=stale)


async def _range(key: str | bytes, redis: Redis) -> list[bytes]:
    return cast("list[bytes]", await cast("Any", redis.lrange(cast("str", key), 0, -1)))


def _name(caller: Caller, session_id: str) -> str:
    # The session last: it may hold colons, the ids before it do not.
    return f"{caller.id}:{session_id}"


def _turns_key(tenant_id: str, name: str) -> str:
    return f"turns:{tenant_id}:{name}"


def _sessions_key(caller: Caller) -> str:
    return f"sessions:{caller.tenant_id}:{caller.id}"


def _forgotten_key(caller: Caller) -> str:
    return f"forgotten:{caller.tenant_id}:{caller.id}"


def _citing_key(tenant_id: str, document_id: str) -> str:
    return f"cites:{tenant_id}:{document_id}"


def _gone_key(tenant_id: str) -> str:
    return f"gone:{tenant_id}"
