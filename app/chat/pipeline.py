"""A question's whole journey: guard → retrieve → prompt → llm.router → cite → outlet → remember."""

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import cast

import structlog

from app.auth.caller import Caller
from app.chat.answer import ABSTENTION, Answer, AnswerStatus, Question, Reason, Timings
from app.chat.citations import Citer
from app.chat.events import Answered, Begun, ChatEvent, Cited, Restarted, Said
from app.chat.guard import Leaks, admit, shapes_of, shingles
from app.chat.invisible import visible
from app.chat.outlet import Outlet
from app.chat.prompt import NO_ANSWER, SYSTEM, build_request
from app.errors import AppError
from app.infra.ids import new_id
from app.infra.metrics import Metrics
from app.llm.completion import (
    Account,
    Completion,
    Delta,
    Event,
    Provider,
    Usage,
)
from app.retrieval.cited import Quoted, QuotedPlaces
from app.retrieval.passage import Passage, Scope
from app.retrieval.search import Retrieved, Retriever

log = structlog.get_logger(__name__)
_RULES = shingles(SYSTEM)


class ChatPipeline:
    """Answers questions; holds nothing of any of them."""

    def __init__(
        self,
        retriever: Retriever,
        provider: Provider,
        quoted: QuotedPlaces,
        *,
        max_question_tokens: int = 6000,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or Metrics()
        self._max_question_tokens = max_question_tokens
        self._retriever = retriever
        self._provider = provider
        self._quoted = quoted

    async def retrieve(self, caller: Caller, question: Question) -> Retrieved:
        """The passages an answer would rest on.

        Raises:
            InvalidRequest: the question is none, or too long.
            DatabaseUnavailable: when the database does not answer.
        """
        return await self._retrieve(caller, self._admit(question))

    def _admit(self, question: Question) -> Question:
        """The question without what nobody sees; what it looks like is noted, and no more."""
        question = admit(question, max_tokens=self._max_question_tokens)
        if shapes := shapes_of(question.text):
            log.warning("question_flagged", shapes=shapes)
            for shape in shapes:
                self._metrics.flagged(shape)
        return question

    async def _retrieve(self, caller: Caller, question: Question) -> Retrieved:
        scope = Scope(caller.tenant_id, question.document_ids, question.tags, question.as_of)
        return await self._retriever.retrieve(question.text, scope, top_k=question.top_k)

    async def answer(self, caller: Caller, question: Question) -> Answer:
        """The whole answer.

        Raises:
            DatabaseUnavailable: when the database does not answer.
            AllProvidersFailed: when every provider failed.
        """
        async with aclosing(self.stream(caller, question)) as events:
            async for event in events:
                if isinstance(event, Answered):
                    return event.answer
        raise AppError("The answer has no end.")

    async def stream(self, caller: Caller, question: Question) -> AsyncGenerator[ChatEvent]:
        """The answer as it comes; no connection to the database is held while a model writes.

        Closing the iterator, or cancelling its reader, closes the call to the provider.

        Raises:
            InvalidRequest, DatabaseUnavailable: before the first event.
            AllProvidersFailed: also after text, when the last provider died with it.
        """
        started = time.perf_counter()
        question = self._admit(question)
        retrieved = await self._retrieve(caller, question)
        # Before the first event, so that a model that does not exist is refused by it.
        provided = self._asked(caller, question, retrieved.passages)
        answer_id = new_id("ans")
        yield Begun(answer_id, question.session_id, retrieved)
        generation = time.perf_counter()
        draft = _Draft(retrieved.passages)
        with self._failures_counted():
            async with aclosing(provided):
                async for event in provided:
                    if isinstance(event, Completion):
                        break
                    for told in draft.take(event):
                        yield told
                else:
                    raise AppError("The provider ended without an answer.")
        completion = event
        for told in draft.end(completion):
            yield told
        done = time.perf_counter()
        answer = draft.answer(
            answer_id,
            question.session_id,
            completion,
            Timings(
                embedding_ms=retrieved.embedding_ms,
                search_ms=retrieved.search_ms,
                first_token_ms=completion.first_token_ms,
                generation_ms=(done - generation) * 1e3,
                total_ms=(done - started) * 1e3,
            ),
        )
        await self._quoted.remember(
            caller.tenant_id,
            answer.answer_id,
            [Quoted(c.document_id, c.version, c.page, c.boxes) for c in answer.citations],
        )
        self._metrics.answer(answer.status, answer.reason)
        yield Answered(answer)

    def _asked(
        self, caller: Caller, question: Question, passages: tuple[Passage, ...]
    ) -> AsyncGenerator[Event]:
        """What the provider says; without a passage none is asked."""
        if not passages:
            return _nobody()
        account = Account(
            caller.tenant_id,
            caller.id,
            tenant_budget_usd=caller.tenant_budget_usd,
            key_budget_usd=caller.key_budget_usd,
        )
        request = build_request(question, passages, account=account)
        return cast("AsyncGenerator[Event]", self._provider.stream(request))

    @contextmanager
    def _failures_counted(self) -> Iterator[None]:
        try:
            yield
        except AppError as error:
            self._metrics.answer("failed", error.code)
            raise


async def _nobody() -> AsyncGenerator[Event]:
    yield Completion("", "none", "none", abstained="no_match")


class _Draft:
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

    def answer(
        self, answer_id: str, session_id: str, completion: Completion, timings: Timings
    ) -> Answer:
        """The finished answer; its text is exactly what was told."""
        abstained = self.reason is not None
        status: AnswerStatus = "incomplete" if completion.truncated else "complete"
        return Answer(
            answer_id=answer_id,
            session_id=session_id,
            text="".join(self._said),
            status="abstained" if abstained else status,
            reason=self.reason,
            citations=tuple(self._citer.citations),
            provider=completion.provider,
            model=completion.model,
            usage=Usage() if abstained else completion.usage,
            attempts=completion.attempts,
            timings=timings,
        )
