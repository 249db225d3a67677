"""The answer while it is written: what may be said of it, and how it ends."""

from collections.abc import Iterator

import structlog

from app.chat.answer import ABSTENTION, Answer, AnswerStatus, Reason, Timings
from app.chat.citations import Citer
from app.chat.events import ChatEvent, Cited, Restarted, Said
from app.chat.grounding import Grounding, ground
from app.chat.guard import Leaks, shingles
from app.chat.invisible import visible
from app.chat.outlet import Outlet
from app.chat.prompt import NO_ANSWER, SYSTEM
from app.infra.tracing import begin_span
from app.llm.completion import Completion, Delta, Event, Usage
from app.retrieval.passage import Passage

log = structlog.get_logger(__name__)
_RULES = shingles(SYSTEM)


class Draft:
    """The answer while it is written: what may be said of it, and how it ends."""

    def __init__(self, passages: tuple[Passage, ...]) -> None:
        self._passages = passages
        self._begin()

    def _begin(self) -> None:
        self._citer = Citer(self._passages)
        self._outlet = Outlet([passage.text for passage in self._passages])
        self._leaks = Leaks(_RULES)
        self._cited = 0
        self._said: list[str] = []
        #: What was written while it may still become NO_ANSWER; None once it is an answer.
        self._opening: str | None = ""
        self.reason: Reason | None = None

    def take(self, event: Event) -> Iterator[ChatEvent]:
        """What to tell of a provider's event."""
        if isinstance(event, Delta):
            text = visible(event.text)
            if self.reason or self._leaks.found_in(text):
                self.reason = "refused"  # it gives our rules away, and is believed no more
                return
            if self._opening is not None:
                text = self._opening + text
                begun = text.lstrip()
                if NO_ANSWER.startswith(begun) or begun.startswith(NO_ANSWER):
                    self._opening = text
                    return
                self._opening = None
            yield from self._tell(self._outlet.feed(self._citer.feed(text)))
        elif not isinstance(event, Completion):
            if self._said:
                yield Restarted(event.reason)
            self._begin()

    def end(self, completion: Completion) -> Iterator[ChatEvent]:
        """What remains to be told; settles whether this is an answer."""
        opening = (self._opening or "").strip()
        if self.reason:
            log.warning("answer_withheld", provider=completion.provider, model=completion.model)
        self.reason = self.reason or completion.abstained
        if self.reason is None and opening.startswith(NO_ANSWER):
            self.reason = "no_match"
        if self.reason is None:
            if self._opening:
                yield from self._tell(self._outlet.feed(self._citer.feed(self._opening)))
            yield from self._tell(self._outlet.feed(self._citer.end()))
            yield from self._tell(self._outlet.end())
            if not self._said:
                self.reason = "no_match"  # it said nothing but markers that point nowhere
        if self.reason is not None:
            if self._said:
                yield Restarted("empty")
            self._said = []
            self._citer = Citer(self._passages)
            yield from self._tell(ABSTENTION)

    def _tell(self, text: str) -> Iterator[ChatEvent]:
        if text:
            self._said.append(text)
            yield Said(text)
        for citation in self._citer.citations[self._cited :]:
            if f"[{citation.marker}]" in self._outlet.held:
                break  # its marker is not said yet
            self._cited += 1
            yield Cited(citation)

    def answer(self, completion: Completion, timings: Timings) -> Answer:
        """The finished answer, nobody's yet; its text is exactly what was told."""
        abstained = self.reason is not None
        text = "".join(self._said)
        status: AnswerStatus = "incomplete" if completion.truncated else "complete"
        return Answer(
            answer_id="",
            session_id="",
            text=text,
            status="abstained" if abstained else status,
            reason=self.reason,
            citations=tuple(self._citer.citations),
            provider=completion.provider,
            model=completion.model,
            usage=Usage() if abstained else completion.usage,
            attempts=completion.attempts,
            timings=timings,
            grounding=None if abstained else self._grounded(text),
        )

    def _grounded(self, text: str) -> Grounding | None:
        with begin_span("grounding", {"docent.grounding.cited": len(self._citer.cited)}) as span:
            found = ground(text, self._citer.cited)
            if found is not None:
                span.note(
                    {
                        "docent.answer.groundedness": found.share,
                        "docent.grounding.unsupported": len(found.unsupported),
                    }
                )
        return found
