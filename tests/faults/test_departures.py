"""Hundreds of clients that leave at any moment: the provider is told, and nothing stays behind."""

import asyncio
import random
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tests.faults.pair import Pair, started_pair
from tests.faults.running import QUESTION, until

CLIENTS = 50
#: The models' names are what the provider does: silent, silent after its headers, in mid-answer.
PHASES = ("slow_headers", "slow_first_token", "drip:400:0.02")
#: A provider is told within a second (design: contract); here the cores are shared.
TOLD_S = 2.0
#: Some leave before the provider is asked, most after.
LEAVES_WITHIN_S = 3.0


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    settings = {
        "OPENROUTER_MODEL": ",".join(PHASES),
        "FIRST_TOKEN_TIMEOUT_S": 30,
        "ATTEMPT_TIMEOUT_S": 60,
        "TOTAL_TIMEOUT_S": 60,
        "WORKERS": 2,
    }
    with started_pair(**settings) as pair:
        pair.faulty.behave(None)
        yield pair


async def leave(client: httpx.AsyncClient, number: int) -> float:
    """Ask and hang up at a moment nobody expects; when that was."""
    body = {
        "question": f"{QUESTION} (departure {number})",
        "stream": number % 2 == 0,
        "model": PHASES[number % len(PHASES)],
    }
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(random.uniform(0, LEAVES_WITHIN_S)),
            client.stream("POST", "/api/v1/chat", json=body) as response,
        ):
            await response.aread()
            raise AssertionError("nobody waits that long")
    return time.monotonic()


async def leave_all(pair: Pair, numbers: range) -> dict[int, float]:
    """When each left; at most so many are there at once."""
    turn = asyncio.Semaphore(CLIENTS)
    headers = {"X-API-Key": pair.docent.key, "Connection": "close"}

    async def one(client: httpx.AsyncClient, number: int) -> tuple[int, float]:
        async with turn:
            return number, await leave(client, number)

    async with httpx.AsyncClient(base_url=pair.docent.url, headers=headers, timeout=60) as client:
        return dict(await asyncio.gather(*(one(client, number) for number in numbers)))


def held(pair: Pair) -> dict[str, int]:
    """Connections of the database, and sockets of the workers."""
    [row] = pair.docent.rows(
        "SELECT count(*) AS n, count(*) FILTER (WHERE state <> 'idle') AS busy"
        " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    sockets = [
        connection.family
        for pid in pair.workers()
        for connection in psutil.Process(pid).net_connections("all")
    ]
    return {
        "database": row["n"],
        "busy": row["busy"],
        "clients and providers": sum(family != socket.AF_UNIX for family in sockets),
        "servers": sum(family == socket.AF_UNIX for family in sockets),
    }


def test_who_leaves_is_forgotten(pair: Pair) -> None:
    def all_ended() -> bool:
        return all(call["state"] != "open" for call in pair.faulty.calls)

    asyncio.run(leave_all(pair, range(100)))  # pools reach their size
    until(all_ended, 10, "the provider is told of the first hundred")
    before = held(pair)
    pair.faulty.forget()

    left = asyncio.run(leave_all(pair, range(100, 600)))
    until(all_ended, 10, "the provider is told of everybody")
    calls = pair.faulty.calls
    waited = [call["ended"] - left[number_of(call)] for call in calls]
    print(
        f"{len(calls)} of {len(left)} reached the provider, told after {max(waited):.2f} s at most"
    )
    assert {call["state"] for call in calls} == {"aborted"}
    assert {call["behaviour"] for call in calls} == set(PHASES)
    assert len(calls) > len(left) / 5
    assert max(waited) < TOLD_S

    until(lambda: held(pair)["busy"] == 0, 10, "no statement runs")
    after = held(pair)
    print(f"held before {before}, after {after}")
    assert after["clients and providers"] <= before["clients and providers"] + 4
    # Pools grow to what was wanted at once, and not by a client that has left.
    assert after["database"] <= before["database"] + 4
    assert after["servers"] <= before["servers"] + CLIENTS
    pair.faulty.behave("ok")
    assert pair.ask().status == 200


def number_of(call: dict) -> int:
    """The number of the client whose question this is."""
    said = str(call["body"]["messages"])
    return int(re.findall(r"\(departure (\d+)\)", said)[-1])
