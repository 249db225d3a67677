"""Which providers are left alone for a while after they failed, and until when."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Cooldowns:
    """Cooldowns of this process, in memory.

    Asynchronous because the circuit shared by all workers (through Redis) has the same face.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds that never go back."""
        self._clock = clock
        self._until: dict[str, float] = {}

    async def start(self, provider: str, for_s: float) -> None:
        """Leave ``provider`` alone for ``for_s`` seconds; a longer cooldown is never shortened."""
        self._until[provider] = max(self._until.get(provider, 0.0), self._clock() + for_s)

    async def remaining_s(self, provider: str) -> float:
        """Seconds until ``provider`` may be tried again; 0 when it may be now."""
        return self._remaining_s(provider)

    def until(self, provider: str) -> str | None:
        """The same as a time for people to read, RFC 3339 UTC; None when it may be tried now."""
        remaining_s = self._remaining_s(provider)
        if not remaining_s:
            return None
        return (datetime.now(UTC) + timedelta(seconds=remaining_s)).isoformat(timespec="seconds")

    def _remaining_s(self, provider: str) -> float:
        return max(0.0, self._until.get(provider, 0.0) - self._clock())
