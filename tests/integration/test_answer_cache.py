"""Who is to make an answer, when whoever asked for it leaves."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import pytest

from app.chat.cache import AnswerCache, CacheKey, _answer
from app.chat.events import Answered, Begun, ChatEvent
from app.infra.redis import Guarded, open_redis
from app.infra.redis_line import open_line
from app.infra.servers import ServerUrls
from app.retrieval.search import Retrieved
from tests.unit.chat.test_openai_answer import answered


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
        await asyncio.gather(looking, return_exceptions=True)
        found = await cache.look(key)
        assert found.state == b"led", f"after {turns} turns of the loop"
        await cache.let_go(key, found)


async def test_what_a_worker_has_at_hand_lapses_with_what_redis_keeps(
    cache: AnswerCache, key: CacheKey
) -> None:
    async def produce() -> AsyncGenerator[ChatEvent]:
        yield Begun("", "", Retrieved((), 0.0, 0.0))
        yield Answered(replace(answered("Ten."), attempts=()))

    made = [event async for event in cache.answered(key, "How many?", produce)]
    assert isinstance(made[-1], Answered)
    another = AnswerCache(cache._redis, ttl_s=60)  # a worker that has not read it yet
    await cache._redis.run(lambda redis: redis.pexpire(_answer(key), 300))
    assert (await another.look(key)).events
    for _ in range(1000):
        if not (await another.look(key)).events:
            return
        await asyncio.sleep(0.01)
    pytest.fail("it is told for longer than it is kept")
