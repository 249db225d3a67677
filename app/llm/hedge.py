"""A second provider is asked when the first takes unusually long to begin.

Costs a second prompt, so it is off unless a share of requests is set, and only done between remote
providers. "Unusually long" is the 95th percentile of the provider's own recent first tokens (Dean
and Barroso, The Tail at Scale, 2013).
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from app.errors import AppError
from app.llm.circuit import CircuitKey
from app.llm.completion import Event
from app.llm.failures import ProviderFailed

#: First tokens that are remembered, and how many it takes to know what is unusual.
_RECENT, _ENOUGH = 100, 20
#: Hedges that may be saved up while none are needed.
_MOST_SAVED = 5.0


class Hedges:
    """When to hedge; at most ``share`` of this process's requests are."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._saved = 0.0
        self._first_tokens_ms: dict[CircuitKey, deque[float]] = {}

    def note(self, key: CircuitKey, first_token_ms: float) -> None:
        """Remember how long a first token took."""
        if self._share:
            self._first_tokens_ms.setdefault(key, deque(maxlen=_RECENT)).append(first_token_ms)

    def after_s(self, key: CircuitKey) -> float | None:
        """How long to wait for this request's first token before the next provider is asked.

        None when it is not to be hedged. Called once for each request that could be.
        """
        if not self._share:
            return None
        self._saved = min(_MOST_SAVED, self._saved + self._share)
        recent = sorted(self._first_tokens_ms.get(key, ()))
        if self._saved < 1 or len(recent) < _ENOUGH:
            return None
        return recent[int(len(recent) * 0.95)] / 1000

    def spend(self) -> bool:
        """Whether a hedge may begin; other requests may have spent it while this one waited."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


async def race(
    first: AsyncGenerator[Event],
    start_second: Callable[[], AsyncGenerator[Event] | None],
    after_s: float,
) -> AsyncGenerator[Event]:
    """The events of whichever has one first; ``start_second`` is called after ``after_s``.

    That may begin nothing. The other one is cancelled. When one fails the other goes on; when both
    do, that is raised which says more.
    """
    running = {_begin(first): first}
    failure: Exception | None = None
    try:
        if not (await asyncio.wait(running, timeout=after_s))[0]:
            second = start_second()
            if second is not None:
                running[_begin(second)] = second
        while running:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            task = next(task for task in running if task.done())
            events = running.pop(task)
            try:
                event = task.result()
            except (ProviderFailed, AppError) as error:
                # An empty purse keeps a hedge from starting, but says nothing of the first.
                failure = failure if isinstance(failure, ProviderFailed) else error
                continue
            async with aclosing(events):
                await _stop(running)
                yield event
                async for event in events:
                    yield event
                return
    finally:
        await _stop(running)
    raise failure or ProviderFailed("cut", "nobody ran")


def _begin(events: AsyncGenerator[Event]) -> asyncio.Task[Event]:
    async def first_event() -> Event:
        return await anext(events)

    return asyncio.create_task(first_event())


async def _stop(running: dict[asyncio.Task[Event], AsyncGenerator[Event]]) -> None:
    """Cancel what is still running; its attempts end as cancelled."""
    while running:
        task, events = running.popitem()
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen, or it would be logged
        await events.aclose()
