"""What was told of an answer, kept for ten minutes so that a reader can take it up again.

Frames go to a Redis stream of their own, several at a time, so that any process can tell them
again. It is a convenience: without Redis answers are streamed all the same and cannot be resumed.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from app.auth.caller import Caller
from app.chat.record import AnswerNotFound
from app.errors import Unavailable
from app.infra.redis import Guarded, RedisAway

#: Design: contract, "resumes for 10 minutes".
KEPT_S = 600
#: How long frames are gathered before they are written down.
_GATHERED_S = 0.25
#: A recorder that has nothing to write says that it is there this often; one silent for
#: ``_LOST_S`` is gone, and its answer with it.
_ALIVE_S, _LOST_S = 2.0, 10.0
_LOOKED_AGAIN_S = 0.2
_FRAMES, _LAST = b"f", b"last"


class RecordingLost(Exception):
    """The rest of a recording will never come; stays inside this room."""


class ResumingUnavailable(Unavailable):
    """The events of answers cannot be read right now; try again shortly."""

    code = "resuming_unavailable"


class Recording:
    """The frames of one answer while it is told."""

    def __init__(self, redis: Guarded, key: str) -> None:
        self._redis = redis
        self._key = key
        self._waiting: list[bytes] = []
        #: One write at a time: of two, the later would take away what was added meanwhile.
        self._writing = asyncio.Lock()

    def add(self, frame: bytes) -> None:
        """Take one more frame; it is written down a little later."""
        self._waiting.append(frame)

    async def write(self, *, last: bool = False) -> None:
        """Write down what waits; it goes on waiting when Redis is away, or this is cancelled.

        Then nobody knows whether it was written: it may be twice, and is told once.
        """
        async with self._writing:
            await self._write(last=last)

    async def _write(self, *, last: bool) -> None:
        count = len(self._waiting)

        async def command(client: Any) -> None:  # noqa: ANN401 - redis-py's generic client
            entry: dict[Any, Any] = {_FRAMES: b"".join(self._waiting[:count])}
            if last:
                entry[_LAST] = b"1"
            async with client.pipeline(transaction=False) as pipeline:
                pipeline.xadd(self._key, entry)
                pipeline.expire(self._key, KEPT_S)
                await pipeline.execute()

        with suppress(RedisAway):
            await self._redis.run(command)
            del self._waiting[:count]

    async def keep_writing(self) -> None:
        """Write the beginning at once, then every now and then, until cancelled."""
        silent_s = pause_s = 0.0  # so that an answer can be taken up as soon as anything was told
        while True:
            await asyncio.sleep(pause_s)
            pause_s = _GATHERED_S
            silent_s += _GATHERED_S
            if self._waiting or silent_s >= _ALIVE_S:
                await self.write()
                silent_s = 0.0


class Recordings:
    """The recorded answers of all processes, each for the caller that asked."""

    def __init__(self, redis: Guarded) -> None:
        self._redis = redis

    @asynccontextmanager
    async def record(self, caller: Caller, answer_id: str) -> AsyncIterator[Recording]:
        """Record one answer's frames until the context ends."""
        recording = Recording(self._redis, _key(caller, answer_id))
        writing = asyncio.create_task(recording.keep_writing())
        try:
            yield recording
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await recording.write(last=True)

    async def find(self, caller: Caller, answer_id: str) -> bytes:
        """All that is recorded so far.

        Raises:
            AnswerNotFound: nothing is, for this caller.
            ResumingUnavailable: Redis is away.
        """
        key = _key(caller, answer_id)
        try:
            rows = await self._rows(key, b"-")
        except RedisAway:
            raise ResumingUnavailable from None
        if not rows:
            raise AnswerNotFound
        return b"".join(entry[_FRAMES] for _, entry in rows)

    async def replay(
        self, caller: Caller, answer_id: str, *, after: int
    ) -> AsyncGenerator[bytes, None]:
        """The frames with ids above ``after``, those to come included.

        Raises:
            RecordingLost: whoever told them is gone without an end, or Redis is.
        """
        key, position, silent_s = _key(caller, answer_id), b"-", 0.0
        with suppress(RedisAway):
            while silent_s < _LOST_S:
                rows = await self._rows(key, position)
                for name, entry in rows:
                    position = b"(" + name
                    for frame in _frames(entry[_FRAMES], after):
                        after = number_of(frame)
                        yield frame
                    if _LAST in entry:
                        return
                silent_s = 0.0 if rows else silent_s + _LOOKED_AGAIN_S
                await asyncio.sleep(_LOOKED_AGAIN_S)
        raise RecordingLost

    async def _rows(self, key: str, position: bytes) -> list[tuple[bytes, dict[bytes, bytes]]]:
        rows: Any = await self._redis.run(lambda redis: redis.xrange(key, position))
        return list(rows or ())


def _key(caller: Caller, answer_id: str) -> str:
    return f"told:{caller.tenant_id}:{caller.id}:{answer_id}"


def _frames(joined: bytes, after: int) -> list[bytes]:
    """The frames of one entry with ids above ``after``."""
    frames = [part + b"\n\n" for part in joined.split(b"\n\n") if part]
    return [frame for frame in frames if number_of(frame) > after]


def number_of(frame: bytes) -> int:
    """The id of a frame, which is its first line."""
    return int(frame[4 : frame.index(b"\n")])
