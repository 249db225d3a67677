"""One attempt at one provider: what must hold before it, and what is owed after it."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from hashlib import blake2b
from secrets import token_bytes
from time import perf_counter
from typing import cast

from app.errors import AppError
from app.llm.circuit import CircuitKey, Pass
from app.llm.circuits import Circuits
from app.llm.completion import (
    Attempt,
    Completion,
    CompletionRequest,
    Delta,
    Event,
    Outcome,
    Usage,
)
from app.llm.failures import Fault, ProviderFailed
from app.llm.fit import ANSWER_TOKENS, BYTES_PER_TOKEN, fitted, prompt_tokens
from app.llm.hedge import Hedges
from app.llm.journey import Journey, Leg, ms_since
from app.llm.purse import Hold, Purse
from app.llm.traced import begin_attempt, end_attempt
from app.llm.watch import Watch

_log = logging.getLogger(__name__)
#: Circuits of brought keys that are remembered.
_BROUGHT = 1000
#: A provider that ended so had the prompt, and is paid for reading it.
_HAD_THE_PROMPT: frozenset[Outcome] = frozenset(
    {"cancelled", "cut", "empty", "first_token_timeout", "stalled"}
)


class Attempts:
    """Makes attempts, and tells everyone concerned how they ended."""

    def __init__(self, circuits: Circuits, hedges: Hedges, purse: Purse | None) -> None:
        """``circuits`` are those of the server's own keys, ``purse`` pays for these alone."""
        self._circuits, self._hedges, self._purse = circuits, hedges, purse
        # A key that a caller brought leaves this process in no form: its circuit is in memory,
        # under a digest that cannot be computed without this salt.
        self._brought = circuits.apart(_BROUGHT)
        self._salt = token_bytes(32)
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait until every attempt is paid for."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def run(self, leg: Leg, journey: Journey) -> AsyncGenerator[Event]:
        """The events of one provider; the attempt is recorded however it ends.

        Raises:
            ProviderFailed: it did not answer, or was not even asked.
            AppError: the money is spent.
        """
        hop = leg.hop
        request = self._prepared(leg, journey)
        circuits, key = self._circuit_of(leg)
        leave = Pass(key) if hop.is_builtin else await circuits.admit(key)
        if leave is None:
            raise self._unasked(leg, journey, "cooling_down")
        hold = await self._reserved(leg, request, journey, leave)
        tally = _Tally(leg, request)
        watch = Watch(None if hop.is_builtin else journey.deadline)
        failure: ProviderFailed | None = None
        try:
            stream = cast("AsyncGenerator[Event]", hop.provider.stream(request))
            async with aclosing(stream) as events:
                while not isinstance(event := await watch.next(events), Completion):
                    tally.take(event)
                    yield event
            tally.end(event)
        except ProviderFailed as error:
            failure = error
            tally.outcome = error.outcome
            raise
        finally:
            watch.stop()
            journey.record(tally.ended())
            self._judge(leg, leave, tally, None if journey.is_over() else failure)
            if hold is not None:
                await self._settle(hold, tally.cost_usd())
        yield event

    def _prepared(self, leg: Leg, journey: Journey) -> CompletionRequest:
        """What to send: for this model, and small enough for it."""
        model = leg.hop.model
        if not model.available and not leg.is_brought:
            raise self._unasked(leg, journey, "no_key")
        request = fitted(leg.request, model.context_tokens)
        if request is None:
            raise self._unasked(leg, journey, "too_long")
        return replace(request, model=model.id)

    def _unasked(self, leg: Leg, journey: Journey, fault: Fault) -> ProviderFailed:
        failure = ProviderFailed(fault)
        model = leg.hop.model
        journey.record(
            Attempt(leg.hop.provider.name, model.id, failure.outcome, 0.0, brought=leg.is_brought)
        )
        return failure

    def _circuit_of(self, leg: Leg) -> tuple[Circuits, CircuitKey]:
        if not leg.is_brought:
            return self._circuits, leg.hop.circuit
        key = leg.request.keys[leg.hop.provider.name]
        digest = blake2b(key.encode(), key=self._salt, digest_size=16).hexdigest()
        return self._brought, replace(leg.hop.circuit, upstream=digest)

    async def _reserved(
        self, leg: Leg, request: CompletionRequest, journey: Journey, leave: Pass
    ) -> Hold | None:
        """Money for the attempt put aside, when somebody pays for it and it has a price."""
        price = leg.hop.model.price
        account = request.account
        if self._purse is None or price is None or account is None or leg.is_brought:
            return None
        most = request.max_tokens or ANSWER_TOKENS
        try:
            return await self._purse.reserve(account, price.cost_usd(prompt_tokens(request), most))
        except BaseException as error:
            self._circuits.released(leave)
            if isinstance(error, AppError) or not isinstance(error, Exception):
                raise
            # Nobody knows what is left, so nothing is spent; what is free can still answer.
            _log.warning("nothing could be reserved: %s", type(error).__name__)
            raise self._unasked(leg, journey, "no_key") from error

    def _judge(
        self, leg: Leg, leave: Pass, tally: "_Tally", failure: ProviderFailed | None
    ) -> None:
        """Tell the circuit.

        Who was cancelled or cut off by our deadline is not blamed, nor who gets a second try.
        """
        if leg.hop.is_builtin:
            return
        circuits = self._brought if leg.is_brought else self._circuits
        if tally.outcome == "ok":
            circuits.succeeded(leave)
            if tally.first_token_ms is not None:
                self._hedges.note(leg.hop.circuit, tally.first_token_ms)
        elif failure is not None and (leg.again or failure.rule.action != "again"):
            circuits.failed(leave, failure)
        else:
            circuits.released(leave)

    async def _settle(self, hold: Hold, cost_usd: float) -> None:
        async def settle() -> None:
            try:
                await hold.settle(cost_usd)
            except Exception:  # noqa: BLE001
                # The answer is there or being asked for elsewhere, and must not be lost for this.
                _log.exception("an attempt was not paid for")

        task = asyncio.create_task(settle())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Shielded: what was spent is written down even if nobody waits for it any more.
        await asyncio.shield(task)


class _Tally:
    """What one attempt has come to so far."""

    def __init__(self, leg: Leg, request: CompletionRequest) -> None:
        self._span = begin_attempt(leg.hop, request)
        self._request = request
        self.outcome: Outcome = "cancelled"
        self.first_token_ms: float | None = None
        self._leg = leg
        self._started = perf_counter()
        self._said_bytes = 0
        self._completion: Completion | None = None

    def take(self, event: Event) -> None:
        if isinstance(event, Delta):
            if not self._said_bytes:
                self.first_token_ms = ms_since(self._started)
            self._said_bytes += len(event.text.encode())

    def end(self, completion: Completion) -> None:
        self.outcome = "ok"
        self._completion = completion

    def ended(self) -> Attempt:
        """The attempt, which is over."""
        attempt = Attempt(
            self._leg.hop.provider.name,
            self._leg.hop.model.id,
            self.outcome,
            round(ms_since(self._started), 1),
            self.first_token_ms,
            self._used(),
            self._leg.is_brought,
        )
        end_attempt(self._span, attempt, self._completion)
        return attempt

    def cost_usd(self) -> float:
        return self._used().cost_usd or 0.0

    def _used(self) -> Usage:
        """As the provider says, or about that when its answer broke off or was not waited for."""
        if self._completion is not None:
            return self._completion.usage
        hop = self._leg.hop
        if hop.is_builtin or not (self._said_bytes or self.outcome in _HAD_THE_PROMPT):
            return Usage()
        prompt, said = prompt_tokens(self._request), -(-self._said_bytes // BYTES_PER_TOKEN)
        # Rather too many are estimated, but more than it was allowed nobody bills.
        said = min(said, self._request.max_tokens or said)
        price = hop.model.price
        return Usage(prompt, said, price.cost_usd(prompt, said) if price else None)
