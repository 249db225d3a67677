"""Questions about a whole document: found, read in parts that fit the model, and put together.

read → part → note (each part, some at a time) → answer from the notes

A model is asked through the router like for any other answer, within one deadline for all of it.
Where none is there, or time is up, the extractive provider carries the errand out by itself over
everything that was read. Markers number the document's passages throughout, so that what a note
says is cited and verified in the answer as if the passage had been read there.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import cast

from app.chat.answer import Question, WholeDocument
from app.chat.events import Advanced
from app.chat.notes import Notes, finished, noted
from app.chat.whole_prompt import answering, noting
from app.llm.completion import (
    Account,
    Completion,
    CompletionRequest,
    Event,
    Provider,
)
from app.llm.errand import errand_of
from app.llm.extractive import Extractive
from app.llm.fit import ANSWER_TOKENS, prompt_tokens, tokens_of
from app.retrieval.passage import Passage, Scope
from app.retrieval.reading import Reading
from app.retrieval.search import Retrieved, Retriever

#: Tokens of a part at the most: a model overlooks more in a longer one, and shorter ones are read
#: side by side.
PART_TOKENS = 12_000
#: Parts of a document, whatever the model's context; what is behind them is not read.
MOST_PARTS = 60
#: Context of a model of which nothing is known.
CONTEXT_TOKENS = 8_192
#: The share of the time for reading; the rest is for the answer.
NOTING_SHARE = 0.7
#: Tokens around a source in a prompt: its code, number, title, page and heading.
_AROUND_TOKENS = 60
#: Tokens of a note, however many there are.
_LEAST_NOTE = 64


@dataclass(frozen=True, slots=True)
class Undertaking:
    """An answer that is about to be made."""

    #: What was searched for and found; nothing when a document was read.
    retrieved: Retrieved
    #: What the markers number, from 1.
    passages: tuple[Passage, ...]
    #: What happens from now on; nobody has been asked yet.
    events: AsyncGenerator[Event | Advanced]
    whole: WholeDocument | None = None


class WholeDocuments:
    """Answers what is asked of a whole document."""

    def __init__(
        self, retriever: Retriever, provider: Provider, *, most_chunks: int, total_s: float
    ) -> None:
        """Read ``most_chunks`` of a document, and answer within ``total_s``."""
        self._retriever, self._provider = retriever, provider
        self._most_chunks, self._total_s = most_chunks, total_s

    async def undertake(
        self, question: Question, standalone: str, *, scope: Scope, account: Account
    ) -> Undertaking | None:
        """What ``question`` wants of a whole document; None when it wants a passage.

        Raises:
            InvalidRequest: there is no such model.
            DatabaseUnavailable: when the database does not answer.
        """
        started = time.perf_counter()
        for text in dict.fromkeys((question.text, standalone)):
            errand = errand_of(text)
            narrowed = scope.document_ids or scope.tags
            if errand is None or not (errand.names or errand.pointed or narrowed):
                continue
            reading = await self._retriever.read(
                scope, names=errand.names or None, most=self._most_chunks
            )
            if reading is None:
                continue
            request = CompletionRequest(
                messages=(),
                question=text,
                sources=(),
                model=question.model,
                temperature=question.temperature,
                max_tokens=question.max_tokens,
                keys=question.keys,
                account=account,
                errand=errand,
                deadline=asyncio.get_running_loop().time() + self._total_s,
            )
            return self._planned(request, reading, (time.perf_counter() - started) * 1e3)
        return None

    def _planned(self, request: CompletionRequest, reading: Reading, read_ms: float) -> Undertaking:
        context = self._context_tokens(request)
        parts = [reading.passages]
        if context is not None:
            empty = prompt_tokens(noting(request, (), first=1, max_tokens=ANSWER_TOKENS))
            room = context - min(ANSWER_TOKENS, context // 4) - empty
            parts = parted(reading.passages, min(room, PART_TOKENS))[:MOST_PARTS]
        passages = tuple(passage for part in parts for passage in part)
        assert request.errand is not None  # noqa: S101 - as it was made
        whole = WholeDocument(
            errand=request.errand.kind,
            document_id=reading.document_id,
            version=reading.version,
            chunks_read=len(passages),
            chunks_total=reading.total,
            parts=len(parts),
        )
        events = self._answered(request, parts, is_cut=len(passages) < reading.total)
        return Undertaking(Retrieved((), 0.0, read_ms), passages, events, whole)

    def _context_tokens(self, request: CompletionRequest) -> int | None:
        """The least context of the models that may be asked; None when there is none that writes.

        The least, because a part is read by whichever of them answers.
        """
        sizes = [
            model.context_tokens or CONTEXT_TOKENS
            for model in self._provider.models()
            if model.provider != Extractive.name
            and (model.available or model.provider in request.keys)
        ]
        if request.model == Extractive.name:
            return None
        return min(sizes, default=None)

    def _answered(
        self, request: CompletionRequest, parts: Sequence[Sequence[Passage]], *, is_cut: bool
    ) -> AsyncGenerator[Event | Advanced]:
        passages = [passage for part in parts for passage in part]
        if not passages:
            return _nothing()
        # Not started yet, but a model that does not exist is refused at once.
        if len(parts) == 1:
            whole = answering(request, passages)
            return finished(self._stream(whole), Notes(is_partial=is_cut))
        # As many tokens for each as still fit one prompt together.
        room = (self._context_tokens(request) or CONTEXT_TOKENS) // 2
        most = max(_LEAST_NOTE, min(ANSWER_TOKENS, room // len(parts)))
        reading_ends = (request.deadline or 0) - self._total_s * (1 - NOTING_SHARE)
        first, streams = 1, []
        for part in parts:
            note = noting(request, part, first=first, max_tokens=most)
            streams.append(self._stream(replace(note, deadline=reading_ends)))
            first += len(part)
        return self._from_notes(request, passages, streams, is_cut=is_cut)

    def _stream(self, request: CompletionRequest) -> AsyncGenerator[Event]:
        return cast("AsyncGenerator[Event]", self._provider.stream(request))

    async def _from_notes(
        self,
        request: CompletionRequest,
        passages: Sequence[Passage],
        streams: Sequence[AsyncGenerator[Event]],
        *,
        is_cut: bool,
    ) -> AsyncGenerator[Event | Advanced]:
        """Note each part, and answer from the notes."""
        notes = Notes(is_partial=is_cut)
        async with aclosing(noted(streams)) as reading:
            async for event in reading:
                if isinstance(event, Advanced):
                    yield event
                else:
                    notes.take(event)
        if not notes.texts:
            yield notes.none()
            return
        answer = self._stream(answering(request, passages, notes=notes.texts))
        async with aclosing(finished(answer, notes)) as events:
            async for told in events:
                yield told


def parted(passages: Sequence[Passage], room_tokens: int) -> list[tuple[Passage, ...]]:
    """``passages`` in their order, in parts of at most ``room_tokens`` as far as one alone fits."""
    parts: list[list[Passage]] = []
    left = 0
    for passage in passages:
        size = tokens_of(passage.text) + tokens_of(passage.title) + _AROUND_TOKENS
        if not parts or size > left:
            parts.append([])
            left = room_tokens
        parts[-1].append(passage)
        left -= size
    return [tuple(part) for part in parts] or [()]


async def _nothing() -> AsyncGenerator[Event]:
    yield Completion("", "none", "none", abstained="no_match")
