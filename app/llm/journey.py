"""One request on its way through the providers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

from app.llm.completion import Attempt, Completion, CompletionRequest, Delta, Event
from app.llm.failures import ProviderFailed
from app.llm.fit import halved
from app.llm.order import Hop

#: uvloop rounds timers to milliseconds, so the one for the deadline may be that much early.
_EARLY_S = 0.001


@dataclass(frozen=True, slots=True)
class Leg:
    """A hop, and what is asked there."""

    hop: Hop
    request: CompletionRequest
    #: Whether it is the second try of the same.
    again: bool = False

    @property
    def is_brought(self) -> bool:
        """Whether the caller's own key is used."""
        return self.hop.provider.name in self.request.keys

    def after(self, failure: ProviderFailed) -> "Leg | None":
        """What to ask the same provider after ``failure``, or None."""
        action = failure.rule.action
        if action == "again" and not self.again:
            return replace(self, again=True)
        if action == "fewer" and (smaller := halved(self.request)):
            return replace(self, request=smaller)
        return None


class Journey:
    """What is known of one request while it is under way."""

    def __init__(
        self, total_s: float, observe: Callable[[Attempt], None], *, until: float | None = None
    ) -> None:
        """It is over after ``total_s``, or at ``until`` in the loop's time if that is earlier."""
        self.deadline = asyncio.get_running_loop().time() + total_s
        if until is not None:
            self.deadline = min(self.deadline, until)
        self.attempts: list[Attempt] = []
        #: Whether text of the present provider has been passed on.
        self.sent = False
        self._observe = observe
        self._started = perf_counter()
        self._first_token_ms: float | None = None

    def is_over(self) -> bool:
        """Whether the deadline of the whole answer has passed."""
        return asyncio.get_running_loop().time() >= self.deadline - _EARLY_S

    def note(self, event: Event) -> None:
        """Take notice of an event that is about to be passed on."""
        if not self.sent and isinstance(event, Delta):
            self.sent = True
            if self._first_token_ms is None:
                self._first_token_ms = ms_since(self._started)

    def drop(self) -> bool:
        """Whether there is text to be discarded; another provider starts over."""
        was_sent, self.sent = self.sent, False
        return was_sent

    def record(self, attempt: Attempt) -> None:
        """Note the end of an attempt."""
        self.attempts.append(attempt)
        self._observe(attempt)

    def finish(self, completion: Completion) -> Completion:
        """``completion`` with the whole journey in it, not just the last attempt."""
        return replace(
            completion, attempts=tuple(self.attempts), first_token_ms=self._first_token_ms
        )


def ms_since(started: float) -> float:
    """Milliseconds since ``started``, as told by ``perf_counter``."""
    return (perf_counter() - started) * 1000
