"""Limits are exact over all workers, and each worker's share when Redis is away."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from app.infra.redis import Guarded, open_redis
from app.infra.servers import ServerUrls
from app.limits.rates import Limit, RateLimiter, Subject, Use, Verdict, limits_of
from app.settings import Settings


def subject(**changes: str) -> Subject:
    """Somebody nobody has counted yet, unless told otherwise."""
    fresh = {"ip": uuid.uuid4().hex, "key_id": uuid.uuid4().hex, "tenant_id": uuid.uuid4().hex}
    return Subject(**{**fresh, "route_class": "chat", **changes})  # type: ignore[arg-type]


def use(verdict: Verdict, name: str) -> Use:
    return next(use for use in verdict.uses if use.limit.name == name)


KEY = Limit("key", "key", 5, 60)
TENANT = Limit("tenant", "tenant", 8, 3600)
UPLOADS = Limit("uploads", "tenant", 1, 60, "upload")


@pytest.fixture
async def fleet(servers: ServerUrls) -> AsyncIterator[list[RateLimiter]]:
    """Four workers."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(open_redis(servers.redis_url, timeout_s=5))
            for _ in range(4)
        ]
        yield [
            RateLimiter(Guarded(client), [KEY, TENANT, UPLOADS], workers=4) for client in clients
        ]


async def test_what_is_granted_to_many_at_once_is_the_limit(fleet: list[RateLimiter]) -> None:
    somebody = subject()
    verdicts = await asyncio.gather(*(fleet[n % 4].take(somebody) for n in range(200)))
    granted = [verdict for verdict in verdicts if verdict.refused_by is None]
    assert len(granted) == KEY.requests
    assert sorted(use(verdict, "key").used for verdict in granted) == [1, 2, 3, 4, 5]
    refused = next(verdict for verdict in verdicts if verdict.refused_by)
    assert refused.refused_by is not None
    assert refused.refused_by.limit == KEY
    assert 0 < refused.refused_by.reset_s <= KEY.window_s


async def test_what_is_refused_counts_nowhere(fleet: list[RateLimiter]) -> None:
    tenant_id = uuid.uuid4().hex
    one = subject(tenant_id=tenant_id)
    for _ in range(7):
        await fleet[0].take(one)
    other = subject(tenant_id=tenant_id)
    assert use(await fleet[1].take(other), "tenant").used == KEY.requests + 1
    for _ in range(4):
        last = await fleet[2].take(other)
    assert last.refused_by is not None
    assert last.refused_by.limit == TENANT


async def test_a_limit_counts_its_routes_only(fleet: list[RateLimiter]) -> None:
    somebody = subject(route_class="upload")
    assert (await fleet[0].take(somebody)).refused_by is None
    refused = (await fleet[0].take(somebody)).refused_by
    assert refused is not None
    assert refused.limit == UPLOADS
    asking = subject(tenant_id=somebody.tenant_id)
    verdict = await fleet[0].take(asking)
    assert verdict.refused_by is None
    assert {use.limit.name for use in verdict.uses} == {"key", "tenant"}


async def test_looking_counts_nothing_and_shows_every_limit(fleet: list[RateLimiter]) -> None:
    somebody = subject()
    await fleet[0].take(somebody)
    for _ in range(9):
        seen = await fleet[1].take(somebody, counted=False)
    assert seen.refused_by is None
    assert [(use.limit.name, use.used, use.remaining) for use in seen.uses] == [
        ("key", 1, 4),
        ("tenant", 1, 7),
        ("uploads", 0, 1),
    ]
    assert [use.reset_s > 0 for use in seen.uses] == [True, True, False]
    tightest = seen.tightest
    assert tightest is not None
    assert tightest.limit == KEY


async def ended(limiter: RateLimiter, somebody: Subject) -> None:
    while (await limiter.take(somebody, counted=False)).uses[0].used:  # noqa: ASYNC110 - Redis's clock ends it
        await asyncio.sleep(0.05)


async def test_a_window_ends(servers: ServerUrls) -> None:
    async with open_redis(servers.redis_url, timeout_s=5) as client:
        limiter = RateLimiter(Guarded(client), [Limit("brief", "key", 1, 1)], workers=1)
        somebody = subject()
        assert (await limiter.take(somebody)).refused_by is None
        assert (await limiter.take(somebody)).refused_by is not None
        await ended(limiter, somebody)
        assert await client.zscore("rates:ends", f"brief:{somebody.key_id}") is not None
        assert (await limiter.take(somebody)).refused_by is None
        await ended(limiter, somebody)
        await limiter.take(subject())
        assert await client.zscore("rates:ends", f"brief:{somebody.key_id}") is None
        assert await client.hget("rates:uses", f"brief:{somebody.key_id}") is None


async def test_without_redis_each_worker_has_its_share() -> None:
    now = 1000.0
    async with open_redis("unix:///nonexistent/redis.sock", timeout_s=0.1) as client:
        limit = Limit("key", "key", 8, 60)
        limiter = RateLimiter(Guarded(client), [limit], workers=4, clock=lambda: now)
        somebody = subject()
        verdicts = [await limiter.take(somebody) for _ in range(4)]
        assert [verdict.refused_by is None for verdict in verdicts] == [True, True, False, False]
        refused = verdicts[-1].refused_by
        assert refused is not None
        assert (refused.remaining, refused.reset_s) == (0, 60)
        now += 61
        assert (await limiter.take(somebody)).refused_by is None
        looked = await limiter.take(somebody, counted=False)
        assert looked.uses[0].used == 4


def limiter_of(client: Redis, *limits: Limit) -> RateLimiter:
    return RateLimiter(Guarded(client), limits, workers=1)


@pytest.mark.parametrize(
    ("shared", "own", "granted"), [(5, 3, 3), (5, 9, 5), (5, None, 5), (None, 3, 3)]
)
async def test_a_keys_own_limit_is_the_lower_one(
    servers: ServerUrls, shared: int | None, own: int | None, granted: int
) -> None:
    async with open_redis(servers.redis_url, timeout_s=5) as client:
        limits = () if shared is None else (Limit("key_per_minute", "key", shared, 60),)
        limiter = limiter_of(client, *limits)
        somebody = replace(subject(), requests_per_minute=own)
        verdicts = [await limiter.take(somebody) for _ in range(7)]
        assert [verdict.refused_by is None for verdict in verdicts].count(True) == granted
        refused = verdicts[-1].refused_by
        assert refused is not None
        assert (refused.limit.name, refused.limit.requests) == ("key_per_minute", granted)
        other = await limiter.take(subject())
        assert other.refused_by is None, "it is the limit of that key alone"


async def test_a_users_keys_and_tokens_count_together(servers: ServerUrls) -> None:
    async with open_redis(servers.redis_url, timeout_s=5) as client:
        limiter = limiter_of(client, Limit("user_per_minute", "user", 4, 60))
        user_id = uuid.uuid4().hex
        for number in range(6):
            one = subject(user_id=user_id, key_id=user_id if number % 2 else uuid.uuid4().hex)
            verdict = await limiter.take(one)
            assert (verdict.refused_by is None) is (number < 4)
        assert (await limiter.take(subject(user_id=uuid.uuid4().hex))).refused_by is None
        assert (await limiter.take(subject())).uses == (), "a key of nobody's has no such limit"


async def test_of_a_stranger_only_the_address_counts(servers: ServerUrls) -> None:
    async with open_redis(servers.redis_url, timeout_s=5) as client:
        limiter = limiter_of(client, Limit("ip", "ip", 2, 60), KEY, TENANT)
        stranger = Subject(uuid.uuid4().hex)
        verdicts = [await limiter.take(stranger) for _ in range(3)]
        assert [verdict.refused_by is None for verdict in verdicts] == [True, True, False]
        assert [use.limit.name for use in verdicts[0].uses] == ["ip"]


def test_a_limit_of_zero_is_none() -> None:
    zeros = {
        "ip_requests_per_minute": 0,
        "ip_requests_per_day": 0,
        "key_requests_per_minute": 7,
        "user_requests_per_minute": 0,
        "tenant_requests_per_minute": 0,
        "key_questions_per_minute": 0,
        "tenant_uploads_per_minute": 0,
    }
    settings = Settings(_env_file=None, **zeros)  # type: ignore[call-arg, arg-type]
    assert limits_of(settings) == (Limit("key_per_minute", "key", 7, 60),)
