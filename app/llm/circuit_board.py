"""Circuits as all workers share them, in Redis; the only file that knows how they lie there.

A circuit is up to three keys: ``open`` lives as long as the provider is to be left alone,
``failures`` counts its openings in a row and outlives it, ``probe`` is the lease of whoever tries
whether the provider is back. All times are durations, so nobody's clock matters.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from redis.asyncio import Redis

from app.infra.redis import Guarded
from app.llm.circuit import CircuitKey, Pass

#: How long failures are remembered beyond the time a provider is left alone.
KEEP_S = 86_400

Verdict = Literal["yours", "taken", "closed", "open"]

# Opens or keeps open: never for less than is left, one failure more unless it was open already.
_OPEN = """
local left = redis.call('PTTL', KEYS[1])
local count = math.max(1, tonumber(redis.call('GET', KEYS[2]) or 0) + (left > 0 and 0 or 1))
local waits = #ARGV - 3
local wait = math.max(left, tonumber(ARGV[1]), tonumber(ARGV[3 + math.min(count, waits)]))
redis.call('SET', KEYS[1], 1, 'PX', wait)
redis.call('SET', KEYS[2], count, 'PX', wait + tonumber(ARGV[2]))
if redis.call('GET', KEYS[3]) == ARGV[3] then redis.call('DEL', KEYS[3]) end
return {wait, count}
"""
# A lease, unless the circuit is no longer half-open: whoever asks may have old news.
_LEASE = """
local left = redis.call('PTTL', KEYS[1])
if left > 0 then return {'open', left} end
if redis.call('EXISTS', KEYS[2]) == 0 then return {'closed', 0} end
if redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'yours', 0} end
return {'taken', 0}
"""
_RELEASE = "if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end"


@dataclass(frozen=True, slots=True)
class Shared:
    """A circuit as it stands in Redis; closed when there are no ``failures``."""

    open_s: float
    failures: int


class CircuitBoard:
    """Everything here raises :class:`~app.infra.redis.RedisAway` when Redis does not answer."""

    def __init__(self, redis: Guarded) -> None:
        self._redis = redis

    async def read(self, keys: Sequence[CircuitKey]) -> list[Shared]:
        """How the circuits stand, in one round trip."""

        def ask(client: Redis) -> Awaitable[list[int | bytes | None]]:
            pipe = client.pipeline(transaction=False)
            for key in keys:
                opened, failures, _ = _names(key)
                pipe.pttl(opened)
                pipe.get(failures)
            return pipe.execute()

        found = await self._redis.run(ask)
        pairs = zip(found[::2], found[1::2], strict=True)
        return [Shared(max(0, int(left or 0)) / 1000, int(count or 0)) for left, count in pairs]

    async def open(self, leave: Pass, *, asked_s: float, waits_s: Sequence[float]) -> Shared:
        """Open for the longest of ``asked_s``, what is left, and ``waits_s[failures - 1]``.

        The last of ``waits_s`` goes for all further failures; the lease of a probe ends.
        """
        waits = [_ms(wait_s) for wait_s in waits_s]
        ran = await self._run(_OPEN, leave.key, _ms(asked_s), _ms(KEEP_S), leave.lease, *waits)
        left, count = cast("tuple[int, int]", ran)
        return Shared(left / 1000, count)

    async def lease(self, key: CircuitKey, lease: str, *, lease_s: float) -> tuple[Verdict, float]:
        """Ask to be the one who tries; when it is open after all, for how many more seconds."""
        said, left = cast("tuple[bytes, int]", await self._run(_LEASE, key, lease, _ms(lease_s)))
        return cast("Verdict", said.decode()), left / 1000

    async def release(self, key: CircuitKey, lease: str) -> None:
        """Let somebody else try."""
        await self._run(_RELEASE, key, lease)

    async def close(self, key: CircuitKey) -> None:
        """The provider is back, for everybody."""
        await self._redis.run(lambda client: client.delete(*_names(key)))

    async def _run(self, script: str, key: CircuitKey, *args: str | int) -> object:
        return await self._redis.run(
            lambda client: cast("Awaitable[object]", client.eval(script, 3, *_names(key), *args))
        )


def _names(key: CircuitKey) -> tuple[str, str, str]:
    """The keys in Redis: open, failures, probe."""
    name = f"circuit:{{{key.provider}:{key.model}:{key.upstream}}}"
    return f"{name}:open", f"{name}:failures", f"{name}:probe"


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
