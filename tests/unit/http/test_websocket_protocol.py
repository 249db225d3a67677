"""One WebSocket costs little, whatever it sends and however little it reads."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from app.http.protocol import BoundedHttp
from app.http.websocket_protocol import MAX_CONTROL_FRAMES, MAX_FRAGMENTS, BoundedWebSocket

UNREAD_S = 0.2
CONT, TEXT, CLOSE, PING = 0x0, 0x1, 0x8, 0x9
#: More than the kernel keeps of a connection that nobody reads.
MUCH_BYTES = 32 * 2**20
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
)


class Watched(BoundedWebSocket):
    unread_s = UNREAD_S
    last: ClassVar["Watched"]
    lost: ClassVar[asyncio.Event]
    paused: ClassVar[asyncio.Event]
    heard: ClassVar[asyncio.Event]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Watched.last, Watched.lost = self, asyncio.Event()
        Watched.paused, Watched.heard = asyncio.Event(), asyncio.Event()
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        Watched.lost.set()

    def pause_writing(self) -> None:
        super().pause_writing()
        Watched.paused.set()

    def send_receive_event_to_app(self) -> None:
        super().send_receive_event_to_app()
        Watched.heard.set()


class Echo:
    """Says what it hears, as soon as it may."""

    def __init__(self) -> None:
        self.may_hear = asyncio.Event()
        self.may_hear.set()
        self.asked, self.may_accept = asyncio.Event(), asyncio.Event()
        self.may_accept.set()
        self.most_waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        self.asked.set()
        await self.may_accept.wait()
        await send({"type": "websocket.accept"})
        while True:
            await self.may_hear.wait()
            self.most_waiting = max(self.most_waiting, Watched.last.queue.qsize())
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            if message["text"] == "much":
                await send({"type": "websocket.send", "bytes": bytes(MUCH_BYTES)})
            await send({"type": "websocket.send", "text": message["text"]})


def frame(opcode: int, payload: bytes = b"", *, last: bool = True) -> bytes:
    """A frame of a client, masked by zeros."""
    assert len(payload) < 126
    return bytes([last << 7 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def told(opcode: int, payload: bytes) -> bytes:
    """A frame of the server."""
    return bytes([0x80 | opcode, len(payload)]) + payload


@asynccontextmanager
async def connected(
    application: Echo, early: bytes = b"", headers: bytes = b"", status: int = 101
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config = uvicorn.Config(
        application, http=BoundedHttp, ws=Watched, lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    try:
        writer.write(HANDSHAKE[:-2] + headers + b"\r\n")
        if early:
            application.may_accept.clear()
            await application.asked.wait()
            # What the loop would call with what it read: the pause of reading is no part of it.
            Watched.last.data_received(early)
            application.may_accept.set()
        async with asyncio.timeout(20):
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 %d " % status)
            yield reader, writer
    finally:
        application.may_hear.set()
        application.may_accept.set()
        writer.transport.abort()
        server.should_exit = True
        await serving


async def test_a_thousand_messages_at_once_are_heard_in_order_a_few_at_a_time() -> None:
    application = Echo()
    messages = [b"message %d" % number for number in range(1_000)]
    async with connected(application) as (reader, writer):
        application.may_hear.clear()
        writer.write(b"".join(frame(TEXT, message) for message in messages))
        await Watched.heard.wait()
        application.may_hear.set()
        expected = b"".join(told(TEXT, message) for message in messages)
        assert await reader.readexactly(len(expected)) == expected
    assert 1 <= application.most_waiting < 2_048 // 16


async def test_pings_are_answered_between_and_after_messages() -> None:
    async with connected(Echo()) as (reader, writer):
        for number in range(5):
            writer.write(frame(PING, b"p%d" % number) + frame(TEXT, b"t%d" % number))
        expected = b"".join(told(0xA, b"p%d" % n) + told(TEXT, b"t%d" % n) for n in range(5))
        heard = await reader.readexactly(len(expected))
        assert sorted(heard[at : at + 4] for at in range(0, len(heard), 4)) == sorted(
            expected[at : at + 4] for at in range(0, len(expected), 4)
        )


async def test_a_message_of_a_few_fragments_is_one() -> None:
    pieces = [frame(TEXT, b"a", last=False), frame(CONT, b"", last=False), frame(CONT, b"b")]
    async with connected(Echo()) as (reader, writer):
        writer.write(b"".join(pieces))
        assert await reader.readexactly(4) == told(TEXT, b"ab")


@pytest.mark.parametrize(
    ("flood", "code"),
    [
        (frame(PING) * (MAX_CONTROL_FRAMES + 1), 1008),
        (frame(0xA) * (MAX_CONTROL_FRAMES + 1), 1008),
        (frame(TEXT, last=False) + frame(CONT, last=False) * MAX_FRAGMENTS, 1009),
    ],
    ids=["pings", "pongs", "fragments"],
)
@pytest.mark.parametrize("early", [False, True])
async def test_frames_without_end_end_the_connection(flood: bytes, code: int, early: bool) -> None:
    """Also those that come before the application has accepted, and nothing is said before."""
    async with connected(Echo(), flood if early else b"") as (reader, writer):
        writer.write(b"" if early else flood)
        heard = await reader.read()
        assert heard[-2:] == code.to_bytes(2, "big")


async def test_what_comes_before_it_is_accepted_is_heard_afterwards() -> None:
    async with connected(Echo(), frame(PING, b"p") + frame(TEXT, b"t")) as (reader, writer):
        writer.write(frame(TEXT, b"u"))
        assert await reader.readexactly(9) == told(0xA, b"p") + told(TEXT, b"t") + told(TEXT, b"u")


async def test_what_nobody_reads_is_not_kept_for_ever() -> None:
    async with connected(Echo()) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(frame(TEXT, b"much"))
        await Watched.lost.wait()


async def test_a_goodbye_that_nobody_reads_is_not_waited_for() -> None:
    async with connected(Echo()) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(frame(TEXT, b"much") + frame(CLOSE))
        await Watched.lost.wait()


async def test_who_does_not_read_is_not_answered_either() -> None:
    application = Echo()
    async with connected(application) as (reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(frame(TEXT, b"much"))
        await Watched.paused.wait()
        waiting = Watched.last.transport.get_write_buffer_size()
        Watched.last.data_received(frame(PING, b"p" * 100) * (MAX_CONTROL_FRAMES - 1))
        assert Watched.last.transport.get_write_buffer_size() == waiting
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        answer, heard = told(0xA, b"p" * 100), b""
        while answer not in heard:
            heard = heard[-len(answer) :] + await reader.read(2**20)


@pytest.mark.parametrize("headers", [b"X: " + b"y" * 9_000 + b"\r\n", b"X: y\r\n" * 200])
async def test_a_head_that_is_no_handshake_is_answered_and_not_kept(headers: bytes) -> None:
    async with connected(Echo(), headers=headers, status=431) as (reader, _):
        assert await reader.read() == b""
