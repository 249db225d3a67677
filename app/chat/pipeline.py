"""The way of a question.

guard → recall → cache → rephrase → retrieve → prompt → llm.router → cite → outlet → keep
"""

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import cast

import structlog

from app.auth.caller import Caller
from app.chat.answer import Answer, Question, Timings
from app.chat.cache import AnswerCache, CacheKey
from app.chat.draft import Draft
from app.chat.events import Answered, Begun, ChatEvent, Produce
from app.chat.flights import Flights
from app.chat.guard import admit, shapes_of
from app.chat.history import said_in
from app.chat.keeper import Keeper
from app.chat.kept_answer import as_cached
from app.chat.prompt import build_request
from app.chat.rephrase import Rephraser
from app.errors import AppError
from app.infra.ids import new_id
from app.infra.metrics import Metrics
from app.llm.completion import (
    Account,
    Completion,
    Event,
    Provider,
    Usage,
)
from app.retrieval.passage import Passage, Scope
from app.retrieval.search import Retrieved, Retriever

log = structlog.get_logger(__name__)


class ChatPipeline:
    """Answers questions; holds nothing of any of them."""

    def __init__(
        self,
        retriever: Retriever,
        provider: Provider,
        keeper: Keeper,
        cache: AnswerCache,
        *,
        max_question_tokens: int = 6000,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or Metrics()
        self._keeper = keeper
        self._cache = cache
        self._flights = Flights()
        self._rephraser = Rephraser(provider)
        self._max_question_tokens = max_question_tokens
        self._retriever = retriever
        self._provider = provider

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
        question = admit(question, max_tokens=self._max_question_tokens)
        if shapes := shapes_of(question.text):
            log.warning("question_flagged", shapes=shapes)
            for shape in shapes:
                self._metrics.flagged(shape)
        return question

    async def _retrieve(self, caller: Caller, question: Question, standalone: str) -> Retrieved:
        scope = Scope(caller.tenant_id, question.document_ids, question.tags, question.as_of)
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
        question = await self._recalled(caller, self._admit(question))
        answer_id = new_id("ans")
        retrieved: Retrieved | None = None
        async with aclosing(self._told(caller, question)) as events:
            async for event in events:
                if isinstance(event, Begun):
                    retrieved = event.retrieved
                    yield Begun(answer_id, question.session_id, retrieved)
                elif isinstance(event, Answered) and retrieved is not None:
                    answer = replace(
                        event.answer,
                        answer_id=answer_id,
                        session_id=question.session_id,
                        timings=replace(
                            event.answer.timings, total_ms=(time.perf_counter() - started) * 1e3
                        ),
                    )
                    await self._keeper.keep(caller, question, retrieved, answer)
                    self._metrics.answer(answer.status, answer.reason)
                    yield Answered(answer)
                else:
                    yield event

    def _told(self, caller: Caller, question: Question) -> AsyncGenerator[ChatEvent]:
        """The events of the answer that was kept, is under way, or is made now."""
        key = self._cache.key(caller, question)

        def made() -> AsyncGenerator[ChatEvent]:
            return self._made(caller, question)

        return made() if key is None else self._shared(key, question, made)

    async def _shared(
        self, key: CacheKey, question: Question, made: Produce
    ) -> AsyncGenerator[ChatEvent]:
        """The events of an answer that others may ask for at the same time."""
        another, told = self._flights.begun(key), False
        try:
            joined = self._flights.join(key, lambda: self._cache.answered(key, question.text, made))
            async with aclosing(joined):
                async for event in joined:
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
        retrieved = await self._retrieve(caller, question, standalone)
        # Before the first event, so that a model that does not exist is refused by it.
        provided = self._asked(caller, question, standalone, retrieved.passages)
        yield Begun("", "", retrieved)
        generation = time.perf_counter()
        draft = Draft(retrieved.passages)
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
        timings = Timings(
            embedding_ms=retrieved.embedding_ms,
            search_ms=retrieved.search_ms,
            first_token_ms=completion.first_token_ms,
            generation_ms=(time.perf_counter() - generation) * 1e3,
            total_ms=0.0,
        )
        answer = draft.answer(completion, timings)
        yield Answered(replace(answer, standalone=standalone, usage=answer.usage + spent))

    async def _recalled(self, caller: Caller, question: Question) -> Question:
        """The question after what was said in its session."""
        if not question.continued:
            return question
        turns = await self._keeper.recall(caller, question.session_id)
        return replace(question, history=said_in(turns))

    def _asked(
        self, caller: Caller, question: Question, standalone: str, passages: tuple[Passage, ...]
    ) -> AsyncGenerator[Event]:
        """What the provider says; without a passage none is asked."""
        if not passages:
            return _nobody()
        request = build_request(question, passages, standalone=standalone, account=_account(caller))
        return cast("AsyncGenerator[Event]", self._provider.stream(request))

    @contextmanager
    def _failures_counted(self) -> Iterator[None]:
        try:
            yield
        except AppError as error:
            self._metrics.answer("failed", error.code)
            raise


def _account(caller: Caller) -> Account:
    return Account(
        caller.tenant_id,
        caller.id,
        tenant_budget_usd=caller.tenant_budget_usd,
        key_budget_usd=caller.key_budget_usd,
    )


async def _nobody() -> AsyncGenerator[Event]:
    yield Completion("", "none", "none", abstained="no_match")
