"""One connection for everybody: replies reach who asked, whatever else happens on it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.infra.redis import open_redis
from app.infra.redis_line import LineRedis, open_line
from app.infra.servers import ServerUrls
from tests.integration.redis_door import RedisDoor


@asynccontextmanager
async def opened(url: str, *, timeout_s: float = 10) -> AsyncIterator[LineRedis]:
    async with open_redis(url, timeout_s=timeout_s) as client, open_line(client) as line:
        yield line


@pytest.fixture
async def line(servers: ServerUrls) -> AsyncIterator[LineRedis]:
    async with opened(servers.redis_url) as line:
        yield line


@pytest.fixture
async def door(servers: ServerUrls) -> AsyncIterator[RedisDoor]:
    door = RedisDoor(servers.redis_url)
    await door.open()
    yield door
    await door.close()


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


async def test_everybody_gets_its_own_reply_over_one_connection(line: LineRedis, name: str) -> None:
    async def ask(number: int) -> None:
        key = f"{name}:{number}"
        await line.set(key, b"x" * number * 100, ex=60)
        assert await line.get(key) == b"x" * number * 100

    await asyncio.gather(*map(ask, range(300)))
    ids = await asyncio.gather(*(line.client_id() for _ in range(50)))
    assert len(set(ids)) == 1


async def test_replies_are_what_the_pooled_client_makes_of_them(
    line: LineRedis, servers: ServerUrls, name: str
) -> None:
    async def told(redis: Redis) -> list[object]:
        await redis.delete(name)
        await redis.zadd(name, {"a": 1.5, "b": 2})
        script = redis.register_script("return {KEYS[1], ARGV[1], false, 7}")
        async with redis.pipeline(transaction=False) as pipeline:
            pipeline.zrange(name, 0, -1, withscores=True)
            pipeline.expire(name, 60)
            pipeline.get("nothing")
            piped = await pipeline.execute()
        async with redis.pipeline() as pipeline:
            pipeline.zcard(name)
            pipeline.ping()
            whole = await pipeline.execute()
        return [
            piped,
            whole,
            await script(keys=["k"], args=[2]),
            await redis.zrevrange(name, 0, 0, withscores=True),
            await redis.exists(name),
            (await redis.scan(0, match=name, count=10_000))[1],
        ]

    async with open_redis(servers.redis_url, timeout_s=10) as pooled:
        assert await told(line) == await told(pooled)


async def test_a_refusal_is_its_askers_alone(line: LineRedis, name: str) -> None:
    await line.set(name, b"text", ex=60)
    refused, kept = await asyncio.gather(
        line.lpush(name, "x"), line.get(name), return_exceptions=True
    )
    assert isinstance(refused, ResponseError)
    assert kept == b"text"
    async with line.pipeline(transaction=False) as pipeline:
        pipeline.lpush(name, "x")
        pipeline.get(name)
        with pytest.raises(ResponseError):
            await pipeline.execute()
    async with line.pipeline(transaction=False) as pipeline:
        pipeline.lpush(name, "x")
        pipeline.get(name)
        refused, kept = await pipeline.execute(raise_on_error=False)
    assert isinstance(refused, ResponseError)
    assert kept == b"text"


async def test_whoever_leaves_takes_nobodys_reply_along(line: LineRedis, name: str) -> None:
    await line.set(name, b"mine", ex=60)
    leaving = [asyncio.create_task(line.incr(f"{name}:n")) for _ in range(50)]
    staying = asyncio.create_task(line.get(name))
    await asyncio.sleep(0)  # they are sent
    for task in leaving:
        task.cancel()
    assert await staying == b"mine"
    assert all(task.cancelled() for task in leaving)
    assert await line.get(name) == b"mine"


async def test_a_script_that_redis_forgot_is_sent_again(line: LineRedis) -> None:
    script = line.register_script(f"return '{uuid.uuid4().hex}'")
    said = await script()
    await line.script_flush()
    assert await script() == said


async def test_a_frozen_redis_holds_nobody_longer_than_its_timeout(door: RedisDoor) -> None:
    async with opened(door.url, timeout_s=0.3) as line:
        assert await line.ping()
        door.hold()
        asked = [asyncio.create_task(line.get("a")) for _ in range(20)]
        async with asyncio.timeout(10):
            failed = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(error) for error in failed} == {RedisTimeoutError}
        door.let_go()
        assert await line.ping(), "a new connection"


async def test_it_connects_again_after_redis_was_away(door: RedisDoor) -> None:
    async with opened(door.url) as line:
        assert await line.ping()
        door.hold()
        waiting = asyncio.create_task(line.get("a"))
        await door.until_held()
        await door.close()
        with pytest.raises(RedisConnectionError):
            await waiting
        with pytest.raises(OSError):  # noqa: PT011 - whichever the system says
            await line.ping()
        door.let_go()
        await door.open()
        assert await asyncio.gather(*(line.ping() for _ in range(10))) == [True] * 10


def test_a_redis_that_takes_nobody_in_is_away() -> None:
    """Too many clients, or a protected one: it says so unasked, and hangs up."""

    async def full(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR max number of clients reached\r\n")
        writer.close()

    broken: list[dict[str, object]] = []

    async def ask() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: broken.append(what))
        server = await asyncio.start_server(full, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, opened(f"redis://127.0.0.1:{port}", timeout_s=2) as line:
            for _ in range(50):
                with pytest.raises(RedisError):
                    await line.ping()
                pipeline = line.pipeline(transaction=False).get("a").get("b")
                with pytest.raises(RedisError):
                    await pipeline.execute()

    uvloop.run(ask())
    assert broken == []


async def test_many_that_come_while_it_connects_share_the_connection(
    servers: ServerUrls,
) -> None:
    async with AsyncExitStack() as stack:
        line = await stack.enter_async_context(opened(servers.redis_url))
        first = asyncio.create_task(line.ping())
        others = [asyncio.create_task(line.client_id()) for _ in range(20)]
        await asyncio.sleep(0)
        first.cancel()
        assert len(set(await asyncio.gather(*others))) == 1


async def test_the_url_says_which_database_and_as_whom(servers: ServerUrls, name: str) -> None:
    async with opened(f"{servers.redis_url}?db=3") as third, opened(servers.redis_url) as zeroth:
        await third.set(name, b"third", ex=60)
        assert await zeroth.get(name) is None
    async with opened(f"{servers.redis_url}?password=wrong") as line:
        with pytest.raises(RedisError):
            await line.ping()


async def test_hanging_up_leaves_nobody_waiting(door: RedisDoor) -> None:
    async with opened(door.url) as line:
        await line.ping()
        door.hold()
        waiting = asyncio.create_task(line.get("a"))
        await door.until_held()
        await line.hang_up()
        with pytest.raises(RedisConnectionError):
            await waiting


def test_it_runs_on_the_loop_that_serves(servers: ServerUrls, name: str) -> None:
    async def ask() -> None:
        async with opened(servers.redis_url) as line:
            await line.set(name, b"here", ex=60)
            assert await asyncio.gather(*(line.get(name) for _ in range(20))) == [b"here"] * 20

    uvloop.run(ask())
