"""The wire shapes of sessions (design: contract, Chat)."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from app.chat.answer import AnswerStatus
from app.chat.memory import Session
from app.chat.turn import Turn
from app.http.wire import WITHOUT_NUL, PageOfList, Time


class SessionQuery(PageOfList):
    """Which part of the list is wanted."""

    after: Annotated[str | None, StringConstraints(max_length=128, pattern=WITHOUT_NUL)] = Field(
        None, description="Id of the session that the last list ended with."
    )


class SessionOut(BaseModel):
    """A conversation; its title is the first question that is still remembered."""

    id: str
    title: str
    turns: int
    updated_at: Time

    @classmethod
    def of(cls, session: Session) -> "SessionOut":
        """The wire shape of ``session``."""
        return cls(
            id=session.id, title=session.title, turns=session.turns, updated_at=session.used_at
        )


class SessionList(BaseModel):
    """One page of the sessions, last used first."""

    items: list[SessionOut]
    has_more: bool
    next: str | None = Field(description="Pass as `after` to go on.")


class CiteOut(BaseModel):
    """A page that an answer rested on."""

    marker: int
    document_id: str
    version: int
    page: int
    title: str


class TurnOut(BaseModel):
    """A question and what was answered to it."""

    answer_id: str
    question: str
    answer: str = Field(description="Empty once a document that it rests on was deleted.")
    status: AnswerStatus
    citations: list[CiteOut]
    stale: bool = Field(description="It cites a version that was replaced, or a deleted document.")
    asked_at: Time

    @classmethod
    def of(cls, turn: Turn) -> "TurnOut":
        """The wire shape of ``turn``."""
        return cls(
            answer_id=turn.answer_id,
            question=turn.question,
            answer=turn.text,
            status=turn.status,
            citations=[
                CiteOut(
                    marker=cite.marker,
                    document_id=cite.document_id,
                    version=cite.version,
                    page=cite.page,
                    title=cite.title,
                )
                for cite in turn.cites
                if cite.marker
            ],
            stale=turn.stale,
            asked_at=turn.asked_at,
        )


class SessionTurns(BaseModel):
    """A conversation: its last thirty turns, oldest first."""

    id: str
    turns: list[TurnOut]
