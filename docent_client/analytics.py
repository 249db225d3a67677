"""The wire shapes of the figures that administrators see."""

from dataclasses import dataclass

from docent_client.wire import Wire


@dataclass(frozen=True)
class Totals(Wire):
    """The whole time together."""

    questions: int
    cached: int
    abstained: int
    cost_usd: float
    liked: int
    disliked: int
    total_ms_p50: float | None = None
    total_ms_p95: float | None = None
    first_token_ms_p50: float | None = None


@dataclass(frozen=True)
class Day(Wire):
    """One day on which something was asked."""

    day: str
    questions: int
    answered: int
    abstained: int
    cost_usd: float
    total_ms_p50: float | None = None


@dataclass(frozen=True)
class ProviderUse(Wire):
    """How one provider did."""

    provider: str
    attempts: int
    succeeded: int
    cost_usd: float
    ms_p50: float | None = None


@dataclass(frozen=True)
class CitedDocument(Wire):
    """A document, and how many answers cite it; without a title it is gone for good."""

    document_id: str
    answers: int
    title: str | None = None


@dataclass(frozen=True)
class Unanswered(Wire):
    """A question that got an abstention, and how often."""

    question: str
    times: int
    last_asked_at: str


@dataclass(frozen=True)
class Comment(Wire):
    """What a reader wrote of an answer."""

    score: int
    comment: str
    question: str
    said_at: str


@dataclass(frozen=True)
class Analytics(Wire):
    """What was asked in some days, and how it went."""

    totals: Totals
    days: tuple[Day, ...]
    providers: tuple[ProviderUse, ...]
    cited: tuple[CitedDocument, ...]
    unanswered: tuple[Unanswered, ...]
    comments: tuple[Comment, ...]
