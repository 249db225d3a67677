"""Two hundred streams at once: none holds a connection to the database while a model writes."""

import asyncio
import itertools
from collections.abc import Iterator

import httpx
import pytest

from tests.faults.pair import Pair, started_pair
from tests.faults.running import QUESTION
from tests.faults.test_canaries import in_use

STREAMS = 200
#: So many begin at the same time; the pool lets a hundred wait.
BEGINNING = 20
#: The models' names are what the provider does: it stops half-way, or answers.
STALLED, QUICKLY = "stall", "ok"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    settings = {
        "OPENROUTER_MODEL": f"{STALLED},{QUICKLY}",
        "IDLE_TIMEOUT_S": 60,
        "FIRST_TOKEN_TIMEOUT_S": 60,
        "ATTEMPT_TIMEOUT_S": 120,
        "TOTAL_TIMEOUT_S": 120,
        "DATABASE_POOL_SIZE": 5,
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
