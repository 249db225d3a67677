"""Who is to make an answer, when whoever asked for it leaves."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis

from app.auth.audit import AuditLog, Origin
from app.auth.caller import Caller
from app.chat.cache import AnswerCache, CacheKey, Look, _answer
from app.chat.cache_routes import clear_cache
from app.chat.events import Answered, Begun, ChatEvent
from app.infra.postgres import open_pool
from app.infra.redis import Guarded, RedisAway, open_redis
from app.infra.redis_line import open_line
from app.infra.servers import ServerUrls
from app.retrieval.search import Retrieved
from tests.conftest import FreshDatabase
from tests.integration.workshop import owner_rows
from tests.unit.chat.test_openai_answer import answered


async def ten() -> AsyncGenerator[ChatEvent]:
    """An answer that is made."""
    yield Begun("", "", Retrieved((), 0.0, 0.0))
    yield Answered(replace(answered("Ten."), attempts=()))


@pytest.fixture
async def cache(servers: ServerUrls) -> AsyncIterator[AnswerCache]:
    async with open_redis(servers.redis_url, timeout_s=10) as client, open_line(client) as line:
        yield AnswerCache(Guarded(line), ttl_s=60)


@pytest.fixture
def key() -> CacheKey:
    return CacheKey(uuid.uuid4().hex, 1, "digest", "group")


async def test_one_makes_what_is_not_kept_until_it_lets_go(
    cache: AnswerCache, key: CacheKey
) -> None:
    first, second = await cache.look(key), await cache.look(key)
    assert (first.state, second.state) == (b"led", b"busy")
    assert not cache.events(first)
    assert not cache.events(second)
    await cache.let_go(key, second)  # which was not its own
    assert (await cache.look(key)).state == b"busy"
    await cache.let_go(key, first)
    assert (await cache.look(key)).state == b"led"


async def test_who_leaves_while_it_looks_keeps_nobody_waiting(
    cache: AnswerCache, key: CacheKey
) -> None:
    await cache.let_go(key, await cache.look(key))  # the line is there, and the scripts
    for turns in range(4):  # from before its question is sent to after
        looking = asyncio.create_task(cache.look(key))
        for _ in range(turns):
            await asyncio.sleep(0)
        looking.cancel()
        (saw,) = await asyncio.gather(looking, return_exceptions=True)
        if not isinstance(saw, BaseException):  # a quick Redis: it had looked before
            await cache.let_go(key, saw)
        found = await cache.look(key)
        assert found.state == b"led", f"after {turns} turns of the loop"
        await cache.let_go(key, found)


async def test_what_a_worker_has_at_hand_lapses_with_what_redis_keeps(
    cache: AnswerCache, key: CacheKey
) -> None:
    made = [event async for event in cache.answered(key, "How many?", ten)]
    assert isinstance(made[-1], Answered)
    another = AnswerCache(cache._redis, ttl_s=60)  # a worker that has not read it yet
    await cache._redis.run(lambda redis: redis.pexpire(_answer(key), 300))
    assert (await another.look(key)).events
    for _ in range(1000):
        if not (await another.look(key)).events:
            return
        await asyncio.sleep(0.01)
    pytest.fail("it is told for longer than it is kept")


class GoesAway(Guarded):
    """A Redis of which it takes a while to find out that it is away."""

    def __init__(self) -> None:
        self.asked, self.found_out = asyncio.Event(), asyncio.Event()

    async def run(self, command: Callable[[Redis], Awaitable[Any]]) -> Any:
        self.asked.set()
        await self.found_out.wait()
        raise RedisAway


async def test_what_was_made_while_redis_was_found_away_is_not_made_again(key: CacheKey) -> None:
    redis = GoesAway()
    cache = AnswerCache(redis, ttl_s=60)
    looking = asyncio.create_task(cache.look(key))
    await redis.asked.wait()
    made = [event async for event in cache.answered(key, "How many?", ten, Look(b"away"))]
    assert isinstance(made[-1], Answered)
    redis.found_out.set()
    assert (await looking).events
    other = await cache.look(key._replace(revision=2))
    assert (other.state, list(other.events)) == (b"away", [])


async def test_the_cache_is_cleared_without_redis_too(database: FreshDatabase) -> None:
    async with (
        open_pool(database.database_url, size=2, timeout_s=5) as pool,
        open_redis("redis://127.0.0.1:1", timeout_s=1) as away,
    ):
        cache = AnswerCache(Guarded(away), ttl_s=60)
        house = SimpleNamespace(pool=pool, cache=cache, audit=AuditLog(pool))
        request: Any = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(house=house)))
        [tenant] = owner_rows(
            database.database_url,
            "INSERT INTO tenants (id, name) VALUES (%s, 'one') RETURNING id, corpus_revision",
            f"ten_{uuid.uuid4().hex}",
        )
        caller = Caller(tenant["id"], "key_1", frozenset({"admin"}))
        assert (await clear_cache(request, caller, Origin("key_1"))).removed == 0
    [now] = owner_rows(
        database.database_url,
        "SELECT corpus_revision, (SELECT array_agg(action) FROM audit_events"
        " WHERE tenant_id = t.id) AS written FROM tenants t WHERE id = %s",
        tenant["id"],
    )
    assert now == {
        "corpus_revision": tenant["corpus_revision"] + 1,
        "written": ["cache.clear"],
    }
