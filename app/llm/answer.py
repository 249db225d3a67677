"""An answer in the OpenAI dialect as it arrives: events in, text and usage out.

Servers differ in how they fail: an error inside a 200, a page of HTML, a whole JSON body although a
stream was asked for, an empty answer, an end without a finish. Each is told apart here.
"""

from typing import Any

import orjson

from app.llm.completion import Usage
from app.llm.failures import Fault, ProviderFailed, in_band, snippet
from app.llm.sse import EventParser

#: Characters of text after which an answer is taken for a runaway.
MAX_TEXT_CHARS = 1_000_000
#: Bytes of a whole stream; a token costs about 250 bytes of JSON.
MAX_STREAM_BYTES = 32 * 1_048_576
#: Bytes of a body that is one JSON document.
MAX_BODY_BYTES = 4 * 1_048_576

#: What one answer can have used, at the most; a figure beyond is a mistake and counts for nothing.
MAX_TOKENS, MAX_COST_USD = 1e9, 1e4
#: Of a model's name, in characters.
_MAX_NAME = 200

_BOM, _HTML, _JSON = b"\xef\xbb\xbf", (b"<",), (b"{", b"[")
#: Around what a reasoning model thinks aloud, where its server does not tell that from the answer.
_THINK, _THOUGHT = "<think>", "</think>"
#: Why an answer ended that is whole, as servers say it; whatever is not known may be half of one.
_WHOLE = frozenset(
    {
        "stop", "end_turn", "stop_sequence", "eos", "eos_token", "eosfound",
        "complete", "completed", "done", "finished",
    }
)  # fmt: skip
#: The server gave it up: vLLM, DeepSeek.
_BROKEN = frozenset({"error", "abort", "aborted", "cancelled", "insufficient_system_resource"})


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
        self._start = b""
        self._sniffed = False
        #: The choice that is told, should there be several: the one that came first.
        self._index: object = None
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
        """Whether it ended before it was done: no tokens left, a filter, a tool to call."""
        reason = self._finish_reason
        return bool(self._parts) and reason is not None and reason not in _WHOLE

    def feed(self, chunk: bytes) -> str:
        """Take the next bytes of the body; the new text, maybe empty.

        White space and thoughts before the first word are held back, so that an answer of nothing
        else leaves nothing behind.

        Raises:
            ProviderFailed: for an in-band error, bytes that are no answer, or too many of them.
        """
        self._size_bytes += len(chunk)
        if self._size_bytes > MAX_STREAM_BYTES:
            raise ProviderFailed("malformed", "the answer is too large")
        if not self._sniffed:
            chunk = self._sniff(chunk)
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
        rest = self._parser.finish() if self._body is None else [bytes(self._body)]
        text = self._take(rest, ended=True)
        if not self.finished:
            self._finish(ended=True)
        return text

    def _sniff(self, chunk: bytes) -> bytes:
        """Tell events from a document by the first byte; content types are often wrong.

        What has come, without white space and a byte order mark before it; nothing as long as that
        is all there is.
        """
        start = (self._start + chunk).lstrip().removeprefix(_BOM).lstrip()
        if _BOM.startswith(start):  # nothing yet, or a part of the mark
            self._start = start
            return b""
        self._sniffed = True
        if start.startswith(_HTML):
            raise ProviderFailed("not_an_api", "the answer is a page of HTML")
        if start.startswith(_JSON):
            self._body = bytearray()
        return start

    def _take(self, events: list[bytes], *, ended: bool = False) -> str:
        text = "".join([piece for event in events if (piece := self._event(event))])
        if not self._parts:
            text = self._beginning(text, ended=ended or self.finished)
        if text:
            self._parts.append(text)
            self._size_chars += len(text)
            if self._size_chars > MAX_TEXT_CHARS:
                raise ProviderFailed("malformed", "the answer is too long")
        if self.finished:
            self._check()
        return text

    def _beginning(self, text: str, *, ended: bool) -> str:
        """The first text, without the white space and the thoughts before it; maybe nothing yet."""
        held = (self._held + text).lstrip()
        if held.startswith(_THINK):
            _, end, after = held[len(_THINK) :].partition(_THOUGHT)
            # What has been thought is not kept, only what may be the beginning of its end.
            held = after.lstrip() if end else _THINK + held[len(_THINK) :][1 - len(_THOUGHT) :]
        if held.startswith(_THINK) or (_THINK.startswith(held) and not ended):
            self._held = held
            return ""
        return held

    def _event(self, event: bytes) -> str:
        """Read one event: its text, or nothing."""
        if self.finished or not event:
            return ""
        if event.startswith(b"[DONE]"):
            self.finished = True
            return ""
        chunk = _parse(event)
        if "choices" not in chunk or chunk.get("error"):
            self._look_for_error(chunk)
        if isinstance(usage := chunk.get("usage"), dict):
            self.usage = _usage(usage)
        if self.model is None:
            self.model = _name(chunk.get("model")) or None
        choices = chunk.get("choices")
        if not choices:
            return ""
        if not isinstance(choices, list):
            raise ProviderFailed("malformed", "the choices are no list")
        return "".join([self._choice(choice) for choice in choices])

    def _look_for_error(self, chunk: dict[str, Any]) -> None:
        """Raise what ``chunk`` tells of; vLLM and others send an error bare."""
        if error := chunk.get("error"):
            raise in_band(error, self._secret)
        if "message" in chunk or "detail" in chunk:
            raise in_band(chunk, self._secret)

    def _choice(self, choice: Any) -> str:  # noqa: ANN401 - whatever JSON came
        choice = _object(choice)
        index = choice.get("index") or 0
        if self._index is None:
            self._index = index
        if index != self._index:
            return ""
        if reason := choice.get("finish_reason"):
            self._finish_reason = reason.lower() if isinstance(reason, str) else "unknown"
            if self._finish_reason in _BROKEN:
                raise in_band(choice.get("error") or choice, self._secret)
        said = _object(choice.get("delta") or choice.get("message"))
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
            reason = snippet(self._finish_reason, self._secret)
            raise ProviderFailed(fault, f"no text, finish reason {reason}")


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


def _object(found: Any) -> dict[str, Any]:  # noqa: ANN401
    """``found``, nothing as an empty object; what is anything else could be lost text."""
    if found is not None and not isinstance(found, dict):
        raise ProviderFailed("malformed", "a choice is not an object")
    return found or {}


def _usage(usage: dict[str, Any]) -> Usage:
    return Usage(
        prompt_tokens=int(_figure(usage.get("prompt_tokens"), MAX_TOKENS) or 0),
        completion_tokens=int(_figure(usage.get("completion_tokens"), MAX_TOKENS) or 0),
        cost_usd=_figure(usage.get("cost"), MAX_COST_USD),
    )


def _figure(value: Any, most: float) -> float | None:  # noqa: ANN401
    """``value`` if it is a number of 0 to ``most``: others break sums, counters and budgets."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= most else None


def _name(value: Any) -> str:  # noqa: ANN401
    return "".join(filter(str.isprintable, _string(value)[:_MAX_NAME]))


def _string(value: Any) -> str:  # noqa: ANN401
    return value if isinstance(value, str) else ""


def _joined(content: Any) -> str:  # noqa: ANN401
    """The text of content in parts: ``[{"type": "text", "text": …}]``."""
    if not isinstance(content, list):
        raise ProviderFailed("malformed", "content that is no text")
    return "".join(
        _string(part.get("text")) if isinstance(part, dict) else _string(part) for part in content
    )
