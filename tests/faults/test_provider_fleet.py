"""Four workers and one dead provider: what one of them found out, all of them know."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from app.infra.embedded.servers import start
from app.llm.circuits import REFRESH_S
from tests.faults.pair import FAULTY, HEALTHY, Asked, Pair, started_pair
from tests.faults.running import frozen, kill, until

WORKERS = 4
COOLDOWN_S = 4.0
#: What Redis is while the provider is dead.
REDIS = ("running", "killed", "frozen")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Pair]:
    with started_pair(WORKERS=WORKERS, COOLDOWN_S=COOLDOWN_S) as pair:
        until(lambda: len(pair.workers()) == WORKERS, 30, "all workers")
        yield pair


@contextmanager
def redis_is(state: str, fleet: Pair) -> Iterator[None]:
    pid = fleet.docent.server_pids()["redis"]
    if state == "frozen":
        with frozen(pid):
            yield
    elif state == "killed":
        kill(pid)
        try:
            yield
        finally:
            start(fleet.docent.home)
    else:
        yield


def ask_many(fleet: Pair, count: int) -> list[Asked]:
    """One after the other, each on a new connection, so that every worker has its turn."""
    return [fleet.ask() for _ in range(count)]


def ask_until_all_know(fleet: Pair) -> None:
    """Until no worker has asked the dead provider for longer than news of it takes to spread."""
    quiet_since, seen = time.monotonic(), -1
    while time.monotonic() - quiet_since < 2 * REFRESH_S:
        fleet.ask()
        if len(fleet.faulty.calls) != seen:
            quiet_since, seen = time.monotonic(), len(fleet.faulty.calls)


@pytest.mark.parametrize("state", REDIS)
def test_a_dead_provider_costs_each_worker_one_attempt_at_most(fleet: Pair, state: str) -> None:
    fleet.recover()
    with redis_is(state, fleet):
        fleet.faulty.behave("status:503:600")
        fleet.faulty.forget()
        asked = ask_many(fleet, 60)
        paid = len(fleet.faulty.calls)
        print(f"Redis {state}: {paid} attempts, slowest {max(one.ms for one in asked):.0f} ms")
        assert {one.by for one in asked} == {HEALTHY}
        assert 1 <= paid <= WORKERS  # chance decides when each has its turn


@pytest.mark.parametrize("state", REDIS)
def test_one_probe_at_a_time_finds_it_back(fleet: Pair, state: str) -> None:
    fleet.recover()
    with redis_is(state, fleet):
        fleet.faulty.behave("status:500")
        ask_until_all_know(fleet)  # who does not yet would ask it, and that is no probe
        fleet.faulty.behave("slow_first_token:0.5")  # a probe that others could join
        fleet.faulty.forget()
        began = time.monotonic()
        with ThreadPoolExecutor(8) as askers:
            while not fleet.faulty.calls or time.monotonic() - began < COOLDOWN_S:
                answers = list(askers.map(lambda _: fleet.ask(), range(8)))
                assert time.monotonic() - began < 4 * COOLDOWN_S
                assert {one.status for one in answers} == {200}
        probes, after = probes_of(fleet)
        print(f"Redis {state}: back {probes[0]['started'] - began:.1f} s after it answered again")
        # Without Redis every worker has its own circuit, and its own probe.
        assert len(probes) <= (1 if state == "running" else WORKERS)
        assert probes[0]["started"] - began < COOLDOWN_S + 2
        until(lambda: fleet.ask().by == FAULTY, COOLDOWN_S + 5, "answers by the first again")
        assert len(fleet.faulty.calls) > len(probes) + after


def probes_of(fleet: Pair) -> tuple[list[dict[str, float]], int]:
    """Calls that began before the first of them had ended, and the number of others."""
    calls = fleet.faulty.calls
    first_end = min(call["ended"] or float("inf") for call in calls)
    probes = [call for call in calls if call["started"] < first_end]
    return probes, len(calls) - len(probes)
