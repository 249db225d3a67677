"""Circuits are shared by workers through a real Redis, and work without one."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from app.infra.embedded.servers import ServerUrls
from app.infra.redis import Guarded, open_redis
from app.llm.circuit import LONG_S, CircuitChange, CircuitKey, Pass
from app.llm.circuit_board import CircuitBoard
from app.llm.circuits import Circuits
from app.llm.failures import ProviderFailed
from tests.integration.redis_door import RedisDoor

DOWN = ProviderFailed("server_error")


class Worker:
    """One worker's circuits, with a clock of their own that is moved by hand."""

    def __init__(self, url: str, key: CircuitKey, cooldown_s: float = 60) -> None:
        self.url, self.key, self.cooldown_s = url, key, cooldown_s
        self.now = 1000.0
        self.changes: list[CircuitChange] = []

    @asynccontextmanager
    async def started(self, timeout_s: float = 0.2) -> AsyncIterator["Worker"]:
        async with open_redis(self.url, timeout_s=timeout_s) as client:
            self.client = client
            self.circuits = Circuits(
                board=CircuitBoard(Guarded(client, left_alone_s=0)),
                cooldown_s=self.cooldown_s,
                lease_s=30,
                observe=self.changes.append,
                clock=lambda: self.now,
            )
            yield self
            await self.circuits.close()

    async def refresh(self) -> None:
        self.now += 0.001  # what was written a moment ago is not younger than what is read now
        await self.circuits.refresh([self.key])

    async def fails(self, failure: ProviderFailed = DOWN) -> None:
        leave = await self.circuits.admit(self.key)
        assert leave is not None
        self.circuits.failed(leave, failure)
        await self.circuits.flush()

    @property
    def left_s(self) -> float:
        return self.circuits.remaining_s(self.key)

    @property
    def states(self) -> list[str]:
        return [change.state for change in self.changes]


@pytest.fixture
def key() -> CircuitKey:
    """Redis is shared by the session."""
    return CircuitKey("groq", "llama", uuid.uuid4().hex)


@pytest.fixture
async def two(servers: ServerUrls, key: CircuitKey) -> AsyncIterator[tuple[Worker, Worker]]:
    async with (
        Worker(servers.redis_url, key).started() as one,
        Worker(servers.redis_url, key).started() as other,
    ):
        yield one, other


async def expire(client: Redis, key: CircuitKey) -> None:
    """Let the time of an open circuit pass, in Redis; nobody waits a minute for a test."""
    (name,) = [name async for name in client.scan_iter(f"circuit:*{key.upstream}*:open")]
    await client.delete(name)


async def half_opened(*workers: Worker) -> None:
    await expire(workers[0].client, workers[0].key)
    for worker in workers:
        await worker.refresh()
        worker.now += 0.001


async def test_what_one_worker_finds_out_all_know(two: tuple[Worker, Worker]) -> None:
    one, other = two
    await one.fails()
    assert await one.circuits.admit(one.key) is None
    assert await other.circuits.admit(other.key) is not None, "it has not read yet"
    await other.refresh()
    assert await other.circuits.admit(other.key) is None
    assert 59 < other.left_s <= 60
    assert other.states == ["open"]
    assert other.circuits.until(other.key) is not None


async def test_one_probe_in_the_whole_fleet_and_its_success_is_everybodys(
    two: tuple[Worker, Worker],
) -> None:
    one, other = two
    await one.fails()
    await other.refresh()
    await half_opened(one, other)
    asked = [worker.circuits.admit(worker.key) for worker in (one, other) for _ in range(20)]
    leaves = [leave for leave in await asyncio.gather(*asked) if leave is not None]
    assert len(leaves) == 1
    assert leaves[0].lease
    assert "lease" not in repr(leaves[0].key)
    prober = one if "half_open" in one.states else other
    prober.circuits.succeeded(leaves[0])
    await prober.circuits.flush()
    for worker in two:
        await worker.refresh()
        leave = await worker.circuits.admit(worker.key)
        assert leave == Pass(worker.key)
        assert worker.states[-1] == "closed"


async def test_a_failed_probe_opens_for_everybody_and_old_news_start_no_second(
    two: tuple[Worker, Worker],
) -> None:
    one, other = two
    await one.fails()
    await other.refresh()
    await half_opened(one, other)
    await one.fails()
    assert await other.circuits.admit(other.key) is None, "it believed the circuit half-open"
    assert 59 < other.left_s <= 60


async def test_a_probe_that_is_cancelled_leaves_it_to_the_next(
    two: tuple[Worker, Worker],
) -> None:
    one, other = two
    await one.fails()
    await other.refresh()
    await half_opened(one, other)
    leave = await one.circuits.admit(one.key)
    assert leave is not None
    assert await other.circuits.admit(other.key) is None
    one.circuits.released(leave)
    await one.circuits.flush()
    other.now += 2
    assert await other.circuits.admit(other.key) is not None


async def test_a_request_cancelled_while_it_asks_holds_no_lease(
    servers: ServerUrls, key: CircuitKey
) -> None:
    door = RedisDoor(servers.redis_url)
    await door.open()
    async with (
        Worker(door.url, key).started(timeout_s=5) as one,
        Worker(servers.redis_url, key).started() as other,
    ):
        await one.fails()
        await other.refresh()
        await half_opened(one, other)
        door.hold()
        asking = asyncio.create_task(one.circuits.admit(key))
        await door.until_held()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        door.let_go()
        await one.circuits.flush()
        assert await other.circuits.admit(key) is not None
    await door.close()


async def test_never_shortened_and_the_longest_wins(two: tuple[Worker, Worker]) -> None:
    one, other = two
    slow = await other.circuits.admit(other.key)
    assert slow is not None
    await one.fails(ProviderFailed("rate_limited", retry_after_s=500))
    other.circuits.failed(slow, DOWN)  # in flight since before; asks for 60 s only
    await other.circuits.flush()
    assert 499 < other.left_s <= 500, "it learned at once what Redis holds"
    await one.refresh()
    assert 499 < one.left_s <= 500


async def test_many_failures_at_once_are_one_outage(two: tuple[Worker, Worker]) -> None:
    one, other = two
    leaves = [await worker.circuits.admit(worker.key) for worker in two for _ in range(20)]
    for leave in leaves:
        assert leave is not None
        one.circuits.failed(leave, DOWN)
        other.circuits.failed(leave, DOWN)
    await one.circuits.flush()
    await other.circuits.flush()
    await one.refresh()
    assert one.left_s <= 61, "no backoff yet"


async def test_an_outage_that_lasts_is_asked_about_less_often(
    two: tuple[Worker, Worker],
) -> None:
    one, _ = two
    waits = []
    for _ in range(7):
        await one.fails()
        await one.refresh()
        waits.append(one.left_s)
        await half_opened(one)
    assert [round(wait / 60) for wait in waits[:3]] == [1, 1, 1]
    assert 119 < waits[3] <= 133
    assert all(239 < wait <= 265 for wait in waits[4:])


async def test_what_somebody_must_see_to_opens_long_and_alerts(
    two: tuple[Worker, Worker],
) -> None:
    one, other = two
    await one.fails(ProviderFailed("bad_key"))
    assert one.left_s == pytest.approx(LONG_S, abs=1)
    assert [change.alert for change in one.changes] == [True]
    await other.refresh()
    assert [change.alert for change in other.changes] == [False], "it was told once"


async def test_redis_that_forgets_everything_costs_one_more_attempt(
    two: tuple[Worker, Worker],
) -> None:
    one, other = two
    await one.fails()
    await other.refresh()
    async for name in one.client.scan_iter(f"circuit:*{one.key.upstream}*"):
        await one.client.delete(name)
    await one.refresh()
    await one.fails()
    await other.refresh()
    for worker in two:
        assert await worker.circuits.admit(worker.key) is None


async def test_without_redis_each_process_goes_by_its_own_experience(
    servers: ServerUrls, key: CircuitKey
) -> None:
    door = RedisDoor(servers.redis_url)
    await door.open()
    async with (
        Worker(door.url, key).started() as one,
        Worker(servers.redis_url, key).started() as other,
    ):
        await door.close()
        await one.fails()
        assert await one.circuits.admit(key) is None
        await one.refresh()
        assert await one.circuits.admit(key) is None, "nothing is forgotten"
        await other.refresh()
        assert await other.circuits.admit(key) is not None
        await door.open()
        await one.refresh()  # tells what it could not
        await one.circuits.flush()
        await other.refresh()
        assert await other.circuits.admit(key) is None
        await door.close()
        one.now += 61
        leave = await one.circuits.admit(key)
        assert leave is not None
        assert leave.lease
        assert await one.circuits.admit(key) is None, "one probe in this process at least"
        one.circuits.succeeded(leave)
        await one.circuits.flush()
        assert await one.circuits.admit(key) == Pass(key)


async def test_a_frozen_redis_holds_nobody(servers: ServerUrls, key: CircuitKey) -> None:
    door = RedisDoor(servers.redis_url)
    await door.open()
    async with Worker(door.url, key).started() as one:
        door.hold()
        refreshing = asyncio.create_task(one.refresh())
        await door.until_held()
        leave = await one.circuits.admit(key)
        assert leave is not None
        one.circuits.failed(leave, DOWN)
        assert await one.circuits.admit(key) is None
        assert not refreshing.done(), "all that happened while Redis said nothing"
        await refreshing
        await one.circuits.flush()
        assert await one.circuits.admit(key) is None
    await door.close()


async def test_a_watcher_learns_by_itself(servers: ServerUrls, key: CircuitKey) -> None:
    learned = asyncio.Event()
    async with (
        Worker(servers.redis_url, key).started() as one,
        open_redis(servers.redis_url, timeout_s=1) as client,
    ):
        watcher = Circuits(board=CircuitBoard(Guarded(client)), observe=lambda _: learned.set())
        await watcher.watch([key])
        await one.fails()
        async with asyncio.timeout(10):
            await learned.wait()
        assert await watcher.admit(key) is None
        await watcher.close()


async def test_news_of_others_leaves_the_strikes(two: tuple[Worker, Worker]) -> None:
    """A provider whose bad answers took longer than a refresh was never left alone."""
    one, _ = two
    bad = ProviderFailed("malformed")
    await one.fails(bad)
    await one.refresh()
    await one.fails(bad)
    assert await one.circuits.admit(one.key) is None
