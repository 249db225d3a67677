"""What goes into a language model and what comes out, whoever the provider is.

A provider is anything with :meth:`Provider.stream`; a router over providers is itself one.
Streaming is the primitive: a caller that wants the whole answer keeps only the last event.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from app.llm.errand import Errand

Role = Literal["system", "user", "assistant"]
Outcome = Literal[
    "ok",
    "rate_limited",
    "server_error",
    "auth_failed",
    "unavailable",
    "connect_failed",
    "first_token_timeout",
    "stalled",
    "cut",
    "malformed",
    "empty",
    "context_overflow",
    "cooling_down",
    "cancelled",
]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Source:
    """One numbered source the answer may quote: the text a model is shown behind ``[marker]``."""

    marker: int
    title: str
    heading: str
    page: int
    text: str
    #: Fused retrieval score, comparable within one request only.
    score: float
    #: Cosine similarity of question and chunk, -1..1; None when only the text search found it.
    similarity: float | None


@dataclass(frozen=True, slots=True)
class Account:
    """Whose money an answer costs, and how much of it a month may cost."""

    tenant_id: str
    key_id: str
    #: None leaves it to the settings.
    tenant_budget_usd: float | None = None
    key_budget_usd: float | None = None


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A prompt in both shapes: messages for models, question and sources for extraction."""

    messages: tuple[Message, ...]
    question: str
    sources: tuple[Source, ...]
    #: None = the provider's own default model.
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    #: The same prompt over its best n sources, for a model with less context; None = it has none.
    fewer: "Callable[[int], CompletionRequest] | None" = field(default=None, repr=False)
    #: Keys the caller brought, by provider; for this request only, and never shown.
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: Who pays; None = nobody's budget is touched.
    account: Account | None = None
    #: What is wanted of all the sources, which are a whole document or a part of one.
    errand: Errand | None = None
    #: When it has to be answered, in the loop's time; None leaves it to the router.
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; cost in US dollars, None when prices are unknown."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        """Both together; the cost is unknown when either is."""
        known = self.cost_usd is not None and other.cost_usd is not None
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            (self.cost_usd or 0) + (other.cost_usd or 0) if known else None,
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one provider; ``ms`` is its wall time, 0 for one that was only considered."""

    provider: str
    model: str
    outcome: Outcome
    ms: float
    first_token_ms: float | None = None
    #: What it used, as far as is known; of an attempt that failed mostly nothing.
    usage: Usage = field(default_factory=Usage)
    #: Whether it was made with a key of the caller's.
    brought: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the answer's text; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Reset:
    """Discard every delta so far; another provider starts over."""

    reason: Outcome


@dataclass(frozen=True, slots=True)
class Completion:
    """The last event of a stream: the whole answer."""

    text: str
    provider: str
    model: str
    usage: Usage = field(default_factory=Usage)
    attempts: tuple[Attempt, ...] = ()
    #: Milliseconds from the request to the first delta; None when there was none.
    first_token_ms: float | None = None
    #: Why there is no answer, or None when there is one.
    abstained: Literal["no_match", "weak_match", "refused"] | None = None
    #: Whether the text ends because its most tokens were used up.
    truncated: bool = False


Event = Delta | Reset | Completion


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in US dollars per million tokens."""

    prompt_usd: float
    completion_usd: float

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The cost of so many tokens."""
        return (prompt_tokens * self.prompt_usd + completion_tokens * self.completion_usd) / 1e6


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model a caller may ask for by ``id``; ``context_tokens`` is None when unknown.

    One that is not ``available`` is cooling down, or waits for a caller who brings a key.
    """

    id: str
    provider: str
    available: bool
    cooling_down_until: str | None
    context_tokens: int | None
    #: None when it is unknown or nothing.
    price: Price | None = None


class Provider(Protocol):
    """Something that answers prompts.

    ``stream`` yields deltas, possibly resets, then exactly one :class:`Completion`; it raises
    :class:`app.llm.failures.ProviderFailed` when it cannot, and stops its upstream call when the
    caller closes the iterator or is cancelled.
    """

    name: str
    #: Where and as whom it asks, as a hash: what shares a limit or an outage shares this.
    upstream: str

    def stream(self, request: CompletionRequest) -> AsyncIterator[Event]: ...

    def models(self) -> tuple[ModelInfo, ...]: ...

    async def close(self) -> None: ...
