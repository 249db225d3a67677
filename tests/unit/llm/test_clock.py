"""Tokens that come faster than anybody reads are read together; others at once."""

import asyncio

import pytest

from app.llm.clock import PACE_S, Clock, Timeouts
from app.llm.completion import Delta
from app.llm.openai_compatible import Model, OpenAiCompatible
from tests.fake_provider import FakeProvider
from tests.unit.llm.asking import collect


async def test_the_first_reads_are_not_held_up_and_the_next_are_paced() -> None:
    loop = asyncio.get_running_loop()
    clock = Clock(Timeouts())
    begun = loop.time()
    await clock.pace()
    assert loop.time() - begun < PACE_S
    for _ in range(3):
        await clock.pace()
    assert loop.time() - begun >= 3 * PACE_S * 0.9  # timers may fire a moment early


async def test_a_short_answer_is_held_up_for_half_of_its_time_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, sleep = asyncio.get_running_loop(), asyncio.sleep
    asked_s: list[float] = []

    async def noted(seconds: float) -> None:
        asked_s.append(seconds / (loop.time() - before_first))
        await sleep(seconds)

    monkeypatch.setattr("app.llm.clock.asyncio.sleep", noted)
    clock = Clock(Timeouts())
    before_first = loop.time()
    clock.progressed(1)
    await sleep(0.001)
    while loop.time() - before_first < 2 * PACE_S:
        await clock.pace()
    assert asked_s
    assert max(asked_s) <= 1 / 2


async def test_a_slow_stream_is_never_held_up() -> None:
    clock = Clock(Timeouts())
    await clock.pace()
    await asyncio.sleep(2 * PACE_S)
    paced = asyncio.create_task(clock.pace())
    await asyncio.sleep(0)
    assert paced.done()


async def test_a_fast_stream_comes_in_few_pieces_and_whole() -> None:
    async with FakeProvider(behaviour="drip:2000:0") as fake:
        provider = OpenAiCompatible("local", base_url=fake.url, api_key=None, models=[Model("m")])
        pieces = [event.text for event in await collect(provider) if isinstance(event, Delta)]
        await provider.close()
    assert "".join(pieces).strip() == " ".join(f"word{n}" for n in range(2000))
    assert len(pieces) < 1000
