"""A question's whole journey: retrieve → prompt → llm.router → cite → remember."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from app.auth.caller import Caller
from app.chat.answer import ABSTENTION, Answer, Citation, Question, Reason, Timings
from app.chat.citations import cite
from app.chat.prompt import NO_ANSWER, build_request
from app.errors import AppError
from app.infra.ids import new_id
from app.llm.completion import Completion, CompletionRequest, Event, Provider, Usage
from app.retrieval.cited import Quoted, QuotedPlaces
from app.retrieval.passage import Passage, Scope
from app.retrieval.search import Retrieved, Retriever

#: Attributed to nobody: without a passage no provider is asked.
_NOBODY = Completion("", "none", "none", abstained="no_match")


class ChatPipeline:
    """Answers questions; holds nothing of any of them."""

    def __init__(self, retriever: Retriever, provider: Provider, quoted: QuotedPlaces) -> None:
        self._retriever = retriever
        self._provider = provider
        self._quoted = quoted

    async def retrieve(self, caller: Caller, question: Question) -> Retrieved:
        """The passages an answer would rest on.

        Raises:
            DatabaseUnavailable: when the database does not answer.
        """
        scope = Scope(caller.tenant_id, question.document_ids, question.tags, question.as_of)
        return await self._retriever.retrieve(question.text, scope, top_k=question.top_k)

    async def answer(self, caller: Caller, question: Question) -> Answer:
        """The whole answer. No connection is held while a model writes.

        Raises:
            DatabaseUnavailable: when the database does not answer.
            AllProvidersFailed: when every provider failed.
        """
        started = time.perf_counter()
        retrieved = await self.retrieve(caller, question)
        generation = time.perf_counter()
        completion = _NOBODY
        if retrieved.passages:
            completion = await self._complete(
                build_request(
                    question.text,
                    retrieved.passages,
                    model=question.model,
                    temperature=question.temperature,
                    max_tokens=question.max_tokens,
                )
            )
        done = time.perf_counter()
        timings = Timings(
            embedding_ms=retrieved.embedding_ms,
            search_ms=retrieved.search_ms,
            first_token_ms=completion.first_token_ms,
            generation_ms=(done - generation) * 1e3,
            total_ms=(done - started) * 1e3,
        )
        answer = finished(question, retrieved.passages, completion, timings)
        await self._quoted.remember(
            caller.tenant_id,
            answer.answer_id,
            [Quoted(c.document_id, c.version, c.page, c.boxes) for c in answer.citations],
        )
        return answer

    async def _complete(self, request: CompletionRequest) -> Completion:
        stream = cast("AsyncGenerator[Event]", self._provider.stream(request))
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, Completion):
                    return event
        raise AppError("The provider ended without an answer.")


def finished(
    question: Question,
    passages: tuple[Passage, ...],
    completion: Completion,
    timings: Timings,
) -> Answer:
    """Make the answer: cite it, or turn it into an abstention."""
    reason: Reason | None = completion.abstained
    text = ""
    citations: tuple[Citation, ...] = ()
    if reason is None and completion.text.strip().strip(".") == NO_ANSWER:
        reason = "no_match"
    if reason is None:
        text, citations = cite(completion.text, passages)
    if reason is None and not text:
        reason = "no_match"  # it said nothing but markers that point nowhere
    return Answer(
        answer_id=new_id("ans"),
        session_id=question.session_id,
        text=text if reason is None else ABSTENTION,
        status="complete" if reason is None else "abstained",
        reason=reason,
        citations=citations,
        provider=completion.provider,
        model=completion.model,
        usage=completion.usage if reason is None else Usage(),
        attempts=completion.attempts,
        timings=timings,
    )
