"""An answer as chunks of the OpenAI dialect, which has no way to take anything back (ADR 0010).

What was sent stays sent: when a provider dies in mid-answer, the next one's text goes on where it
begins with what was sent, and otherwise the stream ends with an error, never with half an answer
that looks whole.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import orjson
import structlog

from app.chat.answer import Answer
from app.chat.events import Answered, Begun, ChatEvent, Restarted, Said
from app.chat.frames import keep_told
from app.chat.openai_answer import DocentOut, TokensOut, annotations, finish_reason
from app.chat.openai_stop import Stop, stopped
from app.errors import AppError, Unavailable
from app.http.idempotency import Turn
from app.http.openai_problems import openai_error

log = structlog.get_logger(__name__)

_DONE = b"data: [DONE]\n\n"


class AnswerBroken(Unavailable):
    """The model broke off, and what another one says does not go on from there; ask again."""

    code = "provider_failed"


class Sent:
    """The text a client has, and what may follow it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._whole = ""
        #: What a provider that started over has said so far; None while nobody had to.
        self._again: str | None = None

    def restart(self) -> None:
        """Another provider begins at the beginning."""
        self._whole, self._again = "".join(self._parts), ""

    def follow(self, text: str) -> str:
        """What of ``text``, the next of the answer, the client does not have yet.

        Raises:
            AnswerBroken: the answer has become another one.
        """
        if self._again is not None:
            self._again += text
            if not self._again.startswith(self._whole):
                if self._whole.startswith(self._again):
                    return ""
                raise AnswerBroken
            text, self._again = self._again[len(self._whole) :], None
        if text:
            self._parts.append(text)
        return text

    def end(self) -> None:
        """The answer is complete.

        Raises:
            AnswerBroken: the client has more than that.
        """
        if self._again is not None:
            raise AnswerBroken


class Chunks:
    """Encodes the chunks of one completion; what they share is encoded once."""

    def __init__(
        self, answer_id: str, model: str, *, include_usage: bool, linked: bool = False
    ) -> None:
        self._linked = linked
        self._shared: dict[str, Any] = {
            "id": answer_id,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        #: Where the usage is told at the end, every chunk before says that it is not known yet.
        self._usage: dict[str, Any] = {"usage": None} if include_usage else {}
        usage = b',"usage":null' if include_usage else b""
        head = orjson.dumps(self._shared)[:-1] + b',"choices":[{"index":0,"delta":'
        tail = b',"logprobs":null,"finish_reason":null}]' + usage
        self._head = b"data: " + head
        self._tail = tail + b"}\n\n"
        self._text_head = self._head + b'{"content":'
        self._text_tail = b"}" + self._tail

    def text(self, text: str) -> bytes:
        """The next piece of the answer."""
        return self._text_head + orjson.dumps(text) + self._text_tail

    def delta(self, delta: dict[str, Any]) -> bytes:
        """Anything else that is added to the message."""
        return self._head + orjson.dumps(delta) + self._tail

    def end(self, answer: Answer) -> bytes:
        """Everything after the text."""
        found = [annotation.model_dump() for annotation in annotations(answer, linked=self._linked)]
        docent = DocentOut.of(answer).model_dump()
        chunks = [
            self.delta({"annotations": found}) if found else b"",
            self._last(finish_reason(answer), docent=docent),
        ]
        if self._usage:
            usage = TokensOut.of(answer.usage).model_dump()
            chunks.append(_event({**self._shared, "choices": [], "usage": usage}))
        return b"".join([*chunks, _DONE])

    def failure(self, error: AppError) -> bytes:
        """The end of an answer that stays incomplete."""
        return self._last("error", error=openai_error(error)) + _DONE

    def _last(self, reason: str, **more: Any) -> bytes:  # noqa: ANN401 - JSON
        choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": reason}
        return _event({**self._shared, "choices": [choice], **self._usage, **more})


def _event(data: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(data)


class Telling:
    """What the events of one answer become."""

    def __init__(self, chunks: Chunks, stops: Sequence[str] = ()) -> None:
        self._chunks = chunks
        self._sent = Sent()
        self._stops, self._stop = stops, Stop(stops)
        #: Goes before the first chunk, and is empty from then on.
        self.opening = chunks.delta({"role": "assistant", "content": ""})

    def take(self, event: ChatEvent) -> bytes:
        """The chunks to send for ``event``, often none.

        Raises:
            AnswerBroken: what was sent cannot be gone on with.
        """
        data = b""
        if isinstance(event, Said):
            if rest := self._stop.take(self._sent.follow(event.text)):
                data = self._chunks.text(rest)
        elif isinstance(event, Restarted):
            self._sent.restart()
        elif isinstance(event, Answered):
            self._sent.end()
            rest = self._stop.take("", last=True)
            data = self._chunks.text(rest) if rest else b""
            data += self._chunks.end(stopped(event.answer, self._stops))
        if data and self.opening:
            data, self.opening = self.opening + data, b""
        return data


async def tell(
    events: AsyncGenerator[ChatEvent],
    model: str,
    *,
    include_usage: bool,
    linked: bool = False,
    turn: Turn | None = None,
    stops: Sequence[str] = (),
) -> AsyncGenerator[bytes]:
    """The chunks for ``events``, to somebody who asked for ``model``; kept for ``turn``.

    The text ends before the first of ``stops``.

    Raises:
        AppError: only before the first chunk; afterwards the stream ends with it.
    """
    async with aclosing(events):
        begun = await anext(events)
        assert isinstance(begun, Begun)  # noqa: S101 - as every stream begins
        chunks = Chunks(begun.answer_id, model, include_usage=include_usage, linked=linked)
        telling, told = Telling(chunks, stops), list[bytes]()
        try:
            async for event in events:
                if data := telling.take(event):
                    if turn is not None:
                        told.append(data)
                        if isinstance(event, Answered):  # as in frames.py
                            await keep_told(turn, told, event.answer)
                    yield data
        except Exception as error:  # the last wall: a stream that has begun ends with a chunk
            if telling.opening:
                raise  # nothing was sent: it becomes a proper response
            if not isinstance(error, AppError):
                log.exception("stream_failed")
            yield chunks.failure(error if isinstance(error, AppError) else AppError())
