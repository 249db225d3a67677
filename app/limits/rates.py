"""How many requests a caller may make: fixed windows, counted by all workers in one Redis.

One round trip a request checks every limit that concerns it and counts the request in all of them,
or in none when one is used up. While Redis is away each worker counts for itself, against its
share of the limits.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

from redis.asyncio import Redis

from app.errors import AppError
from app.infra.redis import Guarded, RedisAway
from app.settings import Settings

Per = Literal["ip", "key", "user", "tenant"]
RouteClass = Literal["chat", "upload", "other"]

#: Windows that are kept at once; of more, those that end first go, so that strangers with very many
#: addresses cannot fill Redis.
MOST_WINDOWS = 250_000
#: KEYS: when each window ends, in ms on Redis's clock, and the uses of each. ARGV: 1 to count or 0
#: to look, the most windows, then name, limit and window in ms of each limit. Returns whether a
#: limit is used up, then each counter's use and the rest of its window in ms. A window begins with
#: the first request in it, so no clock of ours takes part. The keys have no lifetime, so that a
#: full Redis does not evict them; windows that ended go a few at a time, and first of all, because
#: it lets a script finish that began with what frees memory (ADR 0031).
TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local found, full = {0}, false
local limits = (#ARGV - 2) / 3
for i = 1, limits do
  local ends = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[3 * i]) or '0')
  local used = 0
  if ends > now then used = tonumber(redis.call('HGET', KEYS[2], ARGV[3 * i]) or '0') end
  if used >= tonumber(ARGV[3 * i + 1]) then full = true end
  found[2 * i] = used
  found[2 * i + 1] = ends - now
end
if full then found[1] = 1 end
if full or ARGV[1] == '0' then return found end
local function drop(names)
  redis.call('ZREM', KEYS[1], '', unpack(names))
  redis.call('HDEL', KEYS[2], '', unpack(names))
end
drop(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 50))
for i = 1, limits do
  local name, window = ARGV[3 * i], tonumber(ARGV[3 * i + 2])
  found[2 * i] = found[2 * i] + 1
  redis.call('HSET', KEYS[2], name, found[2 * i])
  if found[2 * i + 1] <= 0 then
    redis.call('ZADD', KEYS[1], now + window, name)
    found[2 * i + 1] = window
  end
end
local over = redis.call('ZCARD', KEYS[1]) - ARGV[2]
if over > 0 then drop(redis.call('ZRANGE', KEYS[1], 0, math.min(over, 50) - 1)) end
return found"""
_KEYS = ("rates:ends", "rates:uses")
#: The limit that a key may have of its own.
_OF_KEY = "key_per_minute"
#: Counters a worker keeps while Redis is away; the oldest go first.
_MOST_LOCAL = 100_000
#: Callers whose counters are known.
_MOST_KNOWN = 4096


class RateLimited(AppError):
    """Too many requests; try again later."""

    status, code, retryable = 429, "rate_limited", True


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``requests`` in ``window_s`` seconds, for each address, key, user or tenant."""

    name: str
    per: Per
    requests: int
    window_s: int
    #: The routes it counts; None = all.
    route_class: RouteClass | None = None


_NAMED: dict[Per, str] = {"ip": "ip", "key": "key_id", "user": "user_id", "tenant": "tenant_id"}


@dataclass(frozen=True, slots=True)
class Subject:
    """Who makes a request, and of what kind it is; of a stranger only the address is known."""

    ip: str
    key_id: str | None = None
    tenant_id: str | None = None
    route_class: RouteClass = "other"
    user_id: str | None = None
    #: Of this key alone.
    requests_per_minute: int | None = None

    def of(self, per: Per) -> str | None:
        """The name under which a limit counts it; None = it does not concern it."""
        name: str | None = getattr(self, _NAMED[per])
        return name


@dataclass(frozen=True, slots=True)
class Use:
    """How far a limit is used up; ``reset_s`` until its window ends, 0 when none has begun."""

    limit: Limit
    used: int
    reset_s: float

    @property
    def remaining(self) -> int:
        """Requests that are left in the window."""
        return max(self.limit.requests - self.used, 0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the limits say of one request."""

    uses: tuple[Use, ...]
    #: The limit that refuses it, the one that does so longest; None = it may pass.
    refused_by: Use | None

    @property
    def tightest(self) -> Use | None:
        """The limit that will refuse first, as things are."""
        return min(self.uses, key=lambda use: use.remaining / use.limit.requests, default=None)


class _Counters(NamedTuple):
    """What a request counts in, and how the script is told."""

    limits: tuple[Limit, ...]
    names: tuple[str, ...]
    arguments: list[str | int]


def limits_of(settings: Settings) -> tuple[Limit, ...]:
    """The limits that are set."""
    day_s = 86_400
    known = (
        Limit("ip_per_minute", "ip", settings.ip_requests_per_minute, 60),
        Limit("ip_per_day", "ip", settings.ip_requests_per_day, day_s),
        Limit(_OF_KEY, "key", settings.key_requests_per_minute, 60),
        Limit("user_per_minute", "user", settings.user_requests_per_minute, 60),
        Limit("tenant_per_minute", "tenant", settings.tenant_requests_per_minute, 60),
        Limit("questions_per_minute", "key", settings.key_questions_per_minute, 60, "chat"),
        Limit("uploads_per_minute", "tenant", settings.tenant_uploads_per_minute, 60, "upload"),
    )
    return tuple(limit for limit in known if limit.requests)


class RateLimiter:
    """Counts requests against limits."""

    def __init__(
        self,
        redis: Guarded,
        limits: Sequence[Limit],
        *,
        workers: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Count in ``redis``, and apart from the other ``workers`` when it is away."""
        self._redis = redis
        self._limits = tuple(limits)
        self._local = _LocalWindows(workers, clock)
        self._script: Any = None
        # Who asks once asks again.
        self._counters = lru_cache(_MOST_KNOWN)(self._counters_of)

    async def take(self, subject: Subject, *, counted: bool = True) -> Verdict:
        """Count a request, if every limit lets it pass; with ``counted`` False only look.

        A request that is refused counts in no limit.
        """
        counters = self._counters(subject, counted=counted)
        try:
            full, *numbers = await self._redis.run(partial(self._run, counters.arguments))
        except RedisAway:
            full, *numbers = self._local.take(counters, counted=counted)
        uses = tuple(
            [
                Use(limit, used, max(left_ms, 0) / 1000)
                for limit, used, left_ms in zip(
                    counters.limits, numbers[::2], numbers[1::2], strict=True
                )
            ]
        )
        refusing = [use for use in uses if not use.remaining] if full and counted else []
        return Verdict(uses, max(refusing, key=lambda use: use.reset_s, default=None))

    def _counters_of(self, subject: Subject, *, counted: bool) -> _Counters:
        limits = tuple(
            limit
            for limit in self._limits_of(subject)
            if (limit.route_class in (None, subject.route_class) or not counted)
            and subject.of(limit.per)
        )
        names = tuple(f"{limit.name}:{subject.of(limit.per)}" for limit in limits)
        arguments: list[str | int] = [int(counted), MOST_WINDOWS]
        for name, limit in zip(names, limits, strict=True):
            arguments += (name, limit.requests, limit.window_s * 1000)
        return _Counters(limits, names, arguments)

    def _limits_of(self, subject: Subject) -> Sequence[Limit]:
        """The limits, with the key's own in the place of the one for all keys, if it is lower."""
        own = subject.requests_per_minute
        if own is None:
            return self._limits
        shared = next((limit for limit in self._limits if limit.name == _OF_KEY), None)
        if shared is None:
            return (*self._limits, Limit(_OF_KEY, "key", own, 60))
        lower = replace(shared, requests=min(own, shared.requests))
        return [lower if limit is shared else limit for limit in self._limits]

    async def _run(self, arguments: list[str | int], redis: Redis) -> list[int]:
        if self._script is None:
            self._script = redis.register_script(TAKE)
        found: list[int] = await self._script(keys=_KEYS, args=arguments)
        return found


class _LocalWindows:
    """The same windows in this process, each with this worker's share of the limit."""

    def __init__(self, workers: int, clock: Callable[[], float]) -> None:
        self._workers = workers
        self._clock = clock
        #: Name → uses, and when the window ends.
        self._windows: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def take(self, counters: _Counters, *, counted: bool) -> list[int]:
        """What the script returns; uses are scaled up to the whole limit."""
        limits, names, _ = counters
        now = self._clock()
        known = [self._windows.get(name, (0, 0.0)) for name in names]
        states = [(used, ends) if ends > now else (0, now) for used, ends in known]
        shares = [max(limit.requests // self._workers, 1) for limit in limits]
        full = any(used >= share for (used, _), share in zip(states, shares, strict=True))
        found = [int(full)]
        for name, limit, share, (before, ending) in zip(names, limits, shares, states, strict=True):
            used, ends = before, ending
            if counted and not full:
                used, ends = before + 1, ending if before else now + limit.window_s
                self._windows[name] = used, ends
                self._windows.move_to_end(name)
            shown = limit.requests if used >= share else used * self._workers
            found += (shown, int((ends - now) * 1000))
        while len(self._windows) > _MOST_LOCAL:
            self._windows.popitem(last=False)
        return found
