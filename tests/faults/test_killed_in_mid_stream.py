"""An API worker killed while it tells answers: the other's go on, the cut ones are told anew."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import httpx
import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from app.http.idempotency import LEASE_S
from tests.faults.pair import Pair, started_pair
from tests.faults.running import QUESTION, until

#: At least so many, and some of each worker.
STREAMS = 6
#: An answer of 10 s.
SLOWLY = "drip:100:0.1"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    settings = {"OPENROUTER_MODEL": SLOWLY, "ATTEMPT_TIMEOUT_S": 20, "TOTAL_TIMEOUT_S": 20}
    with started_pair(**settings, WORKERS=2) as pair:
        pair.faulty.behave(None)
        until(lambda: len(pair.workers()) == 2, 60, "both workers")
        yield pair


async def tell(pair: Pair, number: int) -> tuple[int, str]:
    """Status and text of a streamed answer, as far as it came."""
    headers = {
        "X-API-Key": pair.docent.key,
        "Idempotency-Key": f"killed-{number}",
        "Connection": "close",
    }
    body = {"question": f"{QUESTION} ({number})", "stream": True}
    text, status = "", 0
    async with httpx.AsyncClient(base_url=pair.docent.url, headers=headers, timeout=60) as client:
        try:
            async with client.stream("POST", "/api/v1/chat", json=body) as response:
                status = response.status_code
                async for part in response.aiter_text():
                    text += part
        except httpx.TransportError:
            pass
    return status, text


def connections(pair: Pair) -> list[int]:
    """How many clients each worker has."""
    return [
        sum(
            one.status == psutil.CONN_ESTABLISHED and one.laddr.port == pair.docent.port
            for one in psutil.Process(pid).net_connections("tcp")
        )
        for pid in pair.workers()
    ]


async def tell_again(pair: Pair, number: int) -> float:
    """Ask with the same key until there is an answer; the seconds until it began."""
    began = time.monotonic()
    while True:
        started = time.monotonic()
        status, text = await tell(pair, number)
        if status == 200:
            assert "event: done" in text
            return started - began
        assert status == 409, text
        assert '"idempotency_in_progress"' in text
        await asyncio.sleep(1)


async def test_the_same_key_gets_an_answer_of_another_worker(pair: Pair) -> None:
    telling: list[asyncio.Task[tuple[int, str]]] = []
    while len(telling) < STREAMS or min(connections(pair)) == 0:
        assert len(telling) < 5 * STREAMS, connections(pair)
        telling.append(asyncio.create_task(tell(pair, len(telling))))
        begun = len(telling)
        await asyncio.to_thread(
            until, lambda begun=begun: len(pair.faulty.calls) >= begun, 60, "it is being told"
        )
    os.kill(pair.workers()[0], signal.SIGKILL)
    told = await asyncio.gather(*telling)
    whole = {n for n, (status, text) in enumerate(told) if status == 200 and "event: done" in text}
    cut = set(range(len(told))) - whole
    print(f"of {len(told)} streams {len(cut)} were cut by the death of a worker")
    assert cut, "the dead one had some"
    assert whole, "the other one's go on"
    waited = await asyncio.gather(*(tell_again(pair, number) for number in cut))
    print(f"told anew after {max(waited):.1f} s at most")
    assert max(waited) < LEASE_S + 5
    status, text = await tell(pair, min(whole))
    assert (status, text) == told[min(whole)], "what was told whole is told again, not made again"
    await asyncio.to_thread(until, lambda: len(pair.workers()) == 2, 60, "a new worker")
