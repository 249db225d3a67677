"""What a question and its answer are, whoever asks and whoever answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from app.chat.grounding import Grounding
from app.llm.completion import Attempt, Message, Usage
from app.llm.errand import ErrandKind

AnswerStatus = Literal["complete", "incomplete", "abstained"]
Reason = Literal["no_match", "weak_match", "provider_failed", "refused"]

#: The one text of every abstention; it names no fact, so that there is nothing to get wrong.
ABSTENTION = (
    "I could not find an answer to that in the documents I can search. "
    "Try other words, or check that the right document has been added."
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question with everything the caller said about how it wants the answer."""

    text: str
    session_id: str
    top_k: int
    document_ids: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    as_of: datetime | None = None
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    #: What was said before, oldest first; a caller's words all of it, so never of role system.
    history: tuple[Message, ...] = ()
    #: Documents that answers among it rest on.
    history_rests_on: frozenset[str] = frozenset()
    #: Whether the answer is remembered in its session, and whether the caller named that session.
    remembered: bool = False
    continued: bool = False
    #: Keys of providers that the caller brought, by provider.
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Citation:
    """One quote: ``quote`` is ``page_text[start:end]`` of that page in that version."""

    marker: int
    document_id: str
    version: int
    title: str
    filename: str
    tags: tuple[str, ...]
    page: int
    quote: str
    start: int
    end: int
    #: PDF points, origin top-left, one box a line.
    boxes: list[list[float]]
    score: float
    #: The quote carries what the sentence claims, and not just stands near it.
    verified: bool
    url: str | None


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds of wall time; ``first_token_ms`` is None when no token came."""

    embedding_ms: float
    search_ms: float
    first_token_ms: float | None
    generation_ms: float
    total_ms: float

    def rounded(self) -> dict[str, Any]:
        """Each by its name, to a hundredth."""
        values = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: None if value is None else round(value, 2) for name, value in values}


@dataclass(frozen=True, slots=True)
class WholeDocument:
    """What was read for an answer that a whole document was read for."""

    errand: ErrandKind
    document_id: str
    version: int
    #: Chunks that were read, of how many; fewer than all when there were too many.
    chunks_read: int
    chunks_total: int
    #: How many parts a model was given, one at a time; 1 when it got all at once.
    parts: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer."""

    answer_id: str
    session_id: str
    text: str
    status: AnswerStatus
    reason: Reason | None
    citations: tuple[Citation, ...]
    provider: str
    model: str
    usage: Usage
    attempts: tuple[Attempt, ...]
    timings: Timings
    #: How far its citations carry it; None for an abstention.
    grounding: Grounding | None = None
    #: The question as it was searched for.
    standalone: str = ""
    #: None when passages were searched for.
    whole_document: WholeDocument | None = None
    #: How it was found among those given before; None for one that was made for this question.
    cached: Literal["exact", "semantic"] | None = None
    #: The question it was made for, when that was asked in other words.
    made_for: str | None = None
    #: Of the trace that shows how it came about; None when nobody keeps one.
    trace_id: str | None = None
    #: Documents that it may tell of, cited or not: gone with any of them.
    rests_on: tuple[str, ...] = ()

    @property
    def groundedness(self) -> float | None:
        """Share of its sentences that its citations support; None for an abstention."""
        return None if self.grounding is None else self.grounding.share
