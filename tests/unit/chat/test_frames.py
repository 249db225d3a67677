"""A stream's last frame is told once the answer can be given again, and whatever comes of that."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
from starlette.responses import Response

from app.auth.caller import Caller
from app.chat.answer import Question
from app.chat.frames import Frames, nothing_follows, tell
from app.chat.pipeline import ChatPipeline
from app.infra.postgres import DatabaseUnavailable
from app.llm.completion import Completion
from tests.fakes import NO_CACHE, FixedRetriever, Kept, ScriptedProvider, passage


class Recorded(list[bytes]):
    add = list.append


class KeptTurn:
    """Keeps the response, or fails in the way it was told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.response: Response | None = None

    async def keep(self, response: Response, rests_on: Iterable[str]) -> None:
        if self.error is not None:
            raise self.error
        self.response = response


def telling(turn: KeptTurn, recorded: Recorded) -> AsyncGenerator[bytes, None]:
    @asynccontextmanager
    async def recording() -> AsyncIterator[Recorded]:
        yield recorded

    provider = ScriptedProvider(Completion("The limit is 10 MB [1].", "scripted", "m"))
    chat = ChatPipeline(FixedRetriever(passage()), provider, Kept(), NO_CACHE)  # type: ignore[arg-type]
    events = chat.stream(Caller("ten_1", "key_1", frozenset()), Question("How large?", "ses_1", 5))
    frames = Frames({"type": "http", "state": {"trace_id": "r1"}})
    return tell((), events, frames, recording(), turn)  # type: ignore[arg-type]


async def test_a_client_that_leaves_with_the_last_frame_leaves_an_answer_that_was_kept() -> None:
    turn, recorded = KeptTurn(), Recorded()
    told = telling(turn, recorded)
    seen = [data async for data in _up_to_done(told)]
    await told.aclose()
    assert turn.response is not None
    assert turn.response.body == b"".join(seen) == b"".join(recorded)
    assert turn.response.headers["cache-control"] == "no-cache"
    assert turn.response.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize("error", [DatabaseUnavailable(), ValueError("ours")])
async def test_an_answer_that_cannot_be_kept_is_told_all_the_same(error: Exception) -> None:
    recorded = Recorded()
    seen = [data async for data in telling(KeptTurn(error), recorded)]
    assert seen == recorded
    assert [b"event: done" in data or b"event: error" in data for data in seen].count(True) == 1
    assert b"event: done" in seen[-1]


@pytest.mark.parametrize(
    ("told", "after", "over"),
    [
        (b"", 0, False),  # nothing is written down yet
        (b"id: 1\nevent: meta\ndata: {}\n\n", 1, False),
        (b'id: 1\nevent: delta\ndata: {"text":"\\nevent: done\\n"}\n\n', 1, False),
        (b"id: 1\nevent: meta\ndata: {}\n\nid: 2\nevent: done\ndata: {}\n\n", 1, False),
        (b"id: 1\nevent: meta\ndata: {}\n\nid: 2\nevent: done\ndata: {}\n\n", 2, True),
        (b"id: 1\nevent: meta\ndata: {}\n\nid: 2\nevent: error\ndata: {}\n\n", 9, True),
    ],
)
def test_nothing_follows_the_end_of_a_stream(told: bytes, after: int, over: bool) -> None:
    assert nothing_follows(told, after) is over


async def _up_to_done(told: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async for data in told:
        yield data
        if b"event: done" in data:
            return
