"""Whole documents with scripted models: read in parts, noted, answered; counted and bounded."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest

from app.auth.caller import Caller
from app.chat.answer import Answer, Question
from app.chat.events import Advanced, Answered, Begun, ChatEvent
from app.chat.notes import AT_ONCE
from app.chat.pipeline import ChatLimits, ChatPipeline
from app.chat.whole import parted
from app.errors import InvalidRequest
from app.llm.completion import (
    Attempt,
    Completion,
    CompletionRequest,
    Delta,
    Event,
    ModelInfo,
    Usage,
)
from app.llm.extractive import Extractive
from app.llm.failures import AllProvidersFailed, ProviderFailed
from app.llm.router import Router, Routing
from app.retrieval.passage import Passage, Scope
from app.retrieval.reading import Reading
from tests.fakes import NO_CACHE, FixedRetriever, Kept, passage

ADA = Caller("ten_1", "key_1", frozenset({"chat"}))
SUMMARISE = Question("Summarise this document.", "ses_1", 5, document_ids=("doc_1",))
#: About 420 tokens as they are estimated, so that a small context takes a few.
PAGES = [
    passage(f"Rule {n} is that gate {n} is shut. " + "It is so by custom. " * 60, page=n)
    for n in range(1, 21)
]


class Library(FixedRetriever):
    """Has one document; finds passages for everything else."""

    def __init__(self, *pages: Passage, total: int | None = None) -> None:
        super().__init__(passage())
        self.pages, self.total = pages, len(pages) if total is None else total
        self.read_for: list[tuple[Scope, tuple[str, ...] | None, int]] = []

    async def read(
        self, scope: Scope, *, names: tuple[str, ...] | None, most: int
    ) -> Reading | None:
        self.read_for.append((scope, names, most))
        return Reading("doc_1", 3, self.pages[:most], self.total)


class Clerk:
    """A model that notes and answers as it is told; ``context_tokens`` is what it can read."""

    name = "clerk"
    upstream = ""

    def __init__(
        self, says: Callable[[CompletionRequest], str], *, context_tokens: int | None = 3000
    ) -> None:
        self.says, self.context_tokens = says, context_tokens
        self.requests: list[CompletionRequest] = []
        #: For each request, how many had ended when it came.
        self.ended_before: list[int] = []
        self.under_way = self.most_under_way = self.closed = 0

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Event]:
        self.requests.append(request)
        self.ended_before.append(self.closed)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            text = self.says(request)
            if text:
                yield Delta(text)
            attempt = Attempt(self.name, "m", "ok", 1.0)
            yield Completion(
                text, self.name, "m", Usage(100, 10, 0.25), (attempt,), first_token_ms=1.0
            )
        finally:
            self.under_way -= 1
            self.closed += 1

    def models(self) -> tuple[ModelInfo, ...]:
        return (ModelInfo("m", self.name, True, None, self.context_tokens),)

    async def close(self) -> None:
        """Holds nothing."""


def is_note(request: CompletionRequest) -> bool:
    return "one part of a longer document" in request.messages[0].content


def dutiful(request: CompletionRequest) -> str:
    """Notes the first rule of each part, and answers with what was noted."""
    if is_note(request):
        source = request.sources[0]
        return f"{source.text.partition('.')[0]} [{source.marker}]."
    return "Rule 1 is that gate 1 is shut [1]. Rule 20 is that gate 20 is shut [20]."


async def told(pipeline: ChatPipeline, question: Question = SUMMARISE) -> list[ChatEvent]:
    async with aclosing(pipeline.stream(ADA, question)) as events:
        return [event async for event in events]


def pipeline(retriever: FixedRetriever, provider: object, **limits: float) -> ChatPipeline:
    return ChatPipeline(retriever, provider, Kept(), NO_CACHE, limits=ChatLimits(**limits))


def answer_of(events: Sequence[ChatEvent]) -> Answer:
    assert isinstance(events[-1], Answered)
    return events[-1].answer


async def test_a_long_document_is_noted_in_parts_and_answered_from_the_notes() -> None:
    clerk = Clerk(dutiful)
    events = await told(pipeline(Library(*PAGES), clerk))
    answer = answer_of(events)
    *notes, last = clerk.requests
    assert len(notes) > AT_ONCE
    assert [source.marker for note in notes for source in note.sources] == list(range(1, 21))
    assert all(is_note(note) for note in notes)
    shown = last.messages[1].content
    assert all(f"notes of part {n}\n" in shown for n in range(1, len(notes) + 1))
    assert "Rule 1 is that gate 1 is shut [1]." in shown
    assert [(c.marker, c.page, c.quote, c.verified) for c in answer.citations] == [
        (1, 1, "Rule 1 is that gate 1 is shut", True),
        (2, 20, "Rule 20 is that gate 20 is shut", True),
    ]
    assert answer.status == "complete"
    whole = answer.whole_document
    assert whole is not None
    assert (whole.errand, whole.document_id, whole.version) == ("summary", "doc_1", 3)
    assert (whole.chunks_read, whole.chunks_total, whole.parts) == (20, 20, len(notes))


async def test_every_attempt_and_token_counts() -> None:
    clerk = Clerk(dutiful)
    answer = answer_of(await told(pipeline(Library(*PAGES), clerk)))
    count = len(clerk.requests)
    assert answer.usage == Usage(100 * count, 10 * count, 0.25 * count)
    assert len(answer.attempts) == count
    assert {request.account for request in clerk.requests} != {None}


async def test_progress_is_told_between_the_beginning_and_the_text() -> None:
    clerk = Clerk(dutiful)
    events = await told(pipeline(Library(*PAGES), clerk))
    advanced = [event for event in events if isinstance(event, Advanced)]
    total = len(clerk.requests) - 1
    assert (advanced[0], advanced[-1]) == (Advanced(0, total), Advanced(total, total))
    assert [event.done for event in advanced] == sorted({event.done for event in advanced})
    assert isinstance(events[0], Begun)
    assert events[0].retrieved.passages == ()
    assert events[1 : len(advanced) + 1] == advanced


async def test_only_some_parts_are_noted_at_a_time() -> None:
    clerk = Clerk(dutiful, context_tokens=1500)
    await told(pipeline(Library(*PAGES), clerk))
    assert clerk.most_under_way == AT_ONCE


async def test_a_provider_that_is_being_tried_again_is_asked_for_one_part_first() -> None:
    clerk = Clerk(dutiful)
    await told(pipeline(Library(*PAGES), clerk))
    assert clerk.ended_before[:2] == [0, 1]
    assert clerk.ended_before[1 : 1 + AT_ONCE] != [1, 2, 3, 4]


async def test_every_part_fits_the_model() -> None:
    for context in (1500, 3000, 6000):
        clerk = Clerk(dutiful, context_tokens=context)
        router = Router([clerk])
        answer = answer_of(await told(pipeline(Library(*PAGES), router)))
        assert {attempt.outcome for attempt in answer.attempts} == {"ok"}


async def test_a_short_document_is_read_at_once() -> None:
    clerk = Clerk(dutiful, context_tokens=None)
    events = await told(pipeline(Library(*PAGES[:3]), clerk))
    [request] = clerk.requests
    assert len(request.sources) == 3
    assert request.fewer is None
    assert not any(isinstance(event, Advanced) for event in events)


async def test_a_document_that_is_too_long_makes_the_answer_incomplete() -> None:
    library = Library(*PAGES, total=900)
    answer = answer_of(await told(pipeline(library, Clerk(dutiful), document_chunks=20)))
    assert (answer.status, answer.reason) == ("incomplete", None)
    assert answer.whole_document is not None
    assert (answer.whole_document.chunks_read, answer.whole_document.chunks_total) == (20, 900)
    [(_, _, most)] = library.read_for
    assert most == 20


async def test_parts_that_hold_nothing_are_left_out_and_all_of_them_are_no_answer() -> None:
    def says(request: CompletionRequest) -> str:
        if not is_note(request):
            return "Rule 1 is that gate 1 is shut [1]."
        return dutiful(request) if request.sources[0].marker == 1 else "NO_ANSWER"

    clerk = Clerk(says)
    answer = answer_of(await told(pipeline(Library(*PAGES), clerk)))
    assert "notes of part 2" not in clerk.requests[-1].messages[1].content
    assert answer.status == "complete"
    silent = Clerk(lambda _: "NO_ANSWER")
    answer = answer_of(await told(pipeline(Library(*PAGES), silent)))
    assert (answer.status, answer.reason, answer.citations) == ("abstained", "no_match", ())
    assert answer.usage == Usage()
    assert all(is_note(request) for request in silent.requests)


async def test_a_refused_part_makes_the_answer_incomplete() -> None:
    class Prim(Clerk):
        async def stream(self, request: CompletionRequest) -> AsyncIterator[Event]:
            async for event in super().stream(request):
                refuses = is_note(request) and request.sources[0].marker > 1
                if isinstance(event, Completion) and refuses:
                    event = replace(event, text="", abstained="refused")  # noqa: PLW2901
                yield event

    answer = answer_of(await told(pipeline(Library(*PAGES), Prim(dutiful))))
    assert answer.status == "incomplete"


async def test_invented_markers_are_removed_and_invented_claims_flagged() -> None:
    def says(request: CompletionRequest) -> str:
        if is_note(request):
            return dutiful(request)
        return "Gate 77 is made of cheese [2]. All is well [999]."

    answer = answer_of(await told(pipeline(Library(*PAGES), Clerk(says))))
    assert [citation.verified for citation in answer.citations] == [False]
    assert "[999]" not in answer.text


class Dead(Clerk):
    """Fails; at notes, or at the answer too."""

    def __init__(self, *, at_notes: bool) -> None:
        super().__init__(dutiful)
        self.at_notes = at_notes

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Event]:
        if self.at_notes or not is_note(request):
            raise ProviderFailed("bad_key")
        async for event in super().stream(request):
            yield event


@pytest.mark.parametrize("at_notes", [True, False])
async def test_without_a_model_the_extractive_provider_carries_it_out(*, at_notes: bool) -> None:
    question = replace(SUMMARISE, text="List all rules in this document")
    router = Router([Dead(at_notes=at_notes), Extractive()])
    answer = answer_of(await told(pipeline(Library(*PAGES), router), question))
    assert answer.provider == "extractive"
    assert answer.text.startswith("rules: 20\nRule 1 is that gate 1 is shut. [1]\n")
    assert [citation.page for citation in answer.citations] == list(range(1, 21))
    assert all(citation.verified for citation in answer.citations)
    assert {attempt.outcome for attempt in answer.attempts} >= {"auth_failed", "ok"}


async def test_without_any_provider_it_fails_like_any_other_question() -> None:
    for at_notes in (True, False):
        with pytest.raises(AllProvidersFailed):
            await told(pipeline(Library(*PAGES), Router([Dead(at_notes=at_notes)])))


async def test_no_model_at_all_means_one_part_and_no_progress() -> None:
    events = await told(pipeline(Library(*PAGES), Router([Extractive()])))
    assert not any(isinstance(event, Advanced) for event in events)
    whole = answer_of(events).whole_document
    assert whole is not None
    assert whole.parts == 1


async def test_all_of_it_ends_by_one_deadline() -> None:
    class Slow(Clerk):
        async def stream(self, request: CompletionRequest) -> AsyncIterator[Event]:
            self.requests.append(request)
            await asyncio.Event().wait()
            yield Delta("never")

    slow = Slow(dutiful, context_tokens=1500)
    router = Router([slow, Extractive()], routing=Routing(total_s=60))
    began = asyncio.get_running_loop().time()
    answer = answer_of(await told(pipeline(Library(*PAGES), router, total_s=0.3)))
    assert asyncio.get_running_loop().time() - began < 5
    assert answer.provider == "extractive"


async def test_who_leaves_stops_every_call() -> None:
    class Waiting(Clerk):
        async def stream(self, request: CompletionRequest) -> AsyncIterator[Event]:
            if not self.requests:
                async for event in super().stream(request):
                    yield event
                return
            self.requests.append(request)
            if len(self.requests) == 1 + AT_ONCE:
                all_asked.set()
            try:
                await asyncio.Event().wait()
                yield Delta("never")
            finally:
                self.closed += 1

    all_asked = asyncio.Event()
    clerk = Waiting(dutiful)
    events = pipeline(Library(*PAGES), clerk).stream(ADA, SUMMARISE)
    seen = [await anext(events) for _ in range(3)]
    assert isinstance(seen[2], Advanced)
    waiting = asyncio.create_task(anext(events))
    await all_asked.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await events.aclose()
    assert clerk.closed == len(clerk.requests) == 1 + AT_ONCE


async def test_an_unknown_model_is_refused_before_anything_is_told() -> None:
    question = replace(SUMMARISE, model="nobody's")
    for pages in (PAGES, PAGES[:1]):
        events = pipeline(Library(*pages), Router([Clerk(dutiful)])).stream(ADA, question)
        with pytest.raises(InvalidRequest):
            await anext(events)


@pytest.mark.parametrize(
    ("question", "read"),
    [
        (Question("How many valves does the pump have?", "s", 5, document_ids=("doc_1",)), False),
        (Question("List all rules", "s", 5), False),
        (Question("List all rules", "s", 5, document_ids=("doc_1",)), True),
        (Question("List all rules", "s", 5, tags=("safety",)), True),
        (Question("Summarise", "s", 5), False),
        (Question("Summarise the document", "s", 5), True),
        (Question("Summarise guide.pdf", "s", 5), True),
    ],
)
async def test_a_document_is_looked_for_only_when_one_is_asked_about(
    question: Question, read: bool
) -> None:
    library = Library(*PAGES[:2])
    answer = answer_of(await told(pipeline(library, Router([Extractive()])), question))
    assert bool(library.read_for) is read
    assert (answer.whole_document is not None) is read
    assert bool(library.asked) is not read


async def test_what_is_not_one_document_is_searched_for() -> None:
    class Empty(Library):
        async def read(self, scope: Scope, **_: object) -> None:
            self.read_for.append((scope, None, 0))

    library = Empty()
    await told(pipeline(library, Router([Extractive()])))
    assert library.read_for
    assert library.asked


async def test_an_empty_document_is_no_match() -> None:
    clerk = Clerk(dutiful)
    answer = answer_of(await told(pipeline(Library(), clerk)))
    assert (answer.status, answer.reason, clerk.requests) == ("abstained", "no_match", [])


def test_parts_keep_the_order_and_lose_nothing() -> None:
    for room in (-5, 0, 100, 500, 10**6):
        parts = parted(PAGES, room)
        assert [one for part in parts for one in part] == PAGES
        assert all(parts)
    assert parted([], 100) == [()]
