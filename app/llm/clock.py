"""The limits of one attempt: connecting, the first token, gaps, and the whole."""

import asyncio
from dataclasses import dataclass
from time import perf_counter

from app.llm.failures import Fault, ProviderFailed

#: The longest time between two reads. A read, with all that it sets off down to the caller's
#: socket, costs as much as some twenty tokens in one; nobody sees that text grows forty times a
#: second and not more often.
PACE_S = 0.025


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one attempt, in seconds; each is its own outcome when it passes."""

    #: Reaching the server: ``connect_failed``.
    connect_s: float = 3.0
    #: From the request to the first token (comments are not tokens): ``first_token_timeout``.
    first_token_s: float = 15.0
    #: Between two tokens, as long as the reader is waiting: ``stalled``.
    idle_s: float = 10.0
    #: The whole attempt, as long as the reader is waiting: ``overtime``, or
    #: ``first_token_timeout`` before the first token.
    total_s: float = 30.0


class Clock:
    """Which limit applies next, on the loop's clock, and what its passing means."""

    def __init__(self, limits: Timeouts) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._wall = perf_counter()
        now = self._loop.time()
        self._first = now + limits.first_token_s
        self._last = now + limits.total_s
        self._waiting_since = now
        self._tokens = 0
        self._begun = self._read_after = 0.0
        self.first_token_ms: float | None = None

    def deadline(self) -> float:
        """The loop time at which waiting must end."""
        limit = self._waiting_since + self._limits.idle_s if self._tokens else self._first
        return min(limit, self._last)

    def progressed(self, tokens: int) -> None:
        """Note how many tokens have come so far; text held back and reasoning count too."""
        if tokens == self._tokens:
            return
        if not self._tokens:
            self.first_token_ms = (perf_counter() - self._wall) * 1000
            self._begun = self._loop.time()
        self._tokens = tokens
        self._waiting_since = self._loop.time()

    async def pace(self) -> None:
        """Let tokens that come faster than anybody reads gather into one read.

        For half of the time that they have come for, at most: a short answer is not held up.
        """
        now = self._loop.time()
        if now < self._read_after:
            await asyncio.sleep(self._read_after - now)
            now = self._loop.time()
        self._read_after = now + min(PACE_S, (now - self._begun) / 2)

    def resumed(self) -> None:
        """Leave out what our reader took since the last token: a slow one is no stalled server."""
        now = self._loop.time()
        self._last += now - self._waiting_since
        self._waiting_since = now

    def expired(self) -> ProviderFailed:
        fault: Fault = "stalled" if self._tokens else "first_token_timeout"
        if self._tokens and self.deadline() == self._last:
            fault = "overtime"
        return ProviderFailed(fault, f"no token for {self._waited():.1f} s")

    def _waited(self) -> float:
        return self._loop.time() - self._waiting_since
