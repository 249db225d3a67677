"""What comes before a body is bounded, and how long an answer waits to be read; else nothing is."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from app.http.protocol import MAX_HEAD_BYTES, PIECE_BYTES, BoundedHttp

HEAD_S = 0.2
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
#: Whoever goes on sending to a connection that was closed does not get to read why.
CUT_OFF = b"cut off"


#: More than the kernel keeps of a connection that nobody reads.
MUCH_BYTES = 32 * 2**20


class Hasty(BoundedHttp):
    head_s = unread_s = HEAD_S
    last: ClassVar["Hasty"]
    lost: ClassVar[asyncio.Event]
    #: A request waits for the answer to another.
    waiting: ClassVar[asyncio.Event] = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        Hasty.last, Hasty.lost = self, asyncio.Event()

    def _read_on(self) -> None:
        super()._read_on()
        if self.pipeline:
            Hasty.waiting.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        Hasty.lost.set()


class Application:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.may_answer.wait()
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            await send({"type": "websocket.send", "text": "still here"})
            return
        if scope["path"] == "/much":
            await self._say_much(send, at_once=scope["query_string"] == b"at_once")
            return
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
        )
        await send({"type": "http.response.body", "body": b""})

    async def _say_much(self, send: Send, *, at_once: bool) -> None:
        size, pieces = (MUCH_BYTES, 1) if at_once else (2**16, MUCH_BYTES // 2**16)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(pieces):
            await send({"type": "http.response.body", "body": bytes(size), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def until_closed(self, piece: bytes = b"", every_s: float = 0.02) -> bytes:
        """What is said before the connection is closed, while ``piece`` is sent again and again."""

        async def drip() -> None:
            while piece:
                self.writer.write(piece)
                await asyncio.sleep(every_s)

        dripping = asyncio.create_task(drip())
        said = b""
        try:
            async with asyncio.timeout(20):
                while some := await self.reader.read(65_536):
                    said += some
                return said
        except ConnectionResetError:  # what was sent to it meanwhile is answered so
            return said or CUT_OFF
        finally:
            dripping.cancel()

    async def answer(self, request: bytes = REQUEST) -> bytes:
        self.writer.write(request)
        async with asyncio.timeout(20):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def stays_silent(self) -> None:
        """For longer than any deadline nothing is said, and the connection stays."""
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self.reader.read(1), HEAD_S * 3)


@asynccontextmanager
async def line(
    application: Application, protocol: type[BoundedHttp] = Hasty
) -> AsyncIterator[Line]:
    config = uvicorn.Config(
        application, http=protocol, ws="websockets-sansio", lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    Hasty.waiting = asyncio.Event()
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        yield Line(reader, writer)
        writer.close()
    finally:
        application.may_answer.set()
        server.should_exit = True
        await serving


@pytest.fixture
async def there() -> AsyncIterator[Line]:
    async with line(Application()) as found:
        yield found


async def test_who_says_nothing_is_not_waited_for(there: Line) -> None:
    assert await there.until_closed() == b""


@pytest.mark.parametrize("before", [b"", REQUEST])
async def test_a_slow_head_is_not_waited_for(there: Line, before: bytes) -> None:
    if before:
        assert (await there.answer(before)).startswith(OK)
    there.writer.write(b"GET / HTTP/1.1\r\n")
    said = await there.until_closed(b"X: y\r\n")
    assert said.startswith(b"HTTP/1.1 408 ")


async def test_empty_lines_keep_nothing_open(there: Line) -> None:
    """After an answer they are no head yet; they stopped uvicorn's own clock all the same."""
    assert (await there.answer()).startswith(OK)
    assert await there.until_closed(b"\r\n") in (b"", CUT_OFF)


@pytest.mark.parametrize("piece", [b"y" * 250_000, b"\r\nX: " + b"y" * 250_000, b"\r\na:b" * 500])
async def test_a_large_head_is_refused(there: Line, piece: bytes) -> None:
    there.writer.write(b"GET / HTTP/1.1\r\nHost: x")
    said = await there.until_closed(piece, every_s=0)
    assert said == CUT_OFF or said.startswith(b"HTTP/1.1 431 ")


async def test_a_head_of_ordinary_size_is_read(there: Line) -> None:
    large = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * (MAX_HEAD_BYTES // 2) + b"\r\n\r\n"
    assert (await there.answer(large)).startswith(OK)


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "piece"),
    [(b"2\r\nab\r\n0\r\n", b"X: y\r\n" * 40_000), (b"2;", b"y" * 250_000)],
    ids=["trailers", "extension of a chunk"],
)
async def test_what_follows_a_head_and_is_no_body_is_bounded_and_not_kept(
    start: bytes, piece: bytes
) -> None:
    application = Application()
    application.may_answer.clear()
    async with line(application) as there:
        there.writer.write(CHUNKED + start)
        assert await there.until_closed(piece, every_s=0) in (b"", CUT_OFF)
        assert [name for name, _ in Hasty.last.headers] == [b"host", b"transfer-encoding"]


async def test_a_body_in_small_chunks_with_a_trailer_is_read() -> None:
    chunks = b"1\r\nx\r\n" * (MAX_HEAD_BYTES // 2)
    async with line(Application(), BoundedHttp) as there:  # the hasty one waits for no such body
        assert (await there.answer(CHUNKED + chunks + b"0\r\nX: y\r\n\r\n")).startswith(OK)
        assert (await there.answer()).startswith(OK), "and the connection is good for another"


@pytest.mark.parametrize("begin", [b"", CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"])
async def test_many_requests_at_once_are_answered_and_few_of_them_kept(begin: bytes) -> None:
    """One read of the socket brought nine thousand, and each was 20 KB before it was its turn."""
    application, many = Application(), 5_000
    application.may_answer.clear()
    async with line(application) as there:
        there.writer.write(begin + REQUEST * many)
        await there.writer.drain()
        await Hasty.waiting.wait()
        await there.stays_silent()
        assert 0 < len(Hasty.last.pipeline) <= PIECE_BYTES / len(REQUEST)
        application.may_answer.set()
        for _ in range(many + bool(begin)):
            assert (await there.reader.readuntil(b"\r\n\r\n")).startswith(OK)


@pytest.mark.parametrize("rest", [REQUEST[20:], b""], ids=["comes", "does not come"])
async def test_the_rest_of_a_head_is_waited_for_when_it_may_be_read(rest: bytes) -> None:
    application = Application()
    application.may_answer.clear()
    async with line(application) as there:
        there.writer.write(REQUEST * 2 + REQUEST[:20])
        await Hasty.waiting.wait()
        there.writer.write(rest)
        await there.stays_silent()
        application.may_answer.set()
        for _ in range(3 if rest else 2):
            assert (await there.reader.readuntil(b"\r\n\r\n")).startswith(OK)
        assert (await there.until_closed()).startswith(b"" if rest else b"HTTP/1.1 408 ")


async def test_an_answer_may_take_its_time() -> None:
    application = Application()
    application.may_answer.clear()
    async with line(application) as there:
        there.writer.write(REQUEST)
        await there.stays_silent()
        application.may_answer.set()
        assert (await there.reader.readuntil(b"\r\n\r\n")).startswith(OK)
        assert (await there.answer()).startswith(OK), "and the connection is good for another"


async def test_a_websocket_may_be_silent(there: Line) -> None:
    """It comes after an answer, on a connection whose clock has run before."""
    assert (await there.answer()).startswith(OK)
    shaken = await there.answer(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert shaken.startswith(b"HTTP/1.1 101 ")
    await there.stays_silent()
    there.writer.write(b"\x81\x82\0\0\0\0hi")
    assert await there.reader.readexactly(12) == b"\x81\x0astill here"


async def test_a_body_that_comes_after_its_answer_does_not_keep_the_connection(there: Line) -> None:
    """Who is refused early goes on sending; that stopped uvicorn's own clock for good."""
    assert (
        await there.answer(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    ).startswith(OK)
    there.writer.write(b"too late!")
    assert (await there.answer()).startswith(OK)
    there.writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert (await there.reader.readuntil(b"\r\n\r\n")).startswith(OK)
    assert await there.until_closed(b"1\r\nx\r\n") in (b"", CUT_OFF)


@pytest.mark.parametrize("ending", ["keep-alive", "close"])
@pytest.mark.parametrize("query", ["", "?at_once"])
async def test_who_does_not_read_is_let_go(there: Line, query: str, ending: str) -> None:
    """Also when all is written and the connection closed, which by itself waits for its reader."""
    head = f"GET /much{query} HTTP/1.1\r\nHost: x\r\nConnection: {ending}\r\n\r\n"
    there.writer.write(head.encode())
    await there.reader.readexactly(1)
    async with asyncio.timeout(20):
        await Hasty.lost.wait()


class Patient(Hasty):
    unread_s = 3600.0


async def test_who_reads_slowly_is_waited_for() -> None:
    async with line(Application(), Patient) as there, asyncio.timeout(20):
        there.writer.write(b"GET /much?at_once HTTP/1.1\r\nHost: x\r\n\r\n")
        await there.reader.readexactly(1)
        waiting = Hasty.last.transport.get_write_buffer_size
        read = len(await there.reader.readuntil(b"\r\n\r\n")) + 1
        for _ in range(3):
            Hasty.last._look()
            before = waiting()
            while waiting() == before:
                read += len(await there.reader.read(2**16))
            assert 0 < waiting() < before
        while waiting():
            read += len(await there.reader.read(2**16))
        Hasty.last._look()
        while read < MUCH_BYTES:
            read += len(await there.reader.read(2**16))
    assert not Hasty.last._looking
