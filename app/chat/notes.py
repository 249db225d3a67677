"""The notes of a document's parts: some taken at a time, counted, and brought to an end."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from app.chat.events import Advanced
from app.chat.prompt import NO_ANSWER
from app.errors import AppError
from app.llm.completion import Attempt, Completion, Event, Usage

#: Parts that are noted at the same time: providers limit how much is asked of them at once.
AT_ONCE = 4


class Notes:
    """What was noted of the parts, and what it took."""

    def __init__(self, *, is_partial: bool) -> None:
        self.texts: list[str] = []
        self.is_partial = is_partial
        self.attempts: tuple[Attempt, ...] = ()
        self.spent = Usage()
        #: How long all of it took.
        self.ms = 0.0
        self._started = time.perf_counter()
        self._last: Completion | None = None

    def take(self, note: Completion) -> None:
        """Add a part's, in the order of the parts."""
        self.attempts += note.attempts
        self.spent += note.usage
        # One that is not whole, or was refused, lacks something that nobody else has read.
        self.is_partial |= note.truncated or note.abstained == "refused"
        self._last = note
        self.ms = (time.perf_counter() - self._started) * 1e3
        text = note.text.strip()
        if note.abstained is None and text and not text.startswith(NO_ANSWER):
            self.texts.append(text)

    def added_to(self, completion: Completion) -> Completion:
        """``completion`` with all that was before it."""
        first_ms = completion.first_token_ms
        return replace(
            completion,
            first_token_ms=None if first_ms is None else first_ms + self.ms,
            usage=self.spent + completion.usage,
            attempts=self.attempts + completion.attempts,
            truncated=completion.truncated or self.is_partial,
        )

    def none(self) -> Completion:
        """The end, when no part had anything."""
        assert self._last is not None  # noqa: S101 - there is a part
        ended = Completion("", self._last.provider, self._last.model, abstained="no_match")
        return self.added_to(ended)


async def noted(
    streams: Sequence[AsyncGenerator[Event]],
) -> AsyncGenerator[Advanced | Completion]:
    """How far it is, as parts are done; then every part's note, in their order.

    The first part is noted alone: of a provider that is being tried again only one may ask, and the
    others then know whether it is back.
    """
    gate = asyncio.Semaphore(1)

    async def note(stream: AsyncGenerator[Event]) -> Completion:
        async with gate:
            completion = await _completion_of(stream)
        if stream is streams[0]:
            for _ in range(AT_ONCE - 1):
                gate.release()
        return completion

    tasks = [asyncio.create_task(note(stream)) for stream in streams]
    try:
        yield Advanced(0, len(tasks))
        pending = set(tasks)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # one that failed ends them all
            yield Advanced(len(tasks) - len(pending), len(tasks))
        for task in tasks:
            yield task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _completion_of(stream: AsyncGenerator[Event]) -> Completion:
    async with aclosing(stream) as events:
        async for event in events:
            if isinstance(event, Completion):
                return event
    raise AppError("The provider ended without an answer.")


async def finished(stream: AsyncGenerator[Event], notes: Notes) -> AsyncGenerator[Event]:
    """The events of ``stream``, its end with what the notes took."""
    async with aclosing(stream) as events:
        async for event in events:
            yield notes.added_to(event) if isinstance(event, Completion) else event
