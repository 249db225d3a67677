"""Questions on a WebSocket are those of the chat route, told in messages."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from app.auth.caller import Caller
from app.chat.answer import Question
from app.chat.events import Answered, Begun, ChatEvent, Restarted, Said
from app.chat.spoken import SpokenQuestions
from app.errors import InvalidRequest
from app.limits.rates import RateLimited
from app.llm.failures import AllProvidersFailed
from app.retrieval.search import Retrieved
from tests.unit.chat.test_openai_answer import answered

ANN = Caller("ten_1", "key_1", frozenset({"chat"}))
EVENTS = (
    Begun("ans_1", "ses_1", Retrieved((), 1.0, 2.0)),
    Said("The"),
    Restarted("cut"),
    Said("The limit is 10 MB [1]."),
    Answered(answered()),
)


class Pipeline:
    """Tells the same of every question; notes them, and that it was closed."""

    def __init__(self, *events: ChatEvent | Exception) -> None:
        self.events = events
        self.asked: list[tuple[Caller, Question]] = []
        self.closed = False

    async def stream(self, caller: Caller, question: Question) -> AsyncGenerator[ChatEvent]:
        self.asked.append((caller, question))
        try:
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed = True


class Places:
    """As many questions at once as it has places."""

    def __init__(self, free: int = 1) -> None:
        self.free = free

    @asynccontextmanager
    async def place(self, tenant_id: str) -> AsyncIterator[None]:
        if not self.free:
            raise RateLimited
        self.free -= 1
        try:
            yield
        finally:
            self.free += 1


async def ask(pipeline: Pipeline, places: Places | None = None, **asked: Any) -> list[Any]:
    spoken = SpokenQuestions(pipeline, places or Places())  # type: ignore[arg-type]
    return [orjson.loads(message) async for message in spoken.messages(ANN, asked)]


@pytest.mark.parametrize("stream", [True, "auto"])
async def test_every_event_is_a_chunk_and_the_answer_a_response(stream: bool | str) -> None:
    pipeline, places = Pipeline(*EVENTS), Places()
    *chunks, response = await ask(
        pipeline, places, question="The limit?", session_id="ses_1", stream=stream, top_k=3
    )
    assert {chunk["type"] for chunk in chunks} == {"chat_chunk"}
    assert [chunk["event"] for chunk in chunks] == ["meta", "sources", "delta", "reset", "delta"]
    assert chunks[4]["data"] == {"text": "The limit is 10 MB [1]."}
    assert response["type"] == "query_response"
    assert response["answer"]["answer_id"] == "ans_1"
    assert chunks[0]["data"]["trace_id"] == response["answer"]["trace_id"]
    [(caller, question)] = pipeline.asked
    assert (caller, question.text, question.session_id, question.top_k) == (
        ANN, "The limit?", "ses_1", 3,
    )  # fmt: skip
    assert (pipeline.closed, places.free) == (True, 1)


async def test_without_stream_there_is_the_response_only() -> None:
    [response] = await ask(Pipeline(*EVENTS), question="The limit?")
    assert response["type"] == "query_response"


@pytest.mark.parametrize(
    ("asked", "field"),
    [({}, "question"), ({"question": " "}, "question"), ({"question": "x", "api_base": "y"},
     "api_base"), ({"question": "x", "filters": {"tenant_id": "ten_2"}}, "filters.tenant_id"),
     ({"question": "x", "top_k": 51}, "top_k"), ({"question": "x", "token": "dk_"}, "token")],
)  # fmt: skip
async def test_what_is_no_question_is_refused_by_its_field(
    asked: dict[str, Any], field: str
) -> None:
    pipeline = Pipeline(*EVENTS)
    with pytest.raises(InvalidRequest, match=f"^{field}: "):
        await ask(pipeline, **asked)
    assert pipeline.asked == []


async def test_a_tenant_has_so_many_places_and_no_more() -> None:
    pipeline = Pipeline(*EVENTS)
    with pytest.raises(RateLimited):
        await ask(pipeline, Places(0), question="x")
    assert pipeline.asked == []


async def test_whoever_stops_reading_or_fails_leaves_the_place() -> None:
    pipeline, places = Pipeline(*EVENTS), Places()
    spoken = SpokenQuestions(pipeline, places)  # type: ignore[arg-type]
    messages = spoken.messages(ANN, {"question": "x", "stream": True})
    await anext(messages)
    assert (pipeline.closed, places.free) == (False, 0)
    await messages.aclose()
    assert (pipeline.closed, places.free) == (True, 1)
    with pytest.raises(AllProvidersFailed):
        await ask(Pipeline(EVENTS[0], AllProvidersFailed(())), places, question="x")
    assert places.free == 1


async def test_a_cancelled_reader_closes_the_pipeline() -> None:
    held = asyncio.Event()

    class Slow(Pipeline):
        async def stream(self, caller: Caller, question: Question) -> AsyncGenerator[ChatEvent]:
            try:
                yield EVENTS[0]
                held.set()
                await asyncio.Event().wait()
            finally:
                self.closed = True

    slow = Slow()
    asking = asyncio.create_task(ask(slow, question="x", stream=True))
    await held.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert slow.closed
