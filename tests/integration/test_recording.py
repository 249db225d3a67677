"""What was told of an answer can be told again, by its asker only; without Redis nothing breaks."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from app.auth.caller import Caller
from app.chat.record import AnswerNotFound
from app.chat.recording import RecordingLost, Recordings, ResumingUnavailable
from app.http.sse import frame
from app.infra.redis import Guarded, open_redis
from app.infra.servers import ServerUrls
from tests.integration.redis_door import RedisDoor

ADA = Caller("ten_1", "key_1", frozenset({"chat"}))
FRAMES = [frame("delta", b'{"text":"%d"}' % number, str(number)) for number in range(1, 6)]


@pytest.fixture
async def recordings(servers: ServerUrls) -> AsyncIterator[Recordings]:
    async with open_redis(servers.redis_url, timeout_s=1) as client:
        yield Recordings(Guarded(client))


@pytest.fixture
def answer_id() -> str:
    return f"ans_{uuid.uuid4().hex}"


async def told(recordings: Recordings, caller: Caller, answer_id: str, after: int) -> list[bytes]:
    return [data async for data in recordings.replay(caller, answer_id, after=after)]


@pytest.mark.parametrize("after", range(6))
async def test_the_frames_after_a_number_are_told_again(
    recordings: Recordings, answer_id: str, after: int
) -> None:
    async with recordings.record(ADA, answer_id) as recording:
        for number, data in enumerate(FRAMES):
            recording.add(data)
            if number % 2:
                await recording.write()
    await recordings.find(ADA, answer_id)
    assert await told(recordings, ADA, answer_id, after) == FRAMES[after:]


async def test_frames_that_come_later_are_waited_for(
    recordings: Recordings, answer_id: str
) -> None:
    async with recordings.record(ADA, answer_id) as recording:
        recording.add(FRAMES[0])
        await recording.write()
        replay = recordings.replay(ADA, answer_id, after=0)
        assert await anext(replay) == FRAMES[0]
        recording.add(FRAMES[1])  # written by the recorder itself
        assert await anext(replay) == FRAMES[1]
    with pytest.raises(StopAsyncIteration):
        await anext(replay)


async def test_what_comes_while_two_write_is_written_as_well(
    recordings: Recordings, answer_id: str
) -> None:
    async with recordings.record(ADA, answer_id) as recording:
        for data in FRAMES:
            writing = [asyncio.create_task(recording.write()) for _ in range(3)]
            await asyncio.wait(writing, return_when=asyncio.FIRST_COMPLETED)
            recording.add(data)
            await asyncio.gather(*writing)
    assert await told(recordings, ADA, answer_id, 0) == FRAMES


async def test_what_was_written_when_redis_froze_is_told_once_and_without_a_gap(
    servers: ServerUrls, answer_id: str
) -> None:
    """Whether a write that got no answer happened is not known: here it happens late."""
    door = RedisDoor(servers.redis_url)
    await door.open()
    async with open_redis(door.url, timeout_s=0.2) as client:
        recordings = Recordings(Guarded(client, left_alone_s=0))
        async with recordings.record(ADA, answer_id) as recording:
            recording.add(FRAMES[0])
            await recording.write()
            door.hold()
            recording.add(FRAMES[1])
            await recording.write()
            door.let_go()
            recording.add(FRAMES[2])
        assert await told(recordings, ADA, answer_id, 0) == FRAMES[:3]
    await door.close()


async def test_a_redis_that_restarts_in_the_middle_of_a_write_loses_nothing(
    servers: ServerUrls, answer_id: str
) -> None:
    door = RedisDoor(servers.redis_url)
    await door.open()
    async with open_redis(door.url, timeout_s=5) as client:
        recordings = Recordings(Guarded(client, left_alone_s=0))
        async with recordings.record(ADA, answer_id) as recording:
            door.hold()
            recording.add(FRAMES[0])
            await door.until_held()  # the recorder is writing by itself
            await door.close()
            await door.open()
        assert await told(recordings, ADA, answer_id, 0) == FRAMES[:1]
    await door.close()


@pytest.mark.parametrize(
    "other",
    [
        Caller("ten_2", "key_1", frozenset({"chat"})),
        Caller("ten_1", "key_2", frozenset({"chat"})),
    ],
)
async def test_nobody_else_finds_them(
    recordings: Recordings, answer_id: str, other: Caller
) -> None:
    async with recordings.record(ADA, answer_id) as recording:
        recording.add(FRAMES[0])
    with pytest.raises(AnswerNotFound):
        await recordings.find(other, answer_id)


async def test_without_redis_an_answer_is_told_and_cannot_be_taken_up(answer_id: str) -> None:
    async with open_redis("unix:///nonexistent/redis.sock", timeout_s=0.1) as client:
        recordings = Recordings(Guarded(client))
        async with recordings.record(ADA, answer_id) as recording:
            recording.add(FRAMES[0])
        with pytest.raises(ResumingUnavailable):
            await recordings.find(ADA, answer_id)
        with pytest.raises(RecordingLost):
            await told(recordings, ADA, answer_id, 0)
