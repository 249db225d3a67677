"""Racing for a slow first token."""

import asyncio

import pytest

from app.llm.circuit import CircuitKey
from app.llm.completion import Delta
from app.llm.hedge import Hedges, race
from app.llm.router import Routing
from tests.fake_provider import BEHAVIOURS
from tests.unit.llm.asking import ask, collect, outcomes

KEY = CircuitKey("groq", "llama")


async def warmed(router, fake, requests=25):
    for _ in range(requests):
        await ask(router)
    fake.calls.clear()


async def test_a_slow_first_token_is_raced_for_and_the_loser_stops(build, fake):
    router = build("ok", "ok:3", routing=Routing(hedge_share=1))
    await warmed(router, fake)
    fake.behaviour = "slow_first_token"
    asking = asyncio.create_task(collect(router))
    await fake.until(lambda f: len(f.calls) == 1)
    fake.behaviour = "ok:3"
    events = await asking
    assert events[-1].provider == "groq"
    assert events[:-1] == [Delta("word0 word1 word2 ")]
    assert outcomes(events[-1]) == [("openrouter", "cancelled"), ("groq", "ok")]
    await fake.until(lambda f: f.calls[0].state == "aborted", timeout_s=1)
    assert router.models()[0].available, "slow once is no outage"


async def test_the_first_wins_when_it_is_first_after_all(build, fake):
    router = build("ok", "ok", routing=Routing(hedge_share=1))
    await warmed(router, fake)
    fake.behaviour = "slow_first_token:0.3"
    asking = asyncio.create_task(collect(router))
    await fake.until(lambda f: len(f.calls) == 1)
    fake.behaviour = "slow_headers"
    events = await asking
    assert events[-1].provider == "openrouter"
    assert ("groq", "cancelled") in outcomes(events[-1])
    await fake.until(lambda f: f.open_connections <= 1, timeout_s=1)


async def test_when_the_hedge_fails_the_first_goes_on(build, fake):
    router = build("ok", "status:500", routing=Routing(hedge_share=1))
    await warmed(router, fake)
    fake.behaviour = "slow_first_token:0.3"
    asking = asyncio.create_task(collect(router))
    await fake.until(lambda f: len(f.calls) == 1)
    fake.behaviour = None
    events = await asking
    assert events[-1].provider == "openrouter"
    assert outcomes(events[-1]) == [("groq", "server_error"), ("openrouter", "ok")]


async def test_when_both_fail_the_third_answers(build, fake, monkeypatch):
    gate = asyncio.Event()

    async def dies_silently(exchange, args):
        await exchange.start()
        await exchange.part(exchange.head())
        await gate.wait()
        exchange.cut()

    monkeypatch.setitem(BEHAVIOURS, "dies_silently", dies_silently)
    router = build("ok", "ok", "ok", routing=Routing(hedge_share=1))
    await warmed(router, fake)
    fake.behaviour = "dies_silently"
    asking = asyncio.create_task(collect(router))
    await fake.until(lambda f: len(f.calls) == 2)
    fake.behaviour = "ok"
    gate.set()
    events = await asking
    assert events[-1].provider == "openai"
    assert sorted(outcomes(events[-1])) == [
        ("groq", "cut"),
        ("openai", "ok"),
        ("openrouter", "cut"),
    ]


async def test_a_client_that_leaves_in_a_race_stops_both(build, fake):
    router = build("ok", "ok", routing=Routing(hedge_share=1))
    await warmed(router, fake)
    fake.behaviour = "slow_first_token"
    asking = asyncio.create_task(collect(router))
    await fake.until(lambda f: len(f.calls) == 2)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await fake.until(lambda f: [c.state for c in f.calls] == ["aborted"] * 2, timeout_s=1)


async def test_no_more_than_the_share_is_hedged(build, fake):
    router = build("ok", "ok", routing=Routing(hedge_share=0.2))
    await warmed(router, fake, 20)
    fake.behaviour = "comments:0.1"
    hedged = 0
    for _ in range(20):
        _, completion = await ask(router)
        hedged += len(completion.attempts) > 1
    assert 1 <= hedged <= (20 + 20) * 0.2


async def test_nothing_is_hedged_by_default(build, fake):
    router = build("ok", "ok")
    await warmed(router, fake)
    fake.behaviour = "comments:0.1"
    await ask(router)
    assert len(fake.calls) == 1


async def test_requests_that_wait_together_do_not_spend_the_share_twice():
    """When a provider becomes slow all of them wait, and its successor would get all of them."""
    hedges = Hedges(0.5)
    for _ in range(20):
        hedges.note(KEY, 1.0)
    assert [hedges.after_s(KEY) for _ in range(3)] == [None, 0.001, 0.001]
    assert [hedges.spend() for _ in range(2)] == [True, False]


async def test_a_race_may_have_one_runner():
    async def slow():
        await asyncio.sleep(0.01)
        yield Delta("x")

    assert [event async for event in race(slow(), lambda: None, 0)] == [Delta("x")]
