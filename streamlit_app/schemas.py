"""The wire shapes of answers, documents and health, read leniently.

Unknown fields are ignored, optional ones default.

A ``KeyError``, ``TypeError`` or ``ValueError`` out of a ``from_json`` means that the body is not
what the contract promises; ``client.py`` turns it into an ``ApiProblem``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Citation:
    """One quote of one page; ``start``/``end`` are offsets into that page's text."""

    marker: int
    document_id: str
    version: int
    title: str
    tags: tuple[str, ...]
    page: int
    quote: str
    start: int
    end: int
    verified: bool

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(
            marker=int(data["marker"]),
            document_id=str(data["document_id"]),
            version=int(data["version"]),
            title=str(data.get("title") or data.get("filename") or "Untitled"),
            tags=tuple(str(tag) for tag in data.get("tags") or ()),
            page=int(data["page"]),
            quote=str(data["quote"]),
            start=int(data["start"]),
            end=int(data["end"]),
            verified=bool(data.get("verified", False)),
        )


@dataclass(frozen=True)
class Attempt:
    """One provider that was tried for an answer."""

    provider: str
    outcome: str

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(provider=str(data["provider"]), outcome=str(data["outcome"]))


@dataclass(frozen=True)
class Unsupported:
    """A sentence of an answer that its citations do not carry; ``support`` is from 0 to 1."""

    text: str
    support: float

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(text=str(data["text"]), support=float(data["support"]))


@dataclass(frozen=True)
class Answer:
    """The answer object of ``POST /api/v1/chat``."""

    answer_id: str
    session_id: str
    text: str
    status: str
    reason: str | None = None
    citations: tuple[Citation, ...] = ()
    #: Share of the sentences that their citations support; None when there is nothing to measure.
    groundedness: float | None = None
    unsupported: tuple[Unsupported, ...] = ()
    provider: str | None = None
    model: str | None = None
    cached: str | None = None
    attempts: tuple[Attempt, ...] = ()
    usage: Json = field(default_factory=dict)
    timings: Json = field(default_factory=dict)
    trace_id: str | None = None

    @classmethod
    def from_json(cls, data: Json) -> Self:
        grounded = data.get("groundedness")
        return cls(
            answer_id=str(data["answer_id"]),
            session_id=str(data["session_id"]),
            text=str(data["answer"]),
            status=str(data["status"]),
            reason=data.get("reason"),
            citations=tuple(Citation.from_json(item) for item in data.get("citations") or ()),
            groundedness=None if grounded is None else float(grounded),
            unsupported=tuple(
                Unsupported.from_json(item) for item in data.get("unsupported") or ()
            ),
            provider=data.get("provider"),
            model=data.get("model"),
            cached=data.get("cached"),
            attempts=tuple(Attempt.from_json(item) for item in data.get("attempts") or ()),
            usage=data.get("usage") or {},
            timings=data.get("timings") or {},
            trace_id=data.get("trace_id"),
        )


@dataclass(frozen=True)
class Document:
    """One row of ``GET /api/v1/docs``."""

    id: str
    title: str
    filename: str
    status: str
    version: int
    page_count: int | None
    error: str | None
    tags: tuple[str, ...] = ()

    @property
    def is_under_way(self) -> bool:
        """Whether its newest version is still being read."""
        return self.status in ("queued", "processing")

    @classmethod
    def from_json(cls, data: Json) -> Self:
        pages = data.get("page_count")
        return cls(
            id=str(data["id"]),
            title=str(data.get("title") or data.get("filename") or "Untitled"),
            filename=str(data.get("filename") or ""),
            status=str(data["status"]),
            version=int(data["version"]),
            page_count=None if pages is None else int(pages),
            error=message_of(data.get("error")),
            tags=tuple(map(str, data.get("tags") or ())),
        )


@dataclass(frozen=True)
class DocumentList:
    """The first page of the list, and whether the archive holds more."""

    items: tuple[Document, ...] = ()
    has_more: bool = False

    @classmethod
    def from_json(cls, data: Json) -> Self:
        items = tuple(Document.from_json(item) for item in data["items"])
        return cls(items=items, has_more=bool(data.get("has_more")))


@dataclass(frozen=True)
class PageText:
    """The text of one page of one version."""

    number: int
    text: str

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(number=int(data["page"]), text=str(data["text"]))


@dataclass(frozen=True)
class Model:
    """One entry of ``GET /api/v1/models``."""

    id: str
    provider: str
    available: bool
    cooling_down_until: str | None

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(
            id=str(data["id"]),
            provider=str(data["provider"]),
            available=bool(data["available"]),
            cooling_down_until=data.get("cooling_down_until"),
        )


@dataclass(frozen=True)
class Health:
    """What ``/health`` says; ``failing`` names the checks that are not well."""

    status: str
    version: str
    failing: tuple[str, ...]

    @classmethod
    def from_json(cls, data: Json) -> Self:
        checks: Json = data.get("checks") or {}
        failing = tuple(name for name, check in checks.items() if not _is_well(check))
        return cls(str(data["status"]), str(data.get("version") or ""), failing)


_WELL = frozenset({"ok", "up", "ready", "healthy", "pass", "true"})


def _is_well(check: object) -> bool:
    """A check may be a word, a truth value, or an object with a ``status`` or ``ok``."""
    if isinstance(check, Mapping):
        check = check.get("status", check.get("ok", "ok"))
    return str(check).lower() in _WELL


def message_of(error: object) -> str | None:
    """The words of an ``error`` field, which may be a text or an object."""
    if isinstance(error, Mapping):
        error = error.get("detail") or error.get("code")
    return str(error) if error else None
