"""Faults of a language-model provider, and what they cost whoever asks through a router.

One scripted provider is faulty and comes first, another is healthy; each in its own process
(``tests/fake_provider.py``). ``scripts/fault_table.py`` measures the same faults.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.faults.running import Program


@dataclass(frozen=True)
class Limits:
    """What both sides of the table are given, in seconds."""

    connect_s: float = 0.7
    first_token_s: float = 1.0
    idle_s: float = 1.0
    #: One attempt, and the whole answer.
    attempt_s: float = 2.5
    total_s: float = 9.0
    cooldown_s: float = 300.0


LIMITS = Limits()


@dataclass(frozen=True)
class Fault:
    """What the first provider does."""

    name: str
    behaviour: str
    #: How the attempt must be called (design: contract, attempt outcomes).
    outcome: str
    listening: str = "open"
    #: Requests that meet it before its provider is left alone; 0: every one, for it is theirs.
    strikes: int = 1
    #: Whether a streamed answer shows some of it before it is found out.
    is_late: bool = False


#: What "slow drip" says in the end to whoever has the patience.
DRIPPED = "".join(f"word{number} " for number in range(60))
FAULTS = (
    Fault("429 without Retry-After", "status:429", "rate_limited"),
    Fault("429 with Retry-After: 400", "status:429:400", "rate_limited"),
    Fault("402 no credit", "status:402", "unavailable"),
    Fault("401 bad key", "status:401", "auth_failed"),
    Fault("404 no such model", "status:404", "unavailable"),
    Fault("500", "status:500", "server_error"),
    Fault("503", "status:503", "server_error"),
    Fault("connection refused", "ok", "connect_failed", listening="refused"),
    Fault("blackhole (SYN dropped)", "ok", "connect_failed", listening="blackhole"),
    Fault("accepts and never answers", "slow_headers", "first_token_timeout"),
    Fault("slow first token", "slow_first_token:30", "first_token_timeout"),
    Fault("slow drip", "drip:60:0.2", "stalled", strikes=2, is_late=True),
    Fault("stall in mid-answer", "stall", "stalled", is_late=True),
    Fault("cut at token 20", "cut:20", "cut", strikes=2, is_late=True),
    Fault("ends at token 2 without a finish", "ends_early", "cut", strikes=2, is_late=True),
    Fault("malformed chunk", "bad_chunk", "malformed", strikes=2, is_late=True),
    Fault("HTML body", "html", "malformed"),
    Fault("200 with an error body", "error_200:502", "server_error"),
    Fault("empty content", "empty", "empty", strikes=2),
    Fault("50 MB body", "big:50", "malformed", strikes=2),
    Fault("context overflow", "overflow", "context_overflow", strikes=0),
    Fault("flapping (every other call 503)", "flapping", "server_error"),
)


class ScriptedProvider:
    """The fake provider in its own process."""

    def __init__(self, behaviour: str = "ok") -> None:
        self.program = Program(
            [sys.executable, "-m", "tests.lying_provider", "--control", "--behaviour", behaviour],
            dict(os.environ),
        )
        control = self.program.until_line("/control")
        self.url = self.program.lines[0]
        self._client = httpx.Client(base_url=control, timeout=60, headers={"Connection": "close"})

    def behave(self, behaviour: str | None, listening: str = "open") -> None:
        """As told until told otherwise; None goes by the name of the model that is asked for."""
        self._client.post("", json={"behaviour": behaviour, "listening": listening})

    def forget(self) -> None:
        self._client.delete("")

    def record(self) -> dict[str, Any]:
        state: dict[str, Any] = self._client.get("").json()
        return state

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Every call since the last ``forget``, in order of arrival."""
        found: list[dict[str, Any]] = self.record()["calls"]
        return found

    def stop(self) -> None:
        self._client.close()
        self.program.kill()


@contextmanager
def scripted_provider(behaviour: str = "ok") -> Iterator[ScriptedProvider]:
    provider = ScriptedProvider(behaviour)
    try:
        yield provider
    finally:
        provider.stop()
