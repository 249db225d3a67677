"""The wire shapes of chat (design: contract, Chat)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
)

from app.chat.answer import Answer, AnswerStatus, Question, Reason
from app.http.wire import WrittenTime
from app.infra.ids import new_id
from app.llm.completion import ModelInfo, Outcome
from app.retrieval.passage import Passage
from app.retrieval.search import Retrieved

# NUL is the one character PostgreSQL's text cannot hold.
_NO_NUL = r"^[^\x00]*$"
_FILLED = r"^[^\x00]*[^\x00\s][^\x00]*$"
QuestionText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=4000, pattern=_FILLED),
    Field(examples=["How many data storage files can be open at once?"]),
]
_DocumentId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_NO_NUL)]
_Tag = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_NO_NUL)]


def a_number(value: object) -> object:
    """Refuse what pydantic would turn into a number; 5.0 is a whole number in JSON."""
    if isinstance(value, bool | str):
        raise ValueError("must be a number")  # noqa: TRY004 - what pydantic makes a 422 of
    return value


Whole = Annotated[int, BeforeValidator(a_number)]


class _Strict(BaseModel):
    # Unknown fields are refused, so that nothing can be smuggled to a provider.
    model_config = ConfigDict(extra="forbid")


class Filters(_Strict):
    """Restrict an answer to some documents; an empty list restricts nothing."""

    document_ids: list[_DocumentId] = Field([], max_length=100)
    tags: list[_Tag] = Field([], max_length=100, description="Documents with any of these.")


class RetrieveIn(_Strict):
    """A question, and where to look."""

    question: QuestionText
    top_k: Whole = Field(5, ge=1, le=50, description="Passages to use.")
    filters: Filters = Field(default_factory=Filters)  # an instance is copied in depth each time
    as_of: WrittenTime | None = Field(None, description="Use the versions current then.")

    def to_question(self) -> Question:
        """The question without an answer's options."""
        return Question(
            text=self.question,
            session_id="",
            top_k=self.top_k,
            document_ids=tuple(self.filters.document_ids) or None,
            tags=tuple(self.filters.tags) or None,
            as_of=self.as_of,
        )


class ChatIn(RetrieveIn):
    """A question, where to look, and how to answer."""

    session_id: Annotated[
        str | None, StringConstraints(min_length=1, max_length=128, pattern=_NO_NUL)
    ] = None
    stream: StrictBool | Literal["auto"] = False
    model: Annotated[
        str | None, StringConstraints(min_length=1, max_length=200, pattern=_NO_NUL)
    ] = Field(None, description="A provider, or an id of GET /api/v1/models; null = by priority.")
    temperature: float | None = Field(None, ge=0, le=2, strict=True)
    max_tokens: Whole | None = Field(None, ge=1, le=32768)

    def to_question(self, keys: Mapping[str, str] | None = None) -> Question:
        """The question; a session is begun when the caller named none.

        ``keys`` are those of providers that the caller brought.
        """
        return Question(
            text=self.question,
            session_id=self.session_id or new_id("ses"),
            top_k=self.top_k,
            document_ids=tuple(self.filters.document_ids) or None,
            tags=tuple(self.filters.tags) or None,
            as_of=self.as_of,
            model=self.model,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            remembered=True,
            continued=self.session_id is not None,
            keys=keys or {},
        )


class CitationOut(BaseModel):
    """A quote: characters ``start`` to ``end`` of the page's text; boxes in PDF points.

    A `Citation`, field by field.
    """

    marker: int
    document_id: str
    version: int
    title: str
    filename: str
    tags: list[str]
    page: int
    quote: str
    start: int
    end: int
    boxes: list[list[float]]
    score: float
    verified: bool
    url: str | None


class UnsupportedOut(BaseModel):
    """A sentence that its citations do not carry, and how much of it they do, 0..1."""

    text: str
    support: float


class UsageOut(BaseModel):
    """Tokens as the provider counted them."""

    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


class AttemptOut(BaseModel):
    """One try at one provider."""

    provider: str
    model: str
    outcome: Outcome
    ms: float


class TimingsOut(BaseModel):
    """Where the time went."""

    embedding_ms: float
    search_ms: float
    first_token_ms: float | None
    generation_ms: float
    total_ms: float


class AnswerOut(BaseModel):
    """An answer with its citations."""

    answer_id: str
    session_id: str
    answer: str
    status: AnswerStatus
    reason: Reason | None
    citations: list[CitationOut]
    groundedness: float | None = Field(
        description="Share of the answer's sentences that the passages they cite support, by their"
        " words and figures; null for an abstention."
    )
    unsupported: list[UnsupportedOut] = Field(description="The other sentences.")
    provider: str
    model: str
    cached: Literal["exact", "semantic"] | None
    usage: UsageOut
    attempts: list[AttemptOut]
    timings: TimingsOut
    trace_id: str

    @classmethod
    def json_of(cls, answer: Answer, trace_id: str) -> bytes:
        """The wire shape of ``answer``; written at once, for models cost four times as much."""
        return orjson.dumps(
            {
                "answer_id": answer.answer_id,
                "session_id": answer.session_id,
                "answer": answer.text,
                "status": answer.status,
                "reason": answer.reason,
                "citations": answer.citations,
                "groundedness": answer.groundedness,
                "unsupported": answer.grounding.unsupported if answer.grounding else (),
                "provider": answer.provider,
                "model": answer.model,
                "cached": answer.cached,
                "usage": answer.usage,
                "attempts": [
                    {
                        "provider": a.provider,
                        "model": a.model,
                        "outcome": a.outcome,
                        "ms": round(a.ms, 1),
                    }
                    for a in answer.attempts
                ],
                "timings": answer.timings.rounded(),
                "trace_id": trace_id,
            }
        )


class PassageOut(BaseModel):
    """A passage that a search found."""

    document_id: str
    version: int
    title: str
    page: int
    text: str
    score: float
    dense_rank: int | None
    text_rank: int | None

    @classmethod
    def fields_of(cls, passage: Passage) -> dict[str, Any]:
        """The wire shape of ``passage``."""
        return {name: getattr(passage, name) for name in cls.model_fields}


class RetrieveTimings(BaseModel):
    """Where the time of a search went."""

    embedding_ms: float
    search_ms: float


class RetrieveOut(BaseModel):
    """Passages, best first."""

    passages: list[PassageOut]
    timings: RetrieveTimings

    @classmethod
    def of(cls, retrieved: Retrieved) -> "RetrieveOut":
        """The wire shape of ``retrieved``."""
        return cls(
            passages=[PassageOut(**PassageOut.fields_of(found)) for found in retrieved.passages],
            timings=RetrieveTimings(
                embedding_ms=round(retrieved.embedding_ms, 2),
                search_ms=round(retrieved.search_ms, 2),
            ),
        )


class ModelOut(BaseModel):
    """A model that a question may name."""

    id: str
    provider: str
    available: bool
    cooling_down_until: str | None
    context_tokens: int | None

    @classmethod
    def of(cls, model: ModelInfo) -> "ModelOut":
        """The wire shape of ``model``."""
        values: dict[str, Any] = {name: getattr(model, name) for name in cls.model_fields}
        return cls(**values)


class ModelList(BaseModel):
    """The models, in the order in which they are tried."""

    items: list[ModelOut]
