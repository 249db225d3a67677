"""An answer is made once for all who wait for it, and not far ahead of the fastest of them."""

import asyncio
from collections.abc import AsyncGenerator

from app.chat.cache import CacheKey
from app.chat.events import ChatEvent, Said
from app.chat.flights import AHEAD_CHARS, Flights

KEY = CacheKey("ten_a", 1, "digest", "group")
PIECE = "x" * 1000
#: So many are made while nobody reads.
AHEAD = AHEAD_CHARS // len(PIECE) + 1


class Maker:
    """An answer without end; it never waits for anything itself."""

    def __init__(self, pieces: int = 10**9) -> None:
        self.made = 0
        self.closed = False
        self._pieces = pieces

    async def produce(self) -> AsyncGenerator[ChatEvent]:
        try:
            while self.made < self._pieces:
                self.made += 1
                yield Said(PIECE)
                await asyncio.sleep(0)
        finally:
            self.closed = True


async def turns(count: int = 10 * AHEAD) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_answer_that_nobody_reads_is_made_a_little_further_only() -> None:
    maker, flights = Maker(), Flights()
    slow = flights.join(KEY, maker.produce)
    await anext(slow)
    await turns()
    assert maker.made == 1 + AHEAD
    await anext(slow)
    await turns()
    assert maker.made == 2 + AHEAD
    await slow.aclose()
    assert maker.closed


async def test_the_fastest_reader_sets_the_pace_and_the_others_miss_nothing() -> None:
    maker, flights = Maker(3 * AHEAD), Flights()
    slow, fast = (flights.join(KEY, maker.produce) for _ in range(2))
    await anext(slow)
    assert len([event async for event in fast]) == 3 * AHEAD
    assert len([event async for event in slow]) == 3 * AHEAD - 1
    assert maker.made == 3 * AHEAD


async def test_who_is_behind_takes_over_when_the_fastest_leaves() -> None:
    maker, flights = Maker(3 * AHEAD), Flights()
    slow, fast = (flights.join(KEY, maker.produce) for _ in range(2))
    await anext(slow)
    for _ in range(AHEAD):
        await anext(fast)
    await fast.aclose()
    assert len([event async for event in slow]) == 3 * AHEAD - 1
