"""The way of a question.

guard → recall → cache → rephrase → retrieve → prompt → llm.router → cite → outlet → keep

One that wants a whole document takes another way between rephrase and cite (``whole.py``).
"""

import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import structlog

from app.auth.caller import Caller
from app.chat.answer import Answer, Question, Timings
from app.chat.cache import AnswerCache, CacheKey
from app.chat.draft import Draft
from app.chat.events import Advanced, Answered, Begun, ChatEvent, Produce
from app.chat.flights import Flights
from app.chat.guard import admit, shapes_of
from app.chat.history import said_in, told_of
from app.chat.keeper import Keeper
from app.chat.kept_answer import as_cached
from app.chat.prompt import build_request
from app.chat.rephrase import Rephraser
from app.chat.retelling import rests_on
from app.chat.traced import trace_answer, trace_question
from app.chat.whole import Undertaking, WholeDocuments
from app.errors import AppError
from app.infra.ids import new_id
from app.infra.metrics import Metrics
from app.infra.tracing import current_span
from app.llm.completion import (
    Account,
    Completion,
    Event,
    Provider,
    Usage,
)
from app.retrieval.passage import Passage, Scope
from app.retrieval.search import Retrieved, Retriever
from app.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChatLimits:
    """How much is taken on."""

    question_tokens: int = 6000
    #: Of a whole document.
    document_chunks: int = 600
    #: For a whole document, all that models are asked about it.
    total_s: float = 60.0

    @classmethod
    def of(cls, settings: Settings) -> "ChatLimits":
        """Those of ``settings``."""
        s = settings
        return cls(s.max_question_tokens, s.max_document_chunks, s.total_timeout_s)


class ChatPipeline:
    """Answers questions; holds nothing of any of them."""

    def __init__(
        self,
        retriever: Retriever,
        provider: Provider,
        keeper: Keeper,
        cache: AnswerCache,
        *,
        limits: ChatLimits | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or Metrics()
        self._keeper = keeper
        self._cache = cache
        self._flights = Flights()
        self._rephraser = Rephraser(provider)
        self._retriever = retriever
        self._provider = provider
        self._limits = limits or ChatLimits()
        self._whole = WholeDocuments(
            retriever,
            provider,
            most_chunks=self._limits.document_chunks,
            total_s=self._limits.total_s,
        )

    async def retrieve(self, caller: Caller, question: Question) -> Retrieved:
        """The passages an answer would rest on.

        Raises:
            InvalidRequest: the question is none, or too long.
            DatabaseUnavailable: when the database does not answer.
        """
        admitted = self._admit(question)
        return await self._retrieve(caller, admitted, admitted.text)

    def _admit(self, question: Question) -> Question:
        """The question without what nobody sees; what it looks like is noted, and no more."""
        question = admit(question, max_tokens=self._limits.question_tokens)
        if shapes := shapes_of(question.text):
            log.warning("question_flagged", shapes=shapes)
            for shape in shapes:
                self._metrics.flagged(shape)
        return question

    async def _retrieve(self, caller: Caller, question: Question, standalone: str) -> Retrieved:
        scope = _scope(caller, question)
        return await self._retriever.retrieve(standalone, scope, top_k=question.top_k)

    async def standalone(self, caller: Caller, question: Question) -> tuple[str, Usage]:
        """The question as it is searched for, after its history, and what it took to say it so."""
        return await self._rephraser.standalone(question, account=_account(caller))

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

        Closing the iterator, or cancelling its reader, closes the call to the provider, unless
        others wait for the same answer.

        Raises:
            InvalidRequest, DatabaseUnavailable: before the first event.
            AllProvidersFailed: also after text, when the last provider died with it.
        """
        started = time.perf_counter()
        trace_question(caller, question)
        question = await self._recalled(caller, self._admit(question))
        answer_id = new_id("ans")
        retrieved: Retrieved | None = None
        async with aclosing(await self._told(caller, question)) as events:
            async for event in events:
                if isinstance(event, Begun):
                    retrieved = event.retrieved
                    yield Begun(answer_id, question.session_id, retrieved)
                elif isinstance(event, Answered) and retrieved is not None:
                    total_ms = (time.perf_counter() - started) * 1e3
                    answer = replace(
                        event.answer,
                        answer_id=answer_id,
                        session_id=question.session_id,
                        rests_on=rests_on(question, retrieved, event.answer),
                        trace_id=current_span().kept_trace_id,
                        timings=replace(event.answer.timings, total_ms=total_ms),
                    )
                    await self._keeper.keep(caller, question, retrieved, answer)
                    self._metrics.answer(answer.status, answer.reason)
                    trace_answer(answer)
                    yield Answered(answer)
                else:
                    yield event

    async def _told(self, caller: Caller, question: Question) -> AsyncGenerator[ChatEvent]:
        """The events of the answer that was kept, is under way, or is made now."""
        key = self._cache.key(caller, question)
        made = partial(self._made, caller, question)
        if key is None:
            return made()
        found = None if self._flights.begun(key) else await self._cache.look(key)
        if found and (kept := self._cache.events(found)):
            return _retold(kept)
        if found and self._flights.begun(key):  # meanwhile
            await self._cache.let_go(key, found)
            found = None
        answered = partial(self._cache.answered, key, question.text, made, found)
        return self._shared(key, answered, made)

    async def _shared(
        self, key: CacheKey, answered: Produce, made: Produce
    ) -> AsyncGenerator[ChatEvent]:
        """The events of an answer that others may ask for at the same time."""
        another, told = self._flights.begun(key), False
        try:
            async with aclosing(self._flights.join(key, answered)) as events:
                async for event in events:
                    told = True
                    if another and isinstance(event, Answered):
                        yield Answered(as_cached(event.answer))  # whoever began it pays
                    else:
                        yield event
        except AppError:  # that another's key has spent its budget need not concern this one
            if told or not another:
                raise
            async with aclosing(made()) as events:
                async for event in events:
                    yield event

    async def _made(self, caller: Caller, question: Question) -> AsyncGenerator[ChatEvent]:
        """The events of an answer that is made now; nobody's yet."""
        standalone, spent = await self.standalone(caller, question)
        # Before the first event, so that a model that does not exist is refused by it.
        undertaking = await self._undertaken(caller, question, standalone)
        retrieved = undertaking.retrieved
        yield Begun("", "", retrieved)
        generation = time.perf_counter()
        draft = Draft(undertaking.passages)
        with self._failures_counted():
            async with aclosing(undertaking.events) as events:
                async for event in events:
                    if isinstance(event, Completion):
                        break
                    for told in [event] if isinstance(event, Advanced) else draft.take(event):
                        yield told
                else:
                    raise AppError("The provider ended without an answer.")
        completion = event
        for told in draft.end(completion):
            yield told
        timings = Timings(
            embedding_ms=retrieved.embedding_ms,
            search_ms=retrieved.search_ms,
            first_token_ms=completion.first_token_ms,
            generation_ms=(time.perf_counter() - generation) * 1e3,
            total_ms=0.0,
        )
        answer = draft.answer(completion, timings)
        yield Answered(
            replace(
                answer,
                standalone=standalone,
                whole_document=undertaking.whole,
                usage=answer.usage + spent,
            )
        )

    async def _undertaken(self, caller: Caller, question: Question, standalone: str) -> Undertaking:
        """What the answer is made from: a whole document, if that is asked for, or passages."""
        whole = await self._whole.undertake(
            question, standalone, scope=_scope(caller, question), account=_account(caller)
        )
        if whole is not None:
            return whole
        retrieved = await self._retrieve(caller, question, standalone)
        events = self._asked(caller, question, standalone, retrieved.passages)
        return Undertaking(retrieved, retrieved.passages, events)

    async def _recalled(self, caller: Caller, question: Question) -> Question:
        """The question after what was said in its session."""
        if not question.continued:
            return question
        turns = await self._keeper.recall(caller, question.session_id)
        return replace(question, history=said_in(turns), history_rests_on=told_of(turns))

    def _asked(
        self, caller: Caller, question: Question, standalone: str, passages: tuple[Passage, ...]
    ) -> AsyncGenerator[Event | Advanced]:
        """What the provider says; without a passage none is asked."""
        if not passages:
            return _nobody()
        request = build_request(question, passages, standalone=standalone, account=_account(caller))
        return cast("AsyncGenerator[Event | Advanced]", self._provider.stream(request))

    @contextmanager
    def _failures_counted(self) -> Iterator[None]:
        try:
            yield
        except AppError as error:
            self._metrics.answer("failed", error.code)
            raise


def _scope(caller: Caller, question: Question) -> Scope:
    return Scope(caller.tenant_id, question.document_ids, question.tags, question.as_of)


def _account(caller: Caller) -> Account:
    return Account(
        caller.tenant_id,
        caller.id,
        tenant_budget_usd=caller.tenant_budget_usd,
        key_budget_usd=caller.key_budget_usd,
    )


async def _nobody() -> AsyncGenerator[Event | Advanced]:
    yield Completion("", "none", "none", abstained="no_match")


async def _retold(kept: Iterable[ChatEvent]) -> AsyncGenerator[ChatEvent]:
    for event in kept:
        yield event
