"""An answer in the OpenAI dialect as it arrives: events in, text and usage out.

Servers differ in how they fail: an error inside a 200, a page of HTML, a whole JSON body although a
stream was asked for, an empty answer, an end without a finish. Each is told apart here.
"""

from typing import Any

import orjson

from app.llm.completion import Usage
from app.llm.failures import Fault, ProviderFailed, in_band
from app.llm.sse import EventParser

#: Characters of text after which an answer is taken for a runaway.
MAX_TEXT_CHARS = 1_000_000
#: Bytes of a whole stream; a token costs about 250 bytes of JSON.
MAX_STREAM_BYTES = 32 * 1_048_576
#: Bytes of a body that is one JSON document.
MAX_BODY_BYTES = 4 * 1_048_576

_HTML, _JSON = (b"<",), (b"{", b"[")


class Answer:
    """The state of one answer; :meth:`feed` bytes until :attr:`finished`, then :meth:`end`."""

    def __init__(self, secret: str = "") -> None:
        """``secret`` is the key that was sent; an error that repeats it is told without it."""
        self._secret = secret
        self.finished = False
        self.model: str | None = None
        self.usage = Usage(cost_usd=None)
        #: Pieces with anything in them, thoughts of a reasoning model included.
        self.tokens = 0
        self._parser = EventParser()
        self._parts: list[str] = []
        self._held = ""
        self._size_bytes = self._size_chars = 0
        self._body: bytearray | None = None
        self._sniffed = False
        self._finish_reason: str | None = None
        self._declined = False

    @property
    def text(self) -> str:
        """All text that was given out."""
        return "".join(self._parts)

    @property
    def refused(self) -> bool:
        """Whether the provider declined to answer, by its filter or by its model's words."""
        return not self._parts and (self._declined or self._finish_reason == "content_filter")

    @property
    def truncated(self) -> bool:
        """Whether it ended before it was done: its tokens were used up, or a filter stepped in."""
        return bool(self._parts) and self._finish_reason in {"length", "content_filter"}

    def feed(self, chunk: bytes) -> str:
        """Take the next bytes of the body; the new text, maybe empty.

        White space before the first word is held back, so that an answer of nothing else leaves
        nothing behind.

        Raises:
            ProviderFailed: for an in-band error, bytes that are no answer, or too many of them.
        """
        self._size_bytes += len(chunk)
        if self._size_bytes > MAX_STREAM_BYTES:
            raise ProviderFailed("malformed", "the answer is too large")
        if not self._sniffed:
            self._sniff(chunk)
        if self._body is None:
            return self._take(self._parser.feed(chunk))
        self._body += chunk
        if len(self._body) > MAX_BODY_BYTES:
            raise ProviderFailed("malformed", "the answer is too large")
        return ""

    def end(self) -> str:
        """The body has ended; the last text. Afterwards the answer is finished.

        Raises:
            ProviderFailed: ``cut`` without a finish, ``empty`` without text, ``malformed``.
        """
        text = self._take(self._parser.finish() if self._body is None else [bytes(self._body)])
        if not self.finished:
            self._finish(ended=True)
        return text

    def _sniff(self, chunk: bytes) -> None:
        """Tell events from a document by the first byte; content types are often wrong."""
        start = chunk.lstrip()
        if not start:
            return
        self._sniffed = True
        if start.startswith(_HTML):
            raise ProviderFailed("not_an_api", "the answer is a page of HTML")
        if start.startswith(_JSON):
            self._body = bytearray()

    def _take(self, events: list[bytes]) -> str:
        text = "".join([piece for event in events if (piece := self._event(event))])
        if text and not self._parts:
            text = (self._held + text).lstrip()
            self._held = "" if text else " "
        if text:
            self._parts.append(text)
            self._size_chars += len(text)
            if self._size_chars > MAX_TEXT_CHARS:
                raise ProviderFailed("malformed", "the answer is too long")
        if self.finished:
            self._check()
        return text

    def _event(self, event: bytes) -> str:
        """Read one event: its text, or nothing."""
        if self.finished or not event:
            return ""
        if event.startswith(b"[DONE]"):
            self.finished = True
            return ""
        chunk = _parse(event)
        if chunk.get("error"):
            raise in_band(chunk["error"], self._secret)
        if usage := chunk.get("usage"):
            self.usage = _usage(usage)
        if self.model is None:
            self.model = _string(chunk.get("model")) or None
        choices = chunk.get("choices")
        if not choices:
            return ""
        return self._choice(choices[0])

    def _choice(self, choice: dict[str, Any]) -> str:
        if reason := choice.get("finish_reason"):
            self._finish_reason = reason
            if reason == "error":
                raise in_band(choice.get("error") or choice, self._secret)
        said = choice.get("delta") or choice.get("message") or {}
        if content := said.get("content"):
            self.tokens += 1
            return content if isinstance(content, str) else _joined(content)
        if said.get("refusal"):
            self._declined = True
        elif said.get("reasoning") or said.get("reasoning_content"):
            self.tokens += 1
        return ""

    def _finish(self, *, ended: bool) -> None:
        self.finished = True
        if ended and self._finish_reason is None and not self._declined:
            nothing = not self._size_bytes
            raise ProviderFailed("empty" if nothing else "cut", "the answer has no end")
        self._check()

    def _check(self) -> None:
        if not self._parts and not self.refused:
            fault: Fault = "used_up" if self._finish_reason == "length" else "empty"
            raise ProviderFailed(fault, f"no text, finish reason {self._finish_reason}")


def _parse(event: bytes) -> dict[str, Any]:
    try:
        chunk = orjson.loads(event)
    except orjson.JSONDecodeError:
        raise ProviderFailed("malformed", "an event is not JSON") from None
    if isinstance(chunk, list) and chunk:
        chunk = chunk[0]  # Gemini wraps its errors in a list
    if not isinstance(chunk, dict):
        raise ProviderFailed("malformed", "an event is not an object")
    return chunk


def _usage(usage: dict[str, Any]) -> Usage:
    cost = usage.get("cost")
    return Usage(
        prompt_tokens=usage.get("prompt_tokens") or 0,
        completion_tokens=usage.get("completion_tokens") or 0,
        cost_usd=float(cost) if isinstance(cost, int | float) else None,
    )


def _string(value: Any) -> str:  # noqa: ANN401 - whatever JSON came
    return value if isinstance(value, str) else ""


def _joined(content: Any) -> str:  # noqa: ANN401
    """The text of content in parts: ``[{"type": "text", "text": …}]``."""
    if not isinstance(content, list):
        return ""
    return "".join(_string(part.get("text")) for part in content if isinstance(part, dict))
