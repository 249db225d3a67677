"""Redis: one client a process, with timeouts short enough that a frozen server cannot hold us.

Everything kept there is a convenience or has a local substitute, so nothing may wait for it: all
but the event hub go through :class:`Guarded`, which leaves a Redis that failed alone for a moment.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from app.errors import ConfigurationError
from app.infra.metrics import Metrics

log = structlog.get_logger(__name__)
T = TypeVar("T")
#: How long a Redis that failed is left alone; it is noticed to be back that much later.
LEFT_ALONE_S = 2.0
#: Of a Redis that is full the log says so this often.
_FULL_TOLD_S = 60.0
AWAY = (RedisError, OSError, TimeoutError)


@asynccontextmanager
async def open_redis(url: str, *, timeout_s: float) -> AsyncIterator[Redis]:
    """The client of this process; connects on first use, so a Redis that is down delays nothing.

    Raises:
        ConfigurationError: when the URL is not one of Redis.
    """
    try:
        client: Redis = Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
            protocol=2,  # which `redis_line.py` speaks too
        )
    except ValueError as error:
        raise ConfigurationError(
            "REDIS_URL must start with redis://, rediss:// or unix://."
        ) from error
    try:
        yield client
    finally:
        await client.aclose()


async def answers(client: Redis) -> bool:
    """Whether Redis answers a ping within the client's timeout."""
    try:
        await client.ping()
    except AWAY:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Entry:
    """A value that is to be kept under a key for some seconds."""

    key: str
    value: bytes
    ttl_s: int


class RedisAway(Exception):
    """Redis does not answer, or did not a moment ago; never reaches a caller of the API."""


class RedisLeftAlone(RedisAway):
    """Redis did not answer a moment ago, and nothing was sent."""


class RedisFull(RedisAway):
    """Redis answers, but has no room for what was to be kept."""


class Guarded:
    """Redis behind a breaker, shared by everything in the process.

    A request that meets a frozen Redis pays its timeout once. Afterwards only one at a time, every
    ``left_alone_s``, finds out whether it is back; all others are told :class:`RedisAway` at once.
    One that is full is not left alone: what it holds can be read, and limits go on being counted.
    """

    def __init__(
        self,
        client: Redis,
        *,
        left_alone_s: float = LEFT_ALONE_S,
        metrics: Metrics | None = None,
    ) -> None:
        self._client = client
        self._metrics = metrics or Metrics()
        self._left_alone_s = left_alone_s
        self._closed_until = 0.0
        self._full_told_at = -_FULL_TOLD_S

    async def run(self, command: Callable[[Redis], Awaitable[T]]) -> T:
        """What ``command`` returns.

        Raises:
            RedisAway: it failed; what was sent may have been carried out.
            RedisLeftAlone: Redis is being left alone.
            RedisFull: there is no room for it.
        """
        now = asyncio.get_running_loop().time()
        if now < self._closed_until:
            self._metrics.redis_away("skipped")
            raise RedisLeftAlone
        if self._closed_until:
            self._closed_until = now + self._left_alone_s
        try:
            result = await _cancellable(command(self._client))
        except AWAY as error:
            if _is_full(error):
                self._full()
                raise RedisFull from error
            if not self._closed_until:
                log.warning("redis_away", error=type(error).__name__)
            self._closed_until = asyncio.get_running_loop().time() + self._left_alone_s
            self._metrics.redis_away("failed")
            raise RedisAway from error
        self._answered()
        return result

    def _answered(self) -> None:
        if self._closed_until:
            log.info("redis_back")
            self._closed_until = 0.0

    def _full(self) -> None:
        self._answered()
        self._metrics.redis_away("full")
        now = asyncio.get_running_loop().time()
        if now - self._full_told_at >= _FULL_TOLD_S:
            self._full_told_at = now
            log.warning("redis_full")

    async def keep(self, entries: Sequence[Entry]) -> None:
        """Keep values in one round trip.

        Raises:
            RedisAway: as :meth:`run` does.
        """

        async def command(redis: Redis) -> None:
            async with redis.pipeline(transaction=False) as pipeline:
                for entry in entries:
                    pipeline.set(entry.key, entry.value, ex=entry.ttl_s)
                await pipeline.execute()

        await self.run(command)


def _is_full(error: Exception) -> bool:
    # Redis before 7 wraps what a command within a script was refused for.
    return isinstance(error, OutOfMemoryError) or (
        isinstance(error, ResponseError) and " -OOM " in str(error)
    )


async def _cancellable(command: Awaitable[T]) -> T:
    """What ``command`` returns, unless its task was cancelled meanwhile.

    redis-py sends through ``asyncio.wait_for``, which loses a cancellation that comes in the moment
    in which it finishes (Python 3.11): whoever waited for the task to end waited for ever.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    before = task.cancelling()
    try:
        return await command
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError
