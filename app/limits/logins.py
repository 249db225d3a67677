"""How often signing in may fail: fixed windows in Redis, of each IP and each e-mail address.

An attempt is counted before it is made and given back when it succeeds, so that a hundred at once
are no more than the limit. Without Redis nobody is let try: guessing must not be free because a
cache is away.
"""

import math
from collections.abc import Awaitable, Sequence
from hashlib import sha256
from typing import cast

from redis.asyncio import Redis

from app.errors import Unavailable
from app.infra.redis import Guarded, RedisAway
from app.limits.rates import MOST_WINDOWS, TAKE, RateLimited
from app.settings import Settings

_WINDOW_MS = 60_000
_KEYS = ("logins:ends", "logins:uses")
#: KEYS: as of ``TAKE``. ARGV: names. Takes one attempt off each counter; one that has begun anew
#: meanwhile does not go below nothing. It begins as that does, for a Redis that is full.
_GIVE_BACK = """
redis.call('HDEL', KEYS[2], '')
for _, name in ipairs(ARGV) do
  if tonumber(redis.call('HGET', KEYS[2], name) or '0') > 0 then
    redis.call('HINCRBY', KEYS[2], name, -1)
  end
end"""


class LoginsUnavailable(Unavailable):
    """Nobody can sign in at the moment; try again shortly."""

    code = "logins_unavailable"


class LoginLimits:
    """Counts failed attempts over all workers; the contract is that of ``auth.login.Attempts``."""

    def __init__(self, redis: Guarded, settings: Settings) -> None:
        self._redis = redis
        self._limits = (
            settings.login_failures_per_minute_per_ip,
            settings.login_failures_per_minute_per_email,
        )

    async def take(self, ip: str, email: str) -> None:
        """Count one attempt.

        Raises:
            RateLimited: as many have failed within a minute as may.
            LoginsUnavailable: Redis is away.
        """
        arguments: list[str | int] = [1, MOST_WINDOWS]
        for name, limit in zip(_names(ip, email), self._limits, strict=True):
            arguments += (name, limit, _WINDOW_MS)
        try:
            full, *numbers = await self._redis.run(lambda redis: self._eval(redis, TAKE, arguments))
        except RedisAway as error:
            raise LoginsUnavailable from error
        if full:
            counters = zip(self._limits, numbers[::2], numbers[1::2], strict=True)
            left_ms = max(left for limit, used, left in counters if used >= limit)
            refusal = RateLimited("Too many attempts have failed; try again later.")
            refusal.retry_after_s = max(math.ceil(left_ms / 1000), 1)
            raise refusal

    async def give_back(self, ip: str, email: str) -> None:
        """Count it no more; while Redis is away it stays counted until its window ends."""
        try:
            await self._redis.run(lambda redis: self._eval(redis, _GIVE_BACK, _names(ip, email)))
        except RedisAway:
            return

    @staticmethod
    def _eval(redis: Redis, script: str, arguments: Sequence[str | int]) -> Awaitable[list[int]]:
        return cast("Awaitable[list[int]]", redis.eval(script, 2, *_KEYS, *map(str, arguments)))


def _names(ip: str, email: str) -> list[str]:
    # Addresses are hashed: the name has one length, and Redis holds no list of people.
    whose = sha256(email.encode("utf-8", "replace")).hexdigest()[:32]
    return [f"ip:{ip}", f"email:{whose}"]
