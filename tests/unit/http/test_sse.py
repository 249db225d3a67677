"""A stream is sent as it comes, kept alive while silent, and closed when nobody listens."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest
from starlette.types import Message

from app.http.sse import frame, sse_response


class Client:
    """Collects what is sent, and leaves when it is told to."""

    def __init__(self) -> None:
        self.head: Message = {}
        self.body: list[bytes] = []
        self.complete = False
        self.got = asyncio.Event()
        self.leaves = asyncio.Event()
        self.asked = 0

    async def receive(self) -> Message:
        self.asked += 1
        if self.asked == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.head = message
        else:
            assert not self.complete, "nothing follows the end"
            self.body += [message["body"]] if message["body"] else []
            self.complete = not message["more_body"]
            self.got.set()

    async def watch(self, frames: AsyncGenerator[bytes, None], *, ping_s: float = 60) -> None:
        await sse_response(frames, ping_s=ping_s)({"type": "http"}, self.receive, self.send)


async def test_frames_are_sent_one_by_one_and_the_end_is_marked() -> None:
    async def frames() -> AsyncGenerator[bytes, None]:
        yield frame("progress", b'{"n":1}', "7-0")
        yield frame("done", b"{}")

    client = Client()
    await client.watch(frames())
    assert client.body == [
        b'id: 7-0\nevent: progress\ndata: {"n":1}\n\n',
        b"event: done\ndata: {}\n\n",
    ]
    assert client.complete
    headers = dict(client.head["headers"])
    assert headers == {
        b"cache-control": b"no-cache",
        b"x-accel-buffering": b"no",
        b"content-type": b"text/event-stream; charset=utf-8",
    }


async def test_a_silent_stream_is_kept_alive() -> None:
    go_on = asyncio.Event()

    async def frames() -> AsyncGenerator[bytes, None]:
        await go_on.wait()
        yield frame("done", b"{}")

    client = Client()
    watching = asyncio.create_task(client.watch(frames(), ping_s=0.01))
    async with asyncio.timeout(5):
        while len(client.body) < 3:
            client.got.clear()
            await client.got.wait()
        go_on.set()
        await watching
    assert set(client.body[:-1]) == {b": ping\n\n"}
    assert client.body[-1].startswith(b"event: done")


async def test_a_client_that_leaves_closes_the_source() -> None:
    closed = asyncio.Event()

    async def frames() -> AsyncGenerator[bytes, None]:
        try:
            yield frame("progress", b"{}")
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # closing takes its turns
            closed.set()

    client = Client()
    watching = asyncio.create_task(client.watch(frames()))
    async with asyncio.timeout(5):
        await client.got.wait()
        assert not closed.is_set()
        client.leaves.set()
        await watching
    assert closed.is_set()
    assert not client.complete


async def test_a_cancelled_response_closes_the_source() -> None:
    closed = asyncio.Event()

    async def frames() -> AsyncGenerator[bytes, None]:
        try:
            yield frame("progress", b"{}")
            await asyncio.Event().wait()
        finally:
            closed.set()

    client = Client()
    watching = asyncio.create_task(client.watch(frames()))
    await client.got.wait()
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert closed.is_set()


async def test_a_source_that_fails_is_no_clean_end() -> None:
    async def frames() -> AsyncGenerator[bytes, None]:
        yield frame("progress", b"{}")
        raise RuntimeError("broken")

    client = Client()
    with pytest.raises(RuntimeError, match="broken"):
        await client.watch(frames())
    assert not client.complete


@pytest.mark.parametrize("stuck_at", [b"event: sources", b": ping"])
async def test_a_client_that_is_behind_is_not_sent_more_until_it_leaves(stuck_at: bytes) -> None:
    closed, stuck = asyncio.Event(), asyncio.Event()

    async def frames() -> AsyncGenerator[bytes, None]:
        try:
            yield frame("sources", b"{}")
            await asyncio.Event().wait()
        finally:
            closed.set()

    class Behind(Client):
        async def send(self, message: Message) -> None:
            await super().send(message)
            if message.get("body", b"").startswith(stuck_at):
                stuck.set()
                await asyncio.Event().wait()

    client = Behind()
    watching = asyncio.create_task(client.watch(frames(), ping_s=0.01))
    async with asyncio.timeout(20):
        await stuck.wait()
        await asyncio.sleep(0.05)  # several pings' time
        assert client.body[-1].startswith(stuck_at)
        client.leaves.set()
        await watching
    assert closed.is_set()
    assert not client.complete


async def test_what_belongs_to_a_stream_is_closed_even_if_it_never_began() -> None:
    closed: list[str] = []

    async def frames() -> AsyncGenerator[bytes, None]:
        yield frame("delta", b"{}")

    class Gone(Client):
        async def send(self, message: Message) -> None:
            raise OSError("gone")

    stack = AsyncExitStack()
    stack.callback(closed.append, "closed")
    client = Gone()
    with pytest.raises(OSError, match="gone"):
        await sse_response(frames(), closing=stack)({"type": "http"}, client.receive, client.send)
    assert closed == ["closed"]
