"""One circuit: whether a provider is left alone, until when, and who may try if it is back.

::

    closed ──a failure──▶ open ──its time is over──▶ half-open ──the one probe succeeds──▶ closed
                           ▲                            │
                           └────────it fails────────────┘
"""

import random
from dataclasses import dataclass, field
from typing import Literal

from app.llm.completion import Outcome
from app.llm.failures import Opens

#: How long a provider is left alone that wants another key or money: someone has to see to it.
LONG_S = 3600.0
#: How many cooldowns the n-th failure in a row is worth; the last goes for all that follow. Probes
#: cost one request each, so a provider that is back should not be left out for long.
BACKOFF = (1, 1, 1, 2, 4)
#: By how much of itself a grown cooldown varies, so that processes that failed together part.
JITTER = 0.1
#: So many bad answers in a row open a circuit, see `failures.Rule`.
STRIKES = 2


@dataclass(frozen=True, slots=True)
class CircuitKey:
    """What fails together: a model, at a provider, as one of its customers."""

    provider: str
    model: str
    upstream: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to ask a provider; a ``lease`` makes it the probe."""

    key: CircuitKey
    lease: str = ""


@dataclass(frozen=True, slots=True)
class CircuitChange:
    """A circuit changed, as far as this process knows."""

    key: CircuitKey
    state: Literal["closed", "open", "half_open"]
    #: What opened it; None when it was somebody else's experience.
    outcome: Outcome | None = None
    #: Seconds until it may be tried again.
    open_s: float = 0.0
    #: Whether somebody has to do something: a key is refused, or an account is empty.
    alert: bool = False


def waits_s(cooldown_s: float) -> list[float]:
    """Seconds to leave a provider alone after its first, second … failure in a row."""
    grown = 1 + JITTER * random.random()  # noqa: S311 - no secret
    return [cooldown_s * times * (grown if times > 1 else 1.0) for times in BACKOFF]


@dataclass(slots=True)
class Circuit:
    """The state of one circuit in this process; times are seconds of the owner's clock."""

    open_until: float = 0.0
    #: Openings in a row; 0 is closed.
    failures: int = 0
    strikes: int = 0
    #: Until when somebody's probe is taken to be on its way.
    probing_until: float = 0.0
    #: When this process last wrote to Redis, what it has yet to write, whether it could not.
    wrote_at: float = 0.0
    writing: int = 0
    unshared: bool = False

    def is_shut_to(self, now: float) -> bool:
        """Whether nobody may ask: it is open, or somebody else is trying."""
        return now < max(self.open_until, self.probing_until)

    def is_enough(self, opens: Opens, *, probing: bool) -> bool:
        """Count a failure; whether the circuit opens by it. A probe has one chance."""
        if opens == "twice" and not probing:
            self.strikes += 1
            return self.strikes >= STRIKES
        return opens != "never"

    def open(self, now: float, asked_s: float, waits_s: list[float]) -> bool:
        """Open for the longest of what was asked, the failures in a row, and what is left.

        False when it was open, and for about as long.
        """
        was_open = now < self.open_until
        self.failures += not was_open
        wait_s = max(asked_s, waits_s[min(self.failures, len(waits_s)) - 1])
        self.strikes, self.probing_until = 0, 0.0
        if was_open and now + wait_s <= self.open_until + 1:
            return False
        self.open_until = max(self.open_until, now + wait_s)
        return True

    def learn(self, now: float, until: float, failures: int) -> bool:
        """Take over what others found; whether it is open by that, and was not before."""
        was_open = now < self.open_until
        # What could not be shared counts beside what is; otherwise they are right.
        self.open_until = max(until, self.open_until) if self.unshared else until
        self.failures = failures
        return now < self.open_until and not was_open

    def close(self) -> bool:
        """Forget everything; False when it was closed."""
        was_closed = not self.failures
        self.open_until = self.probing_until = 0.0
        self.failures = self.strikes = 0
        self.unshared = False
        return not was_closed
