"""Questions that are being answered in this process, so that the same one is answered once.

The answer is made by a task of its own: whoever asked first may leave, and the others still get it;
when the last one leaves, the task is cancelled and with it the call to the provider.

The answer is made ahead of its readers, for questions of other processes wait for it too; but only
so far, for one reader of a very long answer may not read it at all.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.chat.cache import CacheKey
from app.chat.events import ChatEvent, Produce, Said

#: Characters told to nobody yet at which the answer waits for its fastest reader; few answers have
#: as many.
AHEAD_CHARS = 100_000


class _Flight:
    """The events so far of one answer, and those who wait for more."""

    def __init__(self, produce: Produce) -> None:
        self.events: list[ChatEvent] = []
        self.readers = 0
        self.failure: BaseException | None = None
        self.over = False
        #: How many events the fastest reader was told, and the characters of those after.
        self._told = self._ahead_chars = 0
        self._more = asyncio.Event()
        self._read = asyncio.Event()
        self.task = asyncio.create_task(self._run(produce))

    async def _run(self, produce: Produce) -> None:
        try:
            async for event in produce():
                self.events.append(event)
                self._wake()
                self._ahead_chars += _chars(event)
                while self._ahead_chars > AHEAD_CHARS:
                    self._read.clear()
                    await self._read.wait()
        except BaseException as error:  # every reader is to meet it
            self.failure = error
            if not isinstance(error, Exception):
                raise
        finally:
            self.over = True
            self._wake()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()

    async def read(self) -> AsyncGenerator[ChatEvent]:
        """Every event, from the first on; then what it failed with is raised."""
        told = 0
        while True:
            while told < len(self.events):
                event = self.events[told]
                told += 1
                self._note(told, event)
                yield event
            if self.over:
                break
            await self._more.wait()
        if self.failure is not None:
            raise self.failure

    def _note(self, told: int, event: ChatEvent) -> None:
        """A reader was told so many events, of which this is the last."""
        if told > self._told:
            self._told = told
            self._ahead_chars -= _chars(event)
            self._read.set()


def _chars(event: ChatEvent) -> int:
    return len(event.text) if isinstance(event, Said) else 0


class Flights:
    """The answers under way, by what they are kept under."""

    def __init__(self) -> None:
        self._flights: dict[CacheKey, _Flight] = {}

    def begun(self, key: CacheKey) -> bool:
        """Whether such an answer is under way."""
        return key in self._flights

    async def join(self, key: CacheKey, produce: Produce) -> AsyncGenerator[ChatEvent]:
        """The events of the answer under way, or of one that begins now.

        Raises:
            AppError: what the answer failed with, for every one of its readers.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(produce)
        flight.readers += 1
        try:
            async with aclosing(flight.read()) as events:
                async for event in events:
                    yield event
        finally:
            flight.readers -= 1
            if self._flights.get(key) is flight and (flight.over or not flight.readers):
                del self._flights[key]
            if not flight.readers:
                flight.task.cancel()
                await asyncio.gather(flight.task, return_exceptions=True)
