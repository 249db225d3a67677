"""Clients: as fast as they are answered, or at their own pace."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import orjson

from scripts.chat_benchmark.targets import Target


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, and how long it took from the moment it was due; milliseconds."""

    number: int
    total_ms: float
    first_ms: float
    raw: bytes


async def ask(
    session: aiohttp.ClientSession, target: Target, number: int, *, streamed: bool, due: float
) -> Reply:
    """Put one question and read all of the answer."""
    body = orjson.dumps(target.body(number, streamed))
    headers = {"Content-Type": "application/json", **target.headers}
    raw, first = bytearray(), 0.0
    async with session.post(target.url, data=body, headers=headers) as response:
        async for piece in response.content.iter_any():
            raw += piece
            if not first and (not streamed or target.mark in raw):
                first = time.perf_counter()
        if response.status != 200:
            raise SystemExit(
                f"{target.name}: {response.status} {raw[:500]!r}\n{target.server.said()}"
            )
    done = time.perf_counter()
    return Reply(number, (done - due) * 1e3, ((first or done) - due) * 1e3, bytes(raw))


async def drive(
    session: aiohttp.ClientSession,
    target: Target,
    numbers: Sequence[int],
    *,
    clients: int,
    rate: float = 0,
    streamed: bool = False,
) -> list[Reply]:
    """Ask questions ``numbers`` from ``clients`` at once.

    With a ``rate`` (requests/s of all together) they come at random times, as independent people's
    do, the same times for every target; latency counts from there, so that waiting for a free
    client is not left out. Without, each client asks again as soon as it is answered.
    """
    times = random.Random(numbers[0])  # noqa: S311 - arrivals
    due, waiting = time.perf_counter(), iter(numbers)
    replies: list[Reply] = []

    async def client() -> None:
        nonlocal due
        for number in waiting:
            mine = time.perf_counter()
            if rate:
                due += times.expovariate(rate)
                mine = due
                await asyncio.sleep(mine - time.perf_counter())
            replies.append(await ask(session, target, number, streamed=streamed, due=mine))

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return replies
