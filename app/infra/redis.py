"""Redis: one client a process, with timeouts short enough that a frozen server cannot hold us."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.errors import ConfigurationError


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
    except (RedisError, OSError, TimeoutError):
        return False
    return True
