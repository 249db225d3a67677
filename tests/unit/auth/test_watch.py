"""A stream ends with the rights of its caller; everything else is passed on as it is."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.auth import watch
from app.auth.caller import Caller
from app.auth.gate import Gate
from app.auth.watch import RightsChanged, check_rights
from app.errors import NotAuthenticated

ADA = Caller("ten_1", "key_1", frozenset({"chat", "docs:read"}))
STREAM = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream; charset=utf-8")],
}


class Ring:
    """Lets in until it is told not to."""

    def __init__(self) -> None:
        self.open = True
        self.asked = 0

    async def caller(self, key: str) -> Caller:
        self.asked += 1
        if not self.open:
            raise NotAuthenticated
        return ADA


class Wire:
    """What arrives at the client."""

    def __init__(self) -> None:
        self.got: list[Message] = []

    async def send(self, message: Message) -> None:
        self.got.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.got)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "RECHECK_S", 0.01)


async def request(
    app: Callable[[Scope, Receive, Send], Awaitable[None]],
    ring: Ring,
    send: Send,
    path: str = "/api/v1/jobs/job_1/events",
) -> None:
    async def receive() -> Message:
        raise AssertionError("nothing is read")

    scope = {"type": "http", "path": path, "headers": [(b"x-api-key", b"k")], "state": {}}
    async with asyncio.timeout(20):
        await Gate(app, credentials=lambda _: ring)(scope, receive, send)  # type: ignore[arg-type]


def streaming(ring: Ring) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Begins a stream, and closes the ring when it has been asked again."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(STREAM)
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        while ring.asked < 3:  # noqa: ASYNC110 - the ring is asked by a timer
            await asyncio.sleep(0)
        ring.open = False
        try:
            await asyncio.Event().wait()
        finally:
            await send({"type": "http.response.body", "body": b"too late", "more_body": True})

    return app


async def test_a_stream_ends_with_an_error_event_and_nothing_after_it() -> None:
    ring, wire = Ring(), Wire()
    await request(streaming(ring), ring, wire.send)
    assert wire.body.startswith(b"data: 1\n\nevent: error\ndata: {")
    assert b'"code":"not_authenticated"' in wire.body
    assert b"too late" not in wire.body
    assert not wire.got[-1].get("more_body", False)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_stream_of_openais_dialect_ends_in_its_way() -> None:
    ring, wire = Ring(), Wire()
    await request(streaming(ring), ring, wire.send, "/v1/chat/completions")
    first, error, done, rest = wire.body.split(b"\n\n")
    assert (first, done, rest) == (b"data: 1", b"data: [DONE]", b"")
    assert error.startswith(b'data: {"error":{')


async def test_a_client_that_does_not_read_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_LAST_S", 0.05)
    ring, wire = Ring(), Wire()

    async def send(message: Message) -> None:
        if b"event: error" in message.get("body", b""):
            await asyncio.Event().wait()
        await wire.send(message)

    await request(streaming(ring), ring, send)
    assert wire.body == b"data: 1\n\n"


async def test_whatever_is_no_stream_is_not_watched() -> None:
    ring, wire = Ring(), Wire()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        before = asyncio.all_tasks()
        for kind in (b"application/json", b"text/event-streamer"):
            headers = [(b"content-type", kind)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})
        assert asyncio.all_tasks() == before

    await request(app, ring, wire.send)
    assert (ring.asked, wire.body) == (1, b"{}")


async def test_a_stream_that_ends_by_itself_leaves_nobody_watching() -> None:
    ring, wire = Ring(), Wire()
    before = asyncio.all_tasks()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(STREAM)
        await send({"type": "http.response.body", "body": b"data: 1\n\n"})

    await request(app, ring, wire.send)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert wire.body == b"data: 1\n\n"


async def test_somebody_elses_cancellation_is_not_ours_to_swallow() -> None:
    ring, began = Ring(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(STREAM)
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(request(app, ring, Wire().send))
    async with asyncio.timeout(20):
        await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("now", "fine"),
    [({"chat", "docs:read"}, True), ({"chat", "docs:read", "admin"}, True), ({"chat"}, False),
     ({"admin"}, False), (set(), False)],
)  # fmt: skip
def test_rights_may_grow_and_not_shrink(now: set[str], fine: bool) -> None:
    later = Caller("ten_1", "key_1", frozenset(now))
    if fine:
        check_rights(ADA, later)
    else:
        with pytest.raises(RightsChanged):
            check_rights(ADA, later)
