"""A question on its way: sent at once, and heard while the page is still being drawn."""

import time
from collections.abc import Iterator
from itertools import count
from threading import Condition, Event, Thread

from docent_client.client import ApiClient
from docent_client.problems import INTERRUPTED, ApiProblem
from docent_client.schemas import Delta, Part, Question

#: For how long an answer is written on for a browser that has gone: connections break and return.
ABSENCE_S = 10.0
#: The code of the problem that an answer ends with when its reader wants no more of it.
STOPPED = "stopped"


class Asking:
    """Asks in a thread of its own and keeps what it hears, however often the page is redrawn."""

    def __init__(
        self, client: ApiClient, question: Question, *, absence_s: float = ABSENCE_S
    ) -> None:
        self.question = question
        self._client = client
        self._absence_s = absence_s
        #: The parts of the answer, or what went wrong; None is the end.
        self._heard: list[Part | Exception | None] = []
        self._more = Condition()
        self._is_abandoned = Event()
        #: Since when nobody is there to hear it, on the monotonic clock.
        self._left_at: float | None = None
        Thread(target=self._hear, name="asking", daemon=True).start()

    def parts(self, *, lull_s: float | None = None) -> Iterator[Part]:
        """The answer from its beginning, waiting for what is yet to come.

        During a silence an empty ``Delta`` comes every ``lull_s`` seconds, if that is given: a
        listener who draws then lets Streamlit see that something was clicked meanwhile.

        Raises:
            ApiProblem: the API refused, or could not be heard to the end.
        """
        for number in count():
            while not self._has_heard(number, lull_s):
                yield Delta("")
            part = self._heard[number]
            if part is None:
                return
            if isinstance(part, Exception):
                raise part
            yield part

    def abandon(self) -> None:
        """Hangs up at the next part, which stops the provider too; who listens is told at once."""
        self._is_abandoned.set()
        self._keep(ApiProblem("You stopped this answer", code=STOPPED))

    def leave(self) -> None:
        """The browser has gone; unless it comes back soon, the answer is abandoned."""
        self._left_at = time.monotonic()

    def stay(self) -> None:
        """The browser is there, or there again."""
        self._left_at = None

    def _hear(self) -> None:
        try:
            for part in self._client.stream(self.question):
                self._keep(part)
                if self._is_unwanted():
                    self._keep(ApiProblem("The answer was given up", code=INTERRUPTED))
                    return
        except Exception as error:  # noqa: BLE001 - raised where it is heard, whatever it is
            self._keep(error)
        finally:
            self._keep(None)

    def _is_unwanted(self) -> bool:
        left_at = self._left_at
        is_alone = left_at is not None and time.monotonic() - left_at >= self._absence_s
        return is_alone or self._is_abandoned.is_set()

    def _has_heard(self, number: int, timeout_s: float | None) -> bool:
        with self._more:
            return self._more.wait_for(lambda: len(self._heard) > number, timeout_s)

    def _keep(self, part: Part | Exception | None) -> None:
        with self._more:
            self._heard.append(part)
            self._more.notify_all()
