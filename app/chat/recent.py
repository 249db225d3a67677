"""Answers that this worker read lately, or made while Redis was away, ready to be told again.

They are kept under the same keys as in Redis, the corpus revision in them: after a change of the
documents none of them is found, here as little as there.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

from app.chat.events import ChatEvent
from app.chat.kept_answer import events_of

#: How many, and of how many bytes each at most; together they take some 10 MB.
MOST = 500
MOST_BYTES = 20_000
#: A longer time would leave an answer that is told all the time to be evicted by Redis.
RECENT_S = 30.0


class RecentAnswers:
    """Least recently told out first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: When it lapses, and its events.
        self._kept: OrderedDict[Hashable, tuple[float, Sequence[ChatEvent]]] = OrderedDict()

    def events(self, key: Hashable) -> Sequence[ChatEvent]:
        """The events of the answer under ``key``; none if there is none."""
        lapses, events = self._kept.get(key, (0.0, ()))
        if not events:
            return ()
        if lapses <= self._clock():
            del self._kept[key]
            return ()
        self._kept.move_to_end(key)
        return events

    def keep(self, key: Hashable, kept: bytes, for_s: float) -> Sequence[ChatEvent]:
        """Keep an answer for ``for_s`` seconds, unless it is a long one; its events."""
        events = events_of(kept)
        if for_s > 0 and len(kept) <= MOST_BYTES:
            self._kept[key] = self._clock() + for_s, events
            self._kept.move_to_end(key)
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return events
