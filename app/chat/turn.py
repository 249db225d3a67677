"""One question and its answer, as a conversation remembers them."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import orjson

from app.chat.answer import Answer, AnswerStatus, Question


@dataclass(frozen=True, slots=True)
class Cite:
    """A page that a remembered answer rests on."""

    #: 0 when the answer cites it nowhere, but whoever wrote it was shown the document.
    marker: int
    document_id: str
    version: int
    page: int
    title: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and what was answered; ``text`` is empty once what it rests on is deleted."""

    answer_id: str
    question: str
    #: The question as it was searched for.
    standalone: str
    text: str
    status: AnswerStatus
    cites: tuple[Cite, ...]
    asked_at: datetime
    #: Cites what is no longer so: a version that was replaced, or a document that was deleted.
    stale: bool = False

    @classmethod
    def of(cls, question: Question, answer: Answer) -> "Turn":
        """The turn of an answer that was just given."""
        cites = [
            Cite(c.marker, c.document_id, c.version, c.page, c.title) for c in answer.citations
        ]
        uncited = sorted(set(answer.rests_on) - {cite.document_id for cite in cites})
        cites += [Cite(0, document_id, 0, 0, "") for document_id in uncited]
        return cls(
            answer_id=answer.answer_id,
            question=question.text,
            standalone=answer.standalone,
            text=answer.text,
            status=answer.status,
            cites=tuple(cites),
            asked_at=datetime.now(UTC),
        )

    def encoded(self) -> tuple[bytes, bytes]:
        """As it is kept, whole and :meth:`without_text`.

        Arrays, because thirty of them are read at every question.
        """
        cites = [[c.marker, c.document_id, c.version, c.page, c.title] for c in self.cites]
        asked = self.answer_id, self.question, self.standalone
        rest = self.status, cites, self.asked_at.timestamp()
        return orjson.dumps([*asked, self.text, *rest]), orjson.dumps([*asked, "", *rest])

    @classmethod
    def decoded(cls, kept: bytes) -> "Turn":
        """What ``encoded`` gave."""
        answer_id, question, standalone, text, status, cites, asked_at = orjson.loads(kept)
        at = datetime.fromtimestamp(asked_at, UTC)
        rows = tuple(Cite(*row) for row in cites)
        return cls(answer_id, question, standalone, text, status, rows, at)

    def without_text(self) -> "Turn":
        """The turn once nothing of what was answered may be shown again."""
        return replace(self, text="", stale=True)
