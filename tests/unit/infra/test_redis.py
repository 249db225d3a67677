"""A Redis that failed is left alone: one request pays for finding out, none until it is back."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError
from structlog.testing import capture_logs

from app.infra.metrics import Metrics
from app.infra.redis import Guarded, RedisAway, RedisFull
from tests.fakes import Recorder


class Client:
    """Stands in for the client; counts what it is asked."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0

    async def ask(self) -> str:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return "answer"


@pytest.mark.parametrize("error", [RedisConnectionError(), TimeoutError(), OSError()])
async def test_only_the_first_pays_while_redis_is_away(error: Exception) -> None:
    client, told = Client(), Recorder()
    guarded = Guarded(client, metrics=Metrics(told))  # type: ignore[arg-type]
    assert await guarded.run(lambda redis: redis.ask()) == "answer"  # type: ignore[attr-defined]
    client.error = error
    for _ in range(3):
        with pytest.raises(RedisAway):
            await guarded.run(lambda redis: redis.ask())  # type: ignore[attr-defined]
    assert client.asked == 2
    assert [labels for _, labels, _ in told.seen] == [("failed",), ("skipped",), ("skipped",)]


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        ResponseError("Error running script: @user_script:1: -OOM command not allowed when …"),
    ],
)
async def test_one_that_is_full_is_not_left_alone(error: Exception) -> None:
    client, told = Client(), Recorder()
    guarded = Guarded(client, metrics=Metrics(told))  # type: ignore[arg-type]
    for _ in range(2):
        client.error = error
        with capture_logs() as logs, pytest.raises(RedisFull):
            await guarded.run(lambda redis: redis.ask())  # type: ignore[attr-defined]
        client.error = None
        assert await guarded.run(lambda redis: redis.ask()) == "answer"  # type: ignore[attr-defined]
    assert [labels for _, labels, _ in told.seen] == [("full",), ("full",)]
    assert logs == [], "the log says so once a minute"
    client.error = ResponseError("WRONGTYPE it tells of -OOMPH")
    with pytest.raises(RedisAway) as caught:
        await guarded.run(lambda redis: redis.ask())  # type: ignore[attr-defined]
    assert not isinstance(caught.value, RedisFull)


async def test_it_is_tried_again_after_a_while() -> None:
    client = Client()
    guarded = Guarded(client, left_alone_s=0)  # type: ignore[arg-type]
    client.error = TimeoutError()
    with pytest.raises(RedisAway):
        await guarded.run(lambda redis: redis.ask())  # type: ignore[attr-defined]
    client.error = None
    assert await guarded.run(lambda redis: redis.ask()) == "answer"  # type: ignore[attr-defined]


async def test_one_finds_out_whether_it_is_back_while_the_others_go_on() -> None:
    """Else everybody who comes while a frozen Redis is tried again pays the timeout."""
    client, frozen = Client(), asyncio.Event()
    guarded = Guarded(client, left_alone_s=0.01)  # type: ignore[arg-type]
    client.error = TimeoutError()
    with pytest.raises(RedisAway):
        await guarded.run(lambda redis: redis.ask())  # type: ignore[attr-defined]
    guarded._left_alone_s = 60
    await asyncio.sleep(0.02)

    async def answers_late(_: object) -> str:
        await frozen.wait()
        return "back"

    first = asyncio.create_task(guarded.run(answers_late))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        with pytest.raises(RedisAway):
            await guarded.run(answers_late)
    frozen.set()
    assert await first == "back"
    assert await guarded.run(answers_late) == "back"


async def test_our_own_mistakes_are_not_redis_being_away() -> None:
    client = Client()
    client.error = KeyError("ours")
    with pytest.raises(KeyError):
        await Guarded(client).run(lambda redis: redis.ask())  # type: ignore[arg-type, attr-defined]


@pytest.mark.parametrize("error", [None, TimeoutError()])
async def test_a_cancellation_that_the_client_loses_is_not_lost(error: Exception | None) -> None:
    """As redis-py does now and then on Python 3.11; streams that had told their end hung open."""
    begun = asyncio.Event()

    async def loses_it(_: object) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if error is not None:
                raise error from None
        return "sent"

    task = asyncio.create_task(Guarded(Client()).run(loses_it))  # type: ignore[arg-type]
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
