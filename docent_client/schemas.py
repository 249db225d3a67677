"""The wire shapes of questions, answers, documents and the work on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from docent_client.wire import Json, Wire

#: The header of each provider that takes a caller's own key.
PROVIDER_KEY_HEADERS = {
    "openrouter": "X-Provider-Key-OpenRouter",
    "groq": "X-Provider-Key-Groq",
    "openai": "X-Provider-Key-OpenAI",
}


@dataclass(frozen=True)
class Question:
    """What is asked and how; ``None`` leaves a choice to the API."""

    text: str
    session_id: str | None = None
    model: str | None = None
    top_k: int = 5
    temperature: float | None = None
    max_tokens: int | None = None
    document_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    #: RFC 3339; asks the versions of that moment.
    as_of: str | None = None
    #: Keys of one's own, by provider; they serve this question and are kept nowhere.
    provider_keys: Mapping[str, str] = field(default_factory=dict, repr=False)

    def to_json(self, *, stream: bool = False) -> dict[str, Any]:
        return {
            "question": self.text,
            "session_id": self.session_id,
            "stream": stream,
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "top_k": self.top_k,
            "filters": {"document_ids": list(self.document_ids), "tags": list(self.tags)},
            "as_of": self.as_of,
        }


@dataclass(frozen=True)
class Citation(Wire):
    """One quote of one page; ``start``/``end`` are offsets into that page's text."""

    marker: int
    document_id: str
    version: int
    title: str
    page: int
    quote: str
    start: int
    end: int
    filename: str = ""
    tags: tuple[str, ...] = ()
    #: PDF points, origin at the top left.
    boxes: tuple[tuple[float, ...], ...] = ()
    score: float | None = None
    verified: bool = False
    url: str | None = None


@dataclass(frozen=True)
class Attempt(Wire):
    """One provider that was tried for an answer."""

    provider: str
    outcome: str
    model: str = ""
    ms: float | None = None


@dataclass(frozen=True)
class Unsupported(Wire):
    """A sentence that its citations do not carry, and how much of it they do, from 0 to 1."""

    text: str
    support: float


@dataclass(frozen=True)
class Answer(Wire):
    """The answer object of ``POST /api/v1/chat``, and the last part of a stream."""

    session_id: str
    text: str = field(metadata={"name": "answer"})
    status: str = ""
    answer_id: str = ""
    reason: str | None = None
    citations: tuple[Citation, ...] = ()
    #: Share of the sentences that their citations carry; None when there is nothing to measure.
    groundedness: float | None = None
    unsupported: tuple[Unsupported, ...] = ()
    provider: str | None = None
    model: str | None = None
    cached: str | None = None
    attempts: tuple[Attempt, ...] = ()
    usage: Json = field(default_factory=dict)
    timings: Json = field(default_factory=dict)
    trace_id: str | None = None


@dataclass(frozen=True)
class Delta(Wire):
    """The next piece of a streamed answer's text."""

    text: str


@dataclass(frozen=True)
class Reset(Wire):
    """Discard the text and citations so far: another provider starts over."""

    reason: str


#: What a streamed answer is made of; the one ``Answer`` comes last.
Part = Delta | Citation | Reset | Answer


@dataclass(frozen=True)
class Passage(Wire):
    """A passage that a search found."""

    document_id: str
    version: int
    title: str
    page: int
    text: str
    score: float


@dataclass(frozen=True)
class Failure(Wire):
    """Why a document or job failed."""

    code: str
    detail: str = ""

    def __str__(self) -> str:
        return self.detail or self.code


@dataclass(frozen=True)
class Document(Wire):
    """A document, in the state its readers see."""

    id: str
    title: str
    status: str
    version: int
    filename: str = ""
    media_type: str = ""
    author: str | None = None
    tags: tuple[str, ...] = ()
    page_count: int | None = None
    size_bytes: int = 0
    content_hash: str = ""
    error: Failure | None = None
    url: str | None = None
    updated_at: str = ""

    @property
    def is_under_way(self) -> bool:
        """Whether its newest version is still being read."""
        return self.status in ("queued", "processing")


@dataclass(frozen=True)
class DocumentList(Wire):
    """One page of the list; ``next`` goes on as ``after``."""

    items: tuple[Document, ...]
    has_more: bool = False
    next: str | None = None


@dataclass(frozen=True)
class Version(Wire):
    """One version of a document; the ``current`` one answers."""

    number: int = field(metadata={"name": "version"})
    status: str
    current: bool
    filename: str = ""
    page_count: int | None = None
    error: Failure | None = None
    uploaded_at: str = ""


@dataclass(frozen=True)
class Job(Wire):
    """The work on one version of a document."""

    id: str
    document_id: str
    version: int
    status: str
    step: str | None = None
    progress: int = 0
    attempts: int = 0
    error: Failure | None = None
    pages_done: int = 0
    pages_total: int | None = None
    chunks_embedded: int = 0
    chunks_reused: int = 0

    @property
    def has_ended(self) -> bool:
        return self.status not in ("queued", "running")

    @property
    def has_succeeded(self) -> bool:
        return self.status == "succeeded"


@dataclass(frozen=True)
class JobList(Wire):
    """One page of the list of jobs."""

    items: tuple[Job, ...]
    has_more: bool = False


@dataclass(frozen=True)
class Upload(Wire):
    """What an upload led to; ``job`` is None when the bytes were known."""

    document: Document
    job: Job | None = None
    unchanged: bool = False


@dataclass(frozen=True)
class PageText(Wire):
    """The text of one page of one version."""

    number: int = field(metadata={"name": "page"})
    text: str = field()


@dataclass(frozen=True)
class Model(Wire):
    """One entry of ``GET /api/v1/models``."""

    id: str
    provider: str
    available: bool
    cooling_down_until: str | None = None
    context_tokens: int | None = None


@dataclass(frozen=True)
class Health(Wire):
    """What ``/health`` and ``/readyz`` say."""

    status: str
    version: str = ""
    checks: Json = field(default_factory=dict)

    @property
    def failing(self) -> tuple[str, ...]:
        """The names of the checks that are not well."""
        return tuple(name for name, state in self.checks.items() if state != "ok")
