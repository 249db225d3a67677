"""Servers that mean harm cost a bounded share of our time, and nobody's thread but their own."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count

import pytest

from app.infra import strangers
from app.infra.fetch import FetchFailed, FetchLimits, fetch, post

LIMITS = FetchLimits(max_bytes=1_000_000, timeout_s=30)
#: What our bounds and two sockets' buffers hold together, generously.
UNREAD_BYTES = 32 * 1_048_576


def early_hints() -> Iterator[bytes]:
    while True:
        yield b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 1_000


def tiny_chunks() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"1\r\nx\r\n" * 1_000


def headers() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in count():
        yield b"X-%d: x\r\n" % number * 100


class Talker:
    """A server that answers with more than anybody asked for."""

    def __init__(self, words: Iterator[bytes]) -> None:
        self._words = words
        self.sent_bytes = 0
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for piece in self._words:
                writer.write(piece)
                await writer.drain()
                self.sent_bytes += len(piece)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def talking(words: Iterator[bytes]) -> AsyncIterator[Talker]:
    talker = Talker(words)
    server = await asyncio.start_server(talker.answer, "127.0.0.1", 0)
    talker.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server:
        yield talker


@pytest.mark.parametrize("words", [early_hints, tiny_chunks, headers])
async def test_a_document_that_never_comes_is_not_waited_for(words) -> None:  # type: ignore[no-untyped-def]
    async with talking(words()) as talker:
        with pytest.raises(FetchFailed, match="did not answer properly"):
            await fetch(talker.url, limits=LIMITS, allow_private=True)
    assert talker.sent_bytes < UNREAD_BYTES


async def test_a_receiver_that_never_says_how_it_went_is_not_waited_for() -> None:
    async with talking(early_hints()) as talker:
        with pytest.raises(FetchFailed, match="did not answer properly"):
            await post(talker.url, b"{}", {}, timeout_s=30, allow_private=True)
    assert talker.sent_bytes < UNREAD_BYTES


async def test_early_hints_before_a_document_are_passed_over() -> None:
    def words() -> Iterator[bytes]:
        yield b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 3
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000

    async with talking(words()) as talker:
        found = await fetch(talker.url, limits=LIMITS, allow_private=True)
    assert found.content == b"x" * 1_000_000


class SilentNames:
    """A name server that says nothing, for one domain, until it is told to."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self._spoken = threading.Event()
        self._real = socket.getaddrinfo

    def speak(self) -> None:
        self._spoken.set()

    def look_up(self, host: str, *args: object, **kwargs: object) -> object:
        if host.endswith("silent.example.com"):
            self.asked.release()
            assert self._spoken.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return self._real(host, *args, **kwargs)  # type: ignore[call-overload]


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentNames]:
    names = SilentNames()
    monkeypatch.setattr(socket, "getaddrinfo", names.look_up)
    yield names
    names.speak()


async def test_a_silent_name_server_holds_up_nobody_else(silent: SilentNames) -> None:
    asked = [
        asyncio.create_task(
            fetch(f"http://{number}.silent.example.com/", limits=LIMITS, allow_private=True)
        )
        for number in range(40)  # more than the loop ever has threads
    ]
    async with asyncio.timeout(20):
        await asyncio.to_thread(lambda: [silent.asked.acquire(timeout=10) for _ in asked])
        assert await asyncio.to_thread(lambda: "read") == "read"
        async with talking(iter([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"])) as talker:
            url = talker.url.replace("127.0.0.1", "localhost")
            assert (await fetch(url, limits=LIMITS, allow_private=True)).content == b"ok"
    silent.speak()
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(outcome, FetchFailed)


async def test_look_ups_that_do_not_end_are_bounded(
    silent: SilentNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "MAX_LOOKUPS", 2)
    names = strangers.ThreadedNames()
    waiting = [asyncio.create_task(names.resolve("a.silent.example.com")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="too many names"):
        await names.resolve("localhost")
    silent.speak()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_request_that_is_over_leaves_its_look_up_behind(silent: SilentNames) -> None:
    limits = FetchLimits(max_bytes=10, timeout_s=0.1)
    with pytest.raises(FetchFailed, match="too long"):
        await fetch("http://a.silent.example.com/", limits=limits, allow_private=True)
    [left] = [thread for thread in threading.enumerate() if thread.name == "look-up"]
    assert left.daemon, "it does not keep the process from ending"
    silent.speak()
    await asyncio.to_thread(left.join)
