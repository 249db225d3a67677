"""A question on its way: sent at once, and heard while the page is still being drawn."""

from collections.abc import Iterator
from itertools import count
from threading import Condition, Event, Thread

from docent_client.client import ApiClient
from docent_client.schemas import Part, Question


class Asking:
    """Asks in a thread of its own and keeps what it hears, however often the page is redrawn."""

    def __init__(self, client: ApiClient, question: Question) -> None:
        self.question = question
        self._client = client
        #: The parts of the answer, or what went wrong; None is the end.
        self._heard: list[Part | Exception | None] = []
        self._more = Condition()
        self._is_abandoned = Event()
        Thread(target=self._hear, name="asking", daemon=True).start()

    def parts(self) -> Iterator[Part]:
        """The answer from its beginning, waiting for what is yet to come.

        Raises:
            ApiProblem: the API refused, or could not be heard to the end.
        """
        for number in count():
            with self._more:
                while len(self._heard) <= number:
                    self._more.wait()
            part = self._heard[number]
            if part is None:
                return
            if isinstance(part, Exception):
                raise part
            yield part

    def abandon(self) -> None:
        """Hangs up at the next part, which stops the provider too."""
        self._is_abandoned.set()

    def _hear(self) -> None:
        try:
            for part in self._client.stream(self.question):
                self._keep(part)
                if self._is_abandoned.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - raised where it is heard, whatever it is
            self._keep(error)
        finally:
            self._keep(None)

    def _keep(self, part: Part | Exception | None) -> None:
        with self._more:
            self._heard.append(part)
            self._more.notify_all()
