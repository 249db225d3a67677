"""Two hundred streams at once: none holds a connection to the database while a model writes.

And none holds more than a little of an answer that its reader does not read.
"""

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import Iterator

import httpx
import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tests.faults.pair import Pair, started_pair
from tests.faults.running import QUESTION, until
from tests.faults.test_canaries import in_use

STREAMS = 200
#: Connections to the database.
POOL = 5
#: So many begin at the same time; the pool lets a hundred wait.
BEGINNING = 20
#: The models' names are what the provider does: it stops half-way, or answers.
STALLED, QUICKLY = "stall", "ok"
#: A long answer: 150 pieces of 5,000 characters, as fast as they are taken.
PIECES, PIECE_CHARS = 190, 5000
LONG = f"drip:{PIECES}:0:{PIECE_CHARS}"
#: A stream that nobody reads, with all that belongs to it (1.2 MB). Without bounds it took 3 MB of
#: an answer of 750 KB, and four times as much of any other.
HELD_BYTES = 2_000_000
_numbers = itertools.count()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    settings = {
        "OPENROUTER_MODEL": f"{STALLED},{QUICKLY},{LONG}",
        "CONNECT_TIMEOUT_S": 30,
        "IDLE_TIMEOUT_S": 60,
        "FIRST_TOKEN_TIMEOUT_S": 60,
        "ATTEMPT_TIMEOUT_S": 120,
        "TOTAL_TIMEOUT_S": 120,
        "DATABASE_POOL_SIZE": POOL,
        "TENANT_QUESTIONS_AT_ONCE": 0,
    }
    with started_pair(**settings) as pair:
        pair.faulty.behave(None)
        pair.model = QUICKLY
        assert pair.ask().status == 200
        yield pair


def body_of(model: str) -> dict[str, object]:
    return {"question": f"{QUESTION} ({next(_numbers)})", "stream": True, "model": model}


async def test_streams_hold_no_connection_to_the_database(pair: Pair) -> None:
    begun, over = asyncio.Semaphore(0), asyncio.Event()
    turn = asyncio.Semaphore(BEGINNING)
    limits = httpx.Limits(max_connections=None)

    async def follow(client: httpx.AsyncClient) -> None:
        await turn.acquire()
        async with client.stream("POST", "/api/v1/chat", json=body_of(STALLED)) as response:
            async for line in response.aiter_lines():
                if line == "event: delta":
                    break
            turn.release()
            begun.release()
            await over.wait()

    async with httpx.AsyncClient(
        base_url=pair.docent.url, headers={"X-API-Key": pair.docent.key}, timeout=60, limits=limits
    ) as client:
        following = [asyncio.create_task(follow(client)) for _ in range(STREAMS)]
        async with asyncio.timeout(100):
            for _ in range(STREAMS):
                await begun.acquire()
        assert not any(task.done() for task in following), "all are open at once"
        async with asyncio.timeout(20):  # the log of answers has one now and then
            while await asyncio.to_thread(in_use, pair):
                pass
        assert (await client.get("/readyz")).status_code == 200
        found = await client.post("/api/v1/retrieve", json={"question": QUESTION})
        assert found.status_code == 200
        over.set()
        await asyncio.gather(*following)


class SlowReader:
    """A client on a narrow line that reads the beginning of an answer and then nothing."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._writer: asyncio.StreamWriter | None = None

    async def begin(self) -> None:
        """Ask, again if there is no room just now, until the answer has begun."""
        while not await self._asked():
            await self.leave()

    async def _asked(self) -> bool:
        line = socket.socket()
        line.setblocking(False)
        try:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            # As over a network: the kernel's own buffers for loopback hold megabytes.
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
            there = ("127.0.0.1", self._pair.docent.port)
            await asyncio.get_running_loop().sock_connect(line, there)
            self._reader, self._writer = await asyncio.open_connection(sock=line, limit=4096)
        except BaseException:
            line.close()
            raise
        body = json.dumps(body_of(LONG)).encode()
        head = (
            "POST /api/v1/chat HTTP/1.1\r\nHost: docent\r\nConnection: close\r\n"
            f"X-API-Key: {self._pair.docent.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        said = await self._reader.readuntil(b"\r\n\r\n")
        if b" 503 " in said:
            return False
        await self._reader.readuntil(b"event: delta")
        return True

    async def read_on(self) -> bytes:
        """The rest of the answer."""
        return await self._reader.read(-1)

    async def leave(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()


async def test_who_does_not_read_costs_little_and_holds_up_nobody(pair: Pair) -> None:
    [worker] = map(psutil.Process, pair.workers())
    before = worker.memory_info().rss
    readers = [SlowReader(pair) for _ in range(STREAMS)]
    try:
        async with asyncio.timeout(200):
            for first in range(0, STREAMS, POOL):
                await asyncio.gather(*(one.begin() for one in readers[first : first + POOL]))
        asked = await asyncio.to_thread(pair.ask)
        assert asked.status == 200, "others are answered meanwhile"
        assert await asyncio.to_thread(pair.docent.status_of, "/readyz") == 200
        grown = worker.memory_info().rss - before
        print(f"{STREAMS} slow readers: {grown / STREAMS / 1e6:.1f} MB each")
        assert grown < STREAMS * HELD_BYTES
        async with asyncio.timeout(60):
            whole = await readers[0].read_on()
        assert b"event: done" in whole, "who reads on gets all of it"
    finally:
        for reader in readers:
            await reader.leave()
    await asyncio.to_thread(until, lambda: not open_to(worker, pair), 60, "their lines are closed")


def open_to(worker: psutil.Process, pair: Pair) -> int:
    """Connections of clients to the API."""
    lines = worker.net_connections("tcp")
    return sum(one.laddr.port == pair.docent.port and bool(one.raddr) for one in lines)
