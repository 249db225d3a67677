"""Four workers' routers, one Redis, real HTTP: an outage costs the fleet next to nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from app.infra.embedded.servers import ServerUrls
from app.infra.redis import Guarded, open_redis
from app.llm.circuit_board import CircuitBoard
from app.llm.circuits import Circuits
from app.llm.openai_compatible import Model, OpenAiCompatible
from app.llm.router import Router
from tests.fake_provider import FakeProvider
from tests.unit.llm.asking import ask, outcomes

WORKERS = 4


@pytest.fixture
async def first() -> AsyncIterator[FakeProvider]:
    async with FakeProvider() as fake:
        yield fake


@pytest.fixture
async def workers(servers: ServerUrls, first: FakeProvider) -> AsyncIterator[list[Router]]:
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(FakeProvider())
        routers = []
        for _ in range(WORKERS):
            client = await stack.enter_async_context(open_redis(servers.redis_url, timeout_s=1))
            providers = [
                OpenAiCompatible(name, base_url=fake.url, api_key="k", models=[Model("m")])
                for name, fake in (("groq", first), ("openai", second))
            ]
            # The port is in the circuit's name, so that no other test has to do with it.
            circuits = Circuits(board=CircuitBoard(Guarded(client)), cooldown_s=1)
            router = Router(providers, circuits=circuits)
            await router.open()
            stack.push_async_callback(router.close)
            routers.append(router)
        yield routers


async def test_one_failed_attempt_a_worker_then_none_and_one_probe(
    workers: list[Router], first: FakeProvider
) -> None:
    first.behaviour = "status:429:600"
    await asyncio.gather(*(ask(router) for router in workers))
    assert len(first.calls) <= WORKERS
    hits = len(first.calls)
    for _ in range(5):
        for router in workers:
            _, completion = await ask(router)
            assert outcomes(completion) == [("groq", "cooling_down"), ("openai", "ok")]
    assert len(first.calls) == hits


async def test_recovery_is_seen_by_a_single_probe(
    workers: list[Router], first: FakeProvider
) -> None:
    first.behaviour = "status:500"
    await asyncio.gather(*(ask(router) for router in workers))
    first.calls.clear()
    first.behaviour = "slow_headers:0.5"  # up again, and slow enough for all to ask meanwhile
    async with asyncio.timeout(20):
        while not first.calls:
            await asyncio.gather(*(_answered_by(router) for router in workers))
    assert len(first.calls) == 1, "one probe in the whole fleet"
    first.behaviour = "ok"
    async with asyncio.timeout(20):
        while set(await asyncio.gather(*map(_answered_by, workers))) != {"groq"}:
            first.calls.clear()


async def _answered_by(router: Router) -> str:
    _, completion = await ask(router)
    return completion.provider
