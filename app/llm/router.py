"""A provider made of providers: the first that answers wins."""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from time import perf_counter
from typing import cast

from app.errors import AppError, InvalidRequest
from app.llm.completion import (
    Attempt,
    Completion,
    CompletionRequest,
    Delta,
    Event,
    ModelInfo,
    Outcome,
    Provider,
    Reset,
)
from app.llm.cooldowns import Cooldowns
from app.llm.extractive import Extractive
from app.llm.failures import AllProvidersFailed, ProviderFailed

_log = logging.getLogger(__name__)

#: Outcomes after which asking again soon would cost the next caller time or money. A prompt that
#: is too long or not accepted, and a single bad answer, say little about the next request.
COOLING: frozenset[Outcome] = frozenset(
    {
        "rate_limited",
        "server_error",
        "auth_failed",
        "unavailable",
        "connect_failed",
        "first_token_timeout",
        "stalled",
    }
)


class Router:
    """Tries its providers in order until one answers; itself a provider.

    Nothing is passed on before the first text, so that a failure until then is invisible but for
    its :class:`Attempt`; a provider that dies later is followed by a :class:`Reset`. The extractive
    provider is exempt from cooldowns and from the deadline: it needs no network and milliseconds.
    """

    name = "router"

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        total_s: float = 60.0,
        cooldown_s: float = 300.0,
        default_model: str | None = None,
        cooldowns: Cooldowns | None = None,
        observe: Callable[[Attempt], None] | None = None,
    ) -> None:
        """Route over ``providers``.

        Args:
            providers: In order of preference; names are unique.
            total_s: Deadline of a whole answer, all attempts together.
            cooldown_s: How long a provider is left alone, unless it asks for longer.
            default_model: What a request without a model asks for; None goes by the order.
            cooldowns: Shared with whoever else should know; None keeps its own.
            observe: Told of every attempt as it ends, cancelled ones included.

        Raises:
            InvalidRequest: no provider has ``default_model``.
        """
        self._providers = tuple(providers)
        self._total_s, self._cooldown_s = total_s, cooldown_s
        self._cooldowns = cooldowns or Cooldowns()
        self._observe = observe or (lambda _: None)
        self._default_model = default_model
        self._order(default_model)

    def models(self) -> tuple[ModelInfo, ...]:
        """Every model of every provider, with what is known of its availability now."""
        return tuple(
            replace(model, available=model.available and until is None, cooling_down_until=until)
            for provider in self._providers
            for until in (self._cooldowns.until(provider.name),)
            for model in provider.models()
        )

    async def close(self) -> None:
        """Close every provider, also when one of them fails to."""
        await asyncio.gather(*(p.close() for p in self._providers), return_exceptions=True)

    def stream(self, request: CompletionRequest) -> AsyncIterator[Event]:
        """Answer with the first provider that can.

        Raises:
            InvalidRequest: nobody has ``request.model``; raised at once, not at the first event.
            AllProvidersFailed: none answered.
        """
        return self._stream(request, self._order(request.model or self._default_model))

    def _order(self, wanted: str | None) -> list[tuple[Provider, str | None]]:
        """Every provider with the model to ask it for, the one that has ``wanted`` first."""
        everyone = [(provider, None) for provider in self._providers]
        if wanted is None:
            return [*everyone]
        for provider in self._providers:
            is_model = any(model.id == wanted for model in provider.models())
            if wanted == provider.name or is_model:
                first = (provider, wanted if is_model else None)
                return [first, *(pair for pair in everyone if pair[0] is not provider)]
        message = "There is no such model; GET /api/v1/models lists those that can be asked for."
        raise InvalidRequest(
            f"model: {message}", errors=[{"field": "model", "message": message, "type": "model"}]
        )

    async def _stream(
        self, request: CompletionRequest, order: Sequence[tuple[Provider, str | None]]
    ) -> AsyncIterator[Event]:
        journey = _Journey(asyncio.get_running_loop().time() + self._total_s, self._observe)
        for provider, model in order:
            if await self._is_skipped(provider, journey):
                continue
            try:
                attempt = self._attempt(provider, replace(request, model=model), journey)
                async with aclosing(attempt) as events:
                    async for event in events:
                        yield event
            except ProviderFailed as failure:
                if not journey.is_over():  # cut off by the request's deadline: not its fault
                    await self._cool(provider, failure)
                if journey.sent:
                    journey.sent = False
                    yield Reset(failure.outcome)
            else:
                return
        raise AllProvidersFailed(journey.attempts, await self._retry_after_s())

    async def _is_skipped(self, provider: Provider, journey: "_Journey") -> bool:
        """Whether ``provider`` is cooling down, or time is up."""
        if provider.name == Extractive.name:
            return False
        if await self._cooldowns.remaining_s(provider.name):
            journey.record(provider, None, "cooling_down", 0.0)
            return True
        return journey.is_over()

    async def _attempt(
        self, provider: Provider, request: CompletionRequest, journey: "_Journey"
    ) -> AsyncGenerator[Event]:
        """The events of one provider, its attempt recorded however it ends."""
        started = perf_counter()
        outcome: Outcome = "cancelled"
        deadline = None if provider.name == Extractive.name else journey.deadline
        try:
            async with aclosing(cast("AsyncGenerator[Event]", provider.stream(request))) as events:
                while not isinstance(event := await _next(events, deadline), Completion):
                    journey.note(event)
                    yield event
            outcome = "ok"
        except ProviderFailed as failure:
            outcome = failure.outcome
            raise
        finally:
            journey.record(provider, request.model, outcome, _ms_since(started))
        yield journey.finish(event)

    async def _cool(self, provider: Provider, failure: ProviderFailed) -> None:
        if failure.outcome in COOLING and provider.name != Extractive.name:
            await self._cooldowns.start(
                provider.name, max(self._cooldown_s, failure.retry_after_s or 0.0)
            )

    async def _retry_after_s(self) -> int:
        """Whole seconds until the first provider may be tried again, at least 1."""
        waits = [await self._cooldowns.remaining_s(p.name) for p in self._providers]
        return max(1, math.ceil(min(waits, default=1.0)))


async def _next(events: AsyncIterator[Event], deadline: float | None) -> Event:
    """The next event, waited for until ``deadline`` on the loop's clock."""
    try:
        async with asyncio.timeout_at(deadline):
            return await anext(events)
    except (ProviderFailed, AppError):
        raise
    except StopAsyncIteration:
        raise ProviderFailed("cut", "the stream had no completion") from None
    except TimeoutError:
        raise ProviderFailed("stalled", "the deadline of the whole answer passed") from None
    except Exception as error:
        # One provider's defect must not take the answer down while others can give it.
        _log.exception("a provider raised what it should not")
        raise ProviderFailed("malformed", type(error).__name__) from error


def _ms_since(started: float) -> float:
    return (perf_counter() - started) * 1000


class _Journey:
    """One request on its way through the providers."""

    def __init__(self, deadline: float, observe: Callable[[Attempt], None]) -> None:
        self.deadline = deadline
        self.attempts: list[Attempt] = []
        #: Whether the present provider's text has been passed on.
        self.sent = False
        self._observe = observe
        self._started = perf_counter()
        self._first_token_ms: float | None = None

    def is_over(self) -> bool:
        """Whether the deadline of the whole answer has passed."""
        return asyncio.get_running_loop().time() >= self.deadline

    def note(self, event: Event) -> None:
        """Take notice of an event that is about to be passed on."""
        if isinstance(event, Delta):
            self.sent = True
            if self._first_token_ms is None:
                self._first_token_ms = _ms_since(self._started)

    def record(self, provider: Provider, model: str | None, outcome: Outcome, ms: float) -> None:
        """Note the end of an attempt."""
        model = model or next((known.id for known in provider.models()), "")
        attempt = Attempt(provider.name, model, outcome, round(ms, 1))
        self.attempts.append(attempt)
        self._observe(attempt)

    def finish(self, completion: Completion) -> Completion:
        """``completion`` with the whole journey in it, not just the last attempt."""
        return replace(
            completion, attempts=tuple(self.attempts), first_token_ms=self._first_token_ms
        )
