"""Ends the sessions that were not used for as long as they are kept.

Redis would do so by itself if they had a lifetime; but what has one is evicted when it is full, and
conversations must not be (ADR 0031). Each process looks through all of them once an hour.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import cast

import structlog
from redis.asyncio import Redis

from app.infra.redis import Guarded, RedisAway
from app.retrieval.cited import KEPT_S

log = structlog.get_logger(__name__)
#: No answer takes longer (TOTAL_TIMEOUT_S is an hour at the most).
IN_FLIGHT_S = 3600
_SWEEPING_S = 3600.0
#: Keys looked at in one step; Redis does nothing else meanwhile.
_STEP = 200
#: Beside the turns: what is sorted by the time, and for how many seconds a member is kept.
_SORTED = {
    "sessions:*": KEPT_S,
    "cites:*": KEPT_S,
    "gone:*": IN_FLIGHT_S,
    "forgotten:*": IN_FLIGHT_S,
}
#: KEYS: turns of some sessions. ARGV: a time. Ends the sessions that were last used before it; how
#: many those were.
_END = """
local ended = 0
for _, key in ipairs(KEYS) do
  local last = redis.call('LINDEX', key, -1)
  if last and cjson.decode(last)[7] < tonumber(ARGV[1]) then
    ended = ended + redis.call('UNLINK', key)
  end
end
return ended"""


async def forget_lapsed(redis: Guarded, now: datetime) -> int:
    """End the sessions that lapsed; how many those were.

    Raises:
        RedisAway: Redis is away.
    """
    ended = 0
    async for keys in keys_like(redis, "turns:*"):
        ended += await redis.run(partial(_end, keys, now.timestamp() - KEPT_S))
    for pattern, kept_s in _SORTED.items():
        async for keys in keys_like(redis, pattern):
            await redis.run(partial(_drop, keys, now.timestamp() - kept_s))
    return ended


@asynccontextmanager
async def forgetting_lapsed(redis: Guarded) -> AsyncIterator[None]:
    """Do so every now and then, until the end."""
    task = asyncio.create_task(_keep_forgetting(redis))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep_forgetting(redis: Guarded) -> None:
    while True:
        try:
            await forget_lapsed(redis, datetime.now(UTC))
            await _check_policy(redis)
        except RedisAway:
            log.info("sessions_not_forgotten")
        await asyncio.sleep(_SWEEPING_S)


async def _check_policy(redis: Guarded) -> None:
    """Say so when this Redis, which somebody else set up, may evict what was said and counted."""
    facts = await redis.run(lambda client: client.info("memory"))
    if str(facts.get("maxmemory_policy", "")).startswith("allkeys"):
        log.warning("redis_evicts_anything", policy=facts["maxmemory_policy"])


async def keys_like(redis: Guarded, pattern: str) -> AsyncGenerator[list[bytes]]:
    """The keys of a pattern, some at a time; one may come twice.

    Raises:
        RedisAway: Redis is away.
    """
    cursor = -1
    while cursor:
        cursor, keys = await redis.run(partial(_scan, pattern, max(cursor, 0)))
        if keys:
            yield keys


async def _scan(pattern: str, cursor: int, redis: Redis) -> tuple[int, list[bytes]]:
    found = await redis.scan(cursor, match=pattern, count=_STEP)
    return cast("tuple[int, list[bytes]]", found)


async def _end(keys: Sequence[bytes], before: float, redis: Redis) -> int:
    return cast("int", await redis.eval(_END, len(keys), *keys, before))


async def _drop(keys: Sequence[bytes], before: float, redis: Redis) -> None:
    async with redis.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.zremrangebyscore(key, "-inf", f"({before}")
        await pipeline.execute()
