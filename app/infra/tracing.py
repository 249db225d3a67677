"""What a request or a job did, span by span; where it goes is an exporter's business (ADR 0024).

A trace begins at a door, with :meth:`Tracer.begin`; whatever happens within it, in the same task or
in tasks begun there, is told by :func:`begin_span`. Where nobody looks that costs less than a
microsecond and does nothing.

A span holds no text of a question, an answer or a passage unless the operator asked for it, and
nothing leaves before the masking of logs has seen it.
"""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol, Self

from app.infra.masking import mask

Kind = Literal["internal", "server", "client", "consumer"]
#: What a trace is about.
About = Literal["route", "question", "job"]
Value = str | bool | int | float | Sequence[str]
#: The most that is kept of one text, in characters.
MOST_CHARS = 16_000
#: W3C Trace Context, 3.2: version, trace, parent, flags; only a later version may say more.
_TRACEPARENT = re.compile(
    rb"(?:(?P<first>00)|(?!00|ff)[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})"
    rb"-(?!0{16})(?P<parent>[0-9a-f]{16})-[0-9a-f](?P<flags>[0-9a-f])(?(first)|(?:-.*)?)"
)
#: Bytes of chance that a sample is drawn by.
_CHANCE_BYTES = 7


class Span:
    """One that nobody keeps: nothing is traced here, or this trace was not drawn."""

    __slots__ = ("trace_id",)

    def __init__(self, trace_id: str | None = None) -> None:
        """``trace_id`` names the trace in answers and logs also when it was not drawn."""
        self.trace_id = trace_id

    @property
    def logged(self) -> dict[str, str]:
        """What every log line of a trace says of it."""
        return {} if self.trace_id is None else {"trace_id": self.trace_id}

    @property
    def kept_trace_id(self) -> str | None:
        """The trace that can be looked at later, if there will be one."""
        return None

    def rename(self, name: str) -> None:
        """Call it ``name``, which was not known when it began."""

    def note(self, attributes: Mapping[str, Value | None]) -> None:
        """Add what is known by now; None is left out."""

    def quote(self, name: str, text: "Callable[[], Masked]", chars: int) -> None:
        """Add what was said, some ``chars`` long, if the operator wants it.

        ``text`` is called when the span leaves, and never if it does not: masking a prompt takes
        about 1 ms, for which nobody waits then.
        """

    def share(self, about: About, attributes: Mapping[str, Value]) -> None:
        """Say what the whole trace is about; every span of it that ends from now on says so."""

    def end(self, error: str | None = None) -> None:
        """It is over; ``error`` is a slug that says what went wrong."""

    def drop(self) -> None:
        """It was nothing to look at."""

    def __enter__(self) -> Self:
        """Make it the one that others are within; not around the ``yield`` of a generator."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""


_NOBODYS = Span()


@dataclass(slots=True)
class _Trace:
    """What the spans of one trace have in common."""

    trace_id: str
    #: Whether what was said is kept.
    content: bool
    deliver: "Callable[[KeptSpan], None]"
    about: About = "route"
    shared: dict[str, Value] = field(default_factory=dict)


class KeptSpan(Span):
    """One that leaves when it has ended."""

    __slots__ = (
        "_clock", "_quotes", "_token", "attributes", "chars", "ended_ns", "error", "kind",
        "name", "parent_id", "span_id", "started_ns", "trace",
    )  # fmt: skip

    def __init__(self, trace: _Trace, name: str, kind: Kind, parent_id: str) -> None:
        super().__init__(trace.trace_id)
        self.trace = trace
        self.name = name
        self.kind = kind
        self.span_id = os.urandom(8).hex()
        self.parent_id = parent_id
        self.attributes: dict[str, Value] = {}
        self.error: str | None = None
        self._quotes: dict[str, Callable[[], Masked]] = {}
        #: Of what was said.
        self.chars = 0
        self.ended_ns = 0
        self.started_ns = time.time_ns()
        # Its length by another clock, which nobody sets.
        self._clock = time.perf_counter_ns()
        self._token: Token[KeptSpan | None] | None = None

    @property
    def kept_trace_id(self) -> str | None:
        return self.trace_id

    def rename(self, name: str) -> None:
        self.name = name

    def note(self, attributes: Mapping[str, Value | None]) -> None:
        self.attributes.update({k: v for k, v in attributes.items() if v is not None})

    def quote(self, name: str, text: "Callable[[], Masked]", chars: int) -> None:
        if self.trace.content:
            self.chars += chars
            self._quotes[name] = text

    def spelt_out(self) -> Mapping[str, Value]:
        """Its attributes, with what was said in it: masked by whoever asks first."""
        while self._quotes:
            name, text = self._quotes.popitem()
            self.attributes[name] = text()
        return self.attributes

    def share(self, about: About, attributes: Mapping[str, Value]) -> None:
        self.trace.about = about
        self.trace.shared.update(attributes)

    def end(self, error: str | None = None) -> None:
        if not self.ended_ns:
            self.ended_ns = self.started_ns + time.perf_counter_ns() - self._clock
            self.error = error
            self.trace.deliver(self)

    def drop(self) -> None:
        self.ended_ns = self.started_ns

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
        # An error of ours has a slug; no error's text leaves.
        self.end(None if kind is None else getattr(error, "code", kind.__name__))


_current: ContextVar[KeptSpan | None] = ContextVar("span", default=None)


def current_span() -> Span:
    """The span that what happens now is within."""
    return _current.get() or _NOBODYS


def begin_span(
    name: str, attributes: Mapping[str, Value | None], *, kind: Kind = "internal"
) -> Span:
    """Begin a span within the current one; whoever begins it ends it."""
    parent = _current.get()
    if parent is None:
        return _NOBODYS
    span = KeptSpan(parent.trace, name, kind, parent.span_id)
    span.note(attributes)
    return span


class Masked(str):
    """A text that may leave as it is."""

    __slots__ = ()


def masked(text: str) -> Masked:
    """``text`` as it may leave; masked before it is cut, so that no half of a secret is left."""
    return Masked(clean(text)[:MOST_CHARS])


def clean(text: str) -> str:
    """``text`` masked, and without halves of surrogates, which JSON brings in and cannot take."""
    return mask(text if text.isascii() else text.encode("utf-8", "replace").decode())


@dataclass(frozen=True, slots=True)
class Score:
    """What somebody thinks of what a trace shows."""

    #: The same for a second opinion, which replaces the first.
    id: str
    trace_id: str
    value: float
    comment: str | None


class Exporter(Protocol):
    """Where spans go; every call returns at once and raises nothing."""

    def accepts(self) -> bool:
        """Whether there is room for another trace; one that finds none anywhere is not begun."""

    def take(self, span: KeptSpan) -> None: ...

    def score(self, score: Score) -> None: ...


class Tracer:
    """Begins traces; without exporters it begins none."""

    def __init__(
        self,
        exporters: Sequence[Exporter] = (),
        *,
        sample_rate: float = 1.0,
        content: bool = False,
    ) -> None:
        """Keep a share of traces, ``sample_rate``; with ``content`` also what was said."""
        self._exporters = exporters
        self._drawn_below = sample_rate * 256**_CHANCE_BYTES
        self._content = content

    @property
    def is_on(self) -> bool:
        """Whether traces are begun at all."""
        return bool(self._exporters)

    def begin(self, name: str, *, kind: Kind, traceparent: bytes | None = None) -> Span:
        """Begin a trace, within the one that a caller names if that is well-formed.

        Callers are trusted with ids, and to say that they do not want to be traced; that they do
        want it changes nothing, or anybody could make us keep everything.
        """
        if not self.is_on:
            return _NOBODYS
        told = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
        trace_id = told["trace"].decode() if told else os.urandom(16).hex()
        unwanted = told is not None and not int(told["flags"], 16) & 1
        if unwanted or int.from_bytes(os.urandom(_CHANCE_BYTES)) >= self._drawn_below:
            return Span(trace_id)
        # All are asked, for each counts what it refuses. While receivers are away, this is what
        # keeps requests from paying for spans that would be thrown away.
        accepted = [exporter.accepts() for exporter in self._exporters]
        if not any(accepted):
            return Span(trace_id)
        trace = _Trace(trace_id, self._content, self._deliver)
        return KeptSpan(trace, name, kind, told["parent"].decode() if told else "")

    def score(self, score: Score) -> None:
        """Pass on what somebody thinks; the comment only if what is said may leave."""
        kept = masked(score.comment) if score.comment and self._content else None
        for exporter in self._exporters:
            exporter.score(Score(score.id, score.trace_id, score.value, kept))

    def _deliver(self, span: KeptSpan) -> None:
        for exporter in self._exporters:
            exporter.take(span)
