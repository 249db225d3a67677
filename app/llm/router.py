"""A provider made of providers: the first that answers wins."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from app.llm.attempts import Attempts
from app.llm.circuits import Circuits
from app.llm.completion import (
    Attempt,
    Completion,
    CompletionRequest,
    Event,
    ModelInfo,
    Provider,
    Reset,
)
from app.llm.failures import AllProvidersFailed, ProviderFailed
from app.llm.hedge import Hedges, race
from app.llm.journey import Journey, Leg
from app.llm.order import Hop, Order
from app.llm.purse import Purse


@dataclass(frozen=True, slots=True)
class Routing:
    """How a router goes about it."""

    #: Deadline of a whole answer in seconds, all attempts together.
    total_s: float = 60.0
    #: What a request without a model asks for; None goes by the order.
    default_model: str | None = None
    #: The share of requests that may ask a second provider for the first token; 0 = none.
    hedge_share: float = 0.0


class Router:
    """Tries its providers in order until one answers; itself a provider.

    Nothing is passed on before the first text, so that a failure until then is invisible but for
    its :class:`Attempt`; a provider that dies later is followed by a :class:`Reset`. The extractive
    provider is exempt from circuits and from the deadline: it needs no network and milliseconds.
    """

    name = "router"
    upstream = ""

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        routing: Routing | None = None,
        circuits: Circuits | None = None,
        purse: Purse | None = None,
        observe: Callable[[Attempt], None] | None = None,
    ) -> None:
        """Route over ``providers``.

        Args:
            providers: In order of preference; names are unique.
            routing: Limits and shares.
            circuits: Shared with other workers; None keeps its own. Closed with the router.
            purse: Pays for attempts that have a price; None leaves money alone.
            observe: Told of every attempt as it ends, cancelled ones included.

        Raises:
            InvalidRequest: no provider has the default model.
        """
        self._providers = tuple(providers)
        self._routing = routing or Routing()
        self._order = Order(providers, self._routing.default_model)
        self._circuits = circuits or Circuits()
        self._hedges = Hedges(self._routing.hedge_share)
        self._attempts = Attempts(self._circuits, self._hedges, purse)
        self._observe = observe or (lambda _: None)

    async def open(self) -> None:
        """Learn which circuits are open, and keep learning."""
        await self._circuits.watch([h.circuit for h in self._order.hops if not h.is_builtin])

    async def close(self) -> None:
        """Close every provider, also when one of them fails to."""
        await self._attempts.close()
        await self._circuits.close()
        await asyncio.gather(*(p.close() for p in self._providers), return_exceptions=True)

    def makers(self) -> tuple[str, ...]:
        """Who may answer a caller without keys, as configured: what is cooling down too."""
        return self._order.makers()

    def models(self) -> tuple[ModelInfo, ...]:
        """Every model of every provider, with what is known of its availability now."""
        return tuple(
            replace(
                hop.model,
                available=hop.model.available and until is None,
                cooling_down_until=until,
            )
            for hop in self._order.hops
            for until in (self._circuits.until(hop.circuit),)
        )

    def stream(self, request: CompletionRequest) -> AsyncIterator[Event]:
        """Answer with the first provider that can.

        Raises:
            InvalidRequest: nobody has ``request.model``; raised at once, not at the first event.
            AllProvidersFailed: none answered.
            AppError: what the purse says when the money is spent.
        """
        return self._stream(request, self._order.of(request))

    async def _stream(
        self, request: CompletionRequest, hops: Sequence[Hop]
    ) -> AsyncGenerator[Event]:
        journey = Journey(self._routing.total_s, self._observe, until=request.deadline)
        legs = deque(Leg(hop, request) for hop in hops)
        while legs:
            leg = legs.popleft()
            left = len(legs)
            try:
                async with aclosing(self._events(leg, legs, journey)) as events:
                    async for event in events:
                        if isinstance(event, Completion):
                            yield journey.finish(event)
                            return
                        journey.note(event)
                        yield event
            except ProviderFailed as failure:
                if journey.drop():
                    yield Reset(failure.outcome)
                if failure.rule.action == "stop":
                    yield journey.finish(_refusal(leg))
                    return
                # A leg that was raced against is not gone back to: its successor failed as well.
                _replan(legs, leg.after(failure) if len(legs) == left else None, journey)
        raise AllProvidersFailed(journey.attempts, self._retry_after_s(hops))

    def _events(self, leg: Leg, legs: deque[Leg], journey: Journey) -> AsyncGenerator[Event]:
        """The events of one leg; of the next as well, if the first token is to be raced for."""
        events = self._attempts.run(leg, journey)
        if leg.again or not legs or not self._may_race(leg, legs[0]):
            return events
        after_s = self._hedges.after_s(leg.hop.circuit)
        if after_s is None:
            return events

        def start_second() -> AsyncGenerator[Event] | None:
            if not self._hedges.spend():
                return None
            return self._attempts.run(legs.popleft(), journey)

        return race(events, start_second, after_s)

    def _may_race(self, leg: Leg, other: Leg) -> bool:
        """Whether both are remote, different, and not known to fail."""
        hops = leg.hop, other.hop
        return leg.hop.provider is not other.hop.provider and not any(
            hop.is_builtin or self._circuits.remaining_s(hop.circuit) for hop in hops
        )

    def _retry_after_s(self, hops: Sequence[Hop]) -> int:
        """Whole seconds until the first provider may be tried again, at least 1."""
        waits_s = [self._circuits.remaining_s(hop.circuit) for hop in hops]
        return max(1, math.ceil(min(waits_s, default=1.0)))


def _refusal(leg: Leg) -> Completion:
    return Completion("", leg.hop.provider.name, leg.hop.model.id, abstained="refused")


def _replan(legs: deque[Leg], retry: Leg | None, journey: Journey) -> None:
    """What is left to try after a failure; once time is up, only what takes none."""
    if retry is not None:
        legs.appendleft(retry)
    if journey.is_over():
        kept = [leg for leg in legs if leg.hop.is_builtin]
        legs.clear()
        legs.extend(kept)
