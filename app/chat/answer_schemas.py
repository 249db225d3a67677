"""The wire shapes of an answer's record and of feedback (design: contract, Chat)."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from app.chat.answer import AnswerStatus, Reason
from app.chat.schemas import AttemptOut, TimingsOut, UsageOut, a_number
from app.llm.errand import ErrandKind


class FiltersOut(BaseModel):
    """Where was searched."""

    document_ids: list[str]
    tags: list[str]
    as_of: str | None
    top_k: int


class Candidate(BaseModel):
    """A passage that was found, best first, and whether its page is cited."""

    document_id: str
    version: int
    page: int
    score: float
    similarity: float | None
    dense_rank: int | None
    text_rank: int | None
    cited: bool


class CitedPage(BaseModel):
    """A page that the answer cites."""

    document_id: str
    version: int
    page: int


class WholeDocumentOut(BaseModel):
    """The document that was read as a whole: nothing was searched for, so no candidates."""

    errand: ErrandKind
    document_id: str
    version: int
    chunks_read: int
    chunks_total: int = Field(description="More than were read: the answer is incomplete.")
    parts: int = Field(description="That a model noted one at a time before it answered.")


class AttemptRecord(AttemptOut):
    """One try at one provider, with what it used."""

    first_token_ms: float | None
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


class AnswerRecord(BaseModel):
    """How an answer came about."""

    answer_id: str
    session_id: str
    asked_at: str
    question: str
    rephrased: str | None = Field(description="As it was searched for, if that differs.")
    filters: FiltersOut
    candidates: list[Candidate]
    cited: list[CitedPage] = Field([], description="Each once, in the order of the citations.")
    whole_document: WholeDocumentOut | None = None
    history_messages: int = Field(description="Of the conversation, that the prompt began with.")
    status: AnswerStatus
    reason: Reason | None
    groundedness: float | None = None
    provider: str
    model: str
    cached: Literal["exact", "semantic"] | None
    made_for: str | None = Field(
        None, description="The question in other words that a semantic answer was made for."
    )
    trace_id: str | None = Field(None, description="Of its trace, where that is kept.")
    usage: UsageOut
    attempts: list[AttemptRecord]
    timings: TimingsOut


class FeedbackIn(BaseModel):
    """What a reader thinks of an answer."""

    model_config = ConfigDict(extra="forbid")

    score: Annotated[Literal[-1, 1], BeforeValidator(a_number)]
    comment: Annotated[str | None, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")] = None
