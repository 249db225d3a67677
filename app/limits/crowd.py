"""How many questions of one tenant are answered at once, over all workers.

Each worker gives a few places away by itself, which costs nothing; the others are shared. Each
question on one of those is in the tenant's list in Redis, until it leaves or its process no longer
renews it: a process that was killed holds nobody's place for long. While Redis is away each worker
has its share of all places.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from redis.asyncio import Redis

from app.infra.ids import new_id
from app.infra.redis import Guarded, RedisAway
from app.infra.times import rfc3339
from app.limits.rates import RateLimited

#: A place whose process is gone is free again after this.
LEASE_MS = 15_000
_RENEWED_S = 5.0
#: What a client that was refused is told to wait.
_AGAIN_S = 1
#: One place of so many is given away by the workers themselves.
_OWN_PART = 16

# Places have no lifetime, so that a full Redis does not evict them, and each script begins with
# what frees memory, so that it lets the script finish (ADR 0031).
#: KEYS: a tenant's places. ARGV: how many there are, a lease in ms, a name. Whether it got one.
_ENTER = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
return 1"""
#: KEYS: the places of a tenant. ARGV: a lease in ms, names. Holds their places for another lease.
_RENEW = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end"""


class Place(NamedTuple):
    """One question's; without a name it is the worker's own."""

    tenant_id: str
    name: str | None


@dataclass(slots=True)
class _Here:
    """The places of one tenant that this process has given away."""

    own: int = 0
    #: Names in the tenant's list.
    shared: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return self.own + len(self.shared)


class Crowd:
    """The questions under way."""

    def __init__(self, redis: Guarded, at_once: int, *, workers: int) -> None:
        """Let ``at_once`` questions of a tenant be answered at once; 0 = as many as come."""
        self._redis = redis
        self._at_once = at_once
        self._share = max(at_once // workers, 1)
        self._own = at_once // (_OWN_PART * workers)
        self._shared = at_once - self._own * workers
        self._here: defaultdict[str, _Here] = defaultdict(_Here)
        self._scripts: dict[str, Any] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def place(self, tenant_id: str) -> AsyncIterator[None]:
        """A place among the tenant's questions, until the context ends.

        Raises:
            RateLimited: all are taken.
        """
        place = await self.enter(tenant_id)
        try:
            yield
        finally:
            self.leave(place)

    async def enter(self, tenant_id: str) -> Place:
        """A place, which is to be left by :meth:`leave`.

        Raises:
            RateLimited: all are taken.
        """
        own = not self._at_once or self._given(tenant_id).own < self._own
        name = None if own else await self._shared_name(tenant_id)
        here = self._here[tenant_id]
        if name is None:
            here.own += 1
        else:
            here.shared.add(name)
        return Place(tenant_id, name)

    def leave(self, place: Place) -> None:
        """Let somebody else have a place."""
        tenant_id, name = place
        here = self._here[tenant_id]
        if name is None:
            here.own -= 1
        else:
            here.shared.discard(name)
            self._begin_to_leave(tenant_id, name)
        if not here:
            del self._here[tenant_id]

    def _given(self, tenant_id: str) -> _Here:
        """What this process has given away, to look at."""
        return self._here.get(tenant_id) or _Here()

    async def _shared_name(self, tenant_id: str) -> str:
        """The name of a shared place."""
        name = new_id("ans")
        try:
            free = bool(await self._run(_ENTER, tenant_id, [self._shared, LEASE_MS, name]))
        except RedisAway:
            free = len(self._given(tenant_id)) < self._share
        except asyncio.CancelledError:  # it may have the place already
            self._begin_to_leave(tenant_id, name)
            raise
        if not free:
            raise self._refusal()
        return name

    def _refusal(self) -> RateLimited:
        error = RateLimited(
            f"{self._at_once} questions of this tenant are being answered already; ask again when "
            "one of them is.",
            limit="tenant_at_once",
            reset_at=rfc3339(datetime.now(UTC) + timedelta(seconds=_AGAIN_S)),
        )
        error.retry_after_s = _AGAIN_S
        return error

    def _begin_to_leave(self, tenant_id: str, name: str) -> None:
        # A task of its own: whoever is cancelled leaves, too, and nobody waits for it.
        leaving = asyncio.create_task(self._tell_left(tenant_id, name))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _tell_left(self, tenant_id: str, name: str) -> None:
        with suppress(RedisAway):
            await self._redis.run(lambda redis: redis.zrem(_key(tenant_id), name))

    async def emptied(self) -> None:
        """Wait until every place that was left is free for others."""
        await asyncio.gather(*self._leaving)

    async def keep_places(self) -> None:
        """Hold the places of this process, until cancelled."""
        while True:
            await asyncio.sleep(_RENEWED_S)
            for tenant_id, here in list(self._here.items()):
                if here.shared:
                    with suppress(RedisAway):
                        await self._run(_RENEW, tenant_id, [LEASE_MS, *here.shared])

    async def _run(self, text: str, tenant_id: str, values: list[Any]) -> Any:  # noqa: ANN401 - a script's reply
        return await self._redis.run(partial(self._command, text, _key(tenant_id), values))

    async def _command(self, text: str, key: str, values: list[Any], redis: Redis) -> Any:  # noqa: ANN401 - as above
        if text not in self._scripts:
            self._scripts[text] = redis.register_script(text)
        return await self._scripts[text](keys=[key], args=values)


@asynccontextmanager
async def open_crowd(redis: Guarded, at_once: int, *, workers: int) -> AsyncIterator[Crowd]:
    """The questions under way in this process, whose places are held until the end."""
    crowd = Crowd(redis, at_once, workers=workers)
    keeping = asyncio.create_task(crowd.keep_places())
    try:
        yield crowd
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await crowd.emptied()


def _key(tenant_id: str) -> str:
    return f"under_way:{tenant_id}"
