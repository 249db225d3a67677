"""`make serve` told to replace its workers, or to stop, while it answers; and its database gone."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from app.infra.embedded.servers import embedded_servers, start
from tests.fake_provider import FakeProvider
from tests.faults.running import (
    PATIENCE_S,
    QUESTION,
    Docent,
    Program,
    copy_of_docent,
    free_port,
    kill,
    until,
)

CLIENTS = 32
#: How long the provider keeps every answer waiting.
THINKING_S = 1.5


@pytest.fixture(scope="module")
def copy() -> Iterator[Docent]:
    """The servers of a copy, and settings that name a provider."""
    provider = f"http://127.0.0.1:{free_port()}/v1"
    with (
        copy_of_docent(LOCAL_LLM_BASE_URL=provider, PROVIDER_ORDER="local") as docent,
        embedded_servers(docent.home),
    ):
        yield docent


@pytest.fixture
def served(copy: Docent) -> Iterator[Program]:
    with running(copy) as program:
        yield program


@contextmanager
def running(copy: Docent, **settings: object) -> Iterator[Program]:
    """`make serve`, ready, and ended with the block."""
    program = copy.program("scripts.serve", **settings)
    copy.until_ready()
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.stop(signal.SIGTERM, 30)


def workers(served: Program) -> list[int]:
    """Gunicorn's workers; serve is its parent."""
    (gunicorn,) = psutil.Process(served.pid).children()
    return [child.pid for child in gunicorn.children()]


@contextmanager
def wall_clock(what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - started:.1f} s")


async def ask(client: httpx.AsyncClient, docent: Docent) -> int:
    """The status of one question on a connection of its own; 0 when it was refused or cut."""
    try:
        response = await client.post(
            f"{docent.url}/api/v1/chat",
            json={"question": QUESTION},
            headers={"X-API-Key": docent.key, "Connection": "close"},
        )
    except httpx.TransportError:
        return 0
    return response.status_code


async def in_flight(
    docent: Docent, provider: FakeProvider, client: httpx.AsyncClient
) -> list[asyncio.Task[int]]:
    """Questions that all wait for the provider."""
    provider.calls.clear()
    asked = [asyncio.create_task(ask(client, docent)) for _ in range(CLIENTS)]
    await provider.until(lambda fake: len(fake.calls) == CLIENTS, 60)
    return asked


async def test_workers_are_replaced_and_then_stopped_under_load(
    copy: Docent, served: Program
) -> None:
    port = int(copy.settings["LOCAL_LLM_BASE_URL"].split(":")[2].split("/")[0])
    behaviour = f"slow_first_token:{THINKING_S}"
    limits = httpx.Limits(max_connections=None)
    async with (
        FakeProvider(port, behaviour=behaviour) as provider,
        httpx.AsyncClient(timeout=60, limits=limits) as client,
    ):
        before = workers(served)
        asked = await in_flight(copy, provider, client)
        with wall_clock("rolling restart under load"):
            served.process.send_signal(signal.SIGHUP)
            late = []  # new callers, all through the restart
            while set(before) & set(workers(served)) or len(workers(served)) < len(before):
                late.append(asyncio.create_task(ask(client, copy)))
                await asyncio.sleep(0.05)
        assert await asyncio.gather(*asked) == [200] * CLIENTS
        assert await asyncio.gather(*late) == [200] * len(late)
        assert late

        asked = await in_flight(copy, provider, client)
        with wall_clock("stop under load"):
            served.process.send_signal(signal.SIGTERM)
            assert await asyncio.gather(*asked) == [200] * CLIENTS
            ended = await asyncio.to_thread(served.ended)
        assert ended.code == 0, ended.text
        assert await ask(client, copy) == 0


async def test_a_long_outage_of_the_database(copy: Docent) -> None:
    """Questions get 503 soon, and answers soon after it is back; also from workers born in it."""
    with running(copy, PROVIDER_ORDER="extractive") as served:
        before = workers(served)
        kill(copy.server_pids()["postgres"])
        kill(*before)  # their successors have never seen it
        began = time.monotonic()
        until(lambda: copy.status_of("/livez") == 200, PATIENCE_S, "successors are alive")
        ready = copy.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["postgres"]) == (503, "failed")
        successors = workers(served)
        for _time in range(2):
            with wall_clock("a question while PostgreSQL is away"):
                refused = copy.ask()
            assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
            assert refused.json()["retryable"]
            assert refused.headers["Retry-After"]
        outage_s = time.monotonic() - began
        start(copy.home)
        print(f"ready after an outage of {outage_s:.0f} s: {copy.until_ready(60):.1f} s")
        copy.check_intact()
        assert set(workers(served)) == set(successors), "nobody was replaced because of it"
        assert not set(before) & set(successors)
        ended = served.stop(signal.SIGINT)
        assert ended.code == 0, ended.text


async def test_a_worker_that_was_there_before_an_outage(copy: Docent) -> None:
    """It answers 503, stays, and answers again."""
    with running(copy, PROVIDER_ORDER="extractive", WORKERS="1") as served:
        (worker,) = workers(served)
        kill(copy.server_pids()["postgres"])
        assert copy.status_of("/livez") == 200
        until(lambda: copy.status_of("/readyz") == 503, 60, "its backends have noticed")
        assert copy.get("/readyz").json()["checks"]["postgres"] == "failed"
        with wall_clock("a question while PostgreSQL is away"):
            refused = copy.ask()
        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
        start(copy.home)
        copy.until_ready(60)
        copy.check_intact()
        assert workers(served) == [worker]
