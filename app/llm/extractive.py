"""The built-in provider: it answers by quoting the sentences that answer, or abstains.

Of a whole document it quotes what was asked for all over it (``gist.py``).

Needs no key, no network and no model; about 2 ms of CPU for five passages. It is the last of the
router's providers, so that a first user without any key gets cited answers, and everyone gets one
when all language models are down.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from app.llm.abstention import Abstention
from app.llm.completion import (
    Completion,
    CompletionRequest,
    Delta,
    Event,
    ModelInfo,
)
from app.llm.evidence import Evidence, Scored, gather
from app.llm.fit import shortened
from app.llm.gist import gist_of
from app.llm.markers import without_references
from app.llm.question import count_asked, sides_of, wants_several
from app.llm.spelling import put_right
from app.llm.words import count_words, figures, seems_english, words

EmbedSentences = Callable[[Sequence[str]], Awaitable[NDArray[np.float32]]]

MOST_SENTENCES = 3
#: Rows of one table that say as much, and what a question asks for by number, at most.
MOST_ROWS = 8
#: A second sentence must score at least this share of the best one's …
SECOND_SHARE = 0.45
#: … and a third, only after two short ones (words in all), this share.
THIRD_SHARE, SHORT_WORDS = 0.6, 40
#: What a sentence of another document must hold of an English question, beside the best one:
#: beyond English, answers were lost by it.
ELSEWHERE_SHARE = 0.75
#: What cosine similarity to the question adds to a sentence's score, when embedding is on, and how
#: many of the best sentences are embedded.
SIMILARITY_BONUS, EMBEDDED_SENTENCES = 0.3, 8


class Extractive:
    """Answers with one to three sentences of the sources, verbatim, each behind its ``[n]``."""

    name = "extractive"
    upstream = ""

    def __init__(
        self,
        embed_sentences: EmbedSentences | None = None,
        *,
        vocabulary: Collection[str] = (),
    ) -> None:
        """Go by words alone, or by vectors of sentences as well.

        Args:
            embed_sentences: gives unit vectors, float32, (n, dim).
            vocabulary: English words that are spelled right; in a question's other words slips
                are put right. Without any, nothing is.
        """
        self._embed = embed_sentences
        self._vocabulary = vocabulary
        self._abstention = Abstention()

    def models(self) -> tuple[ModelInfo, ...]:
        """Itself, always available."""
        return (ModelInfo(self.name, self.name, True, None, None),)

    async def close(self) -> None:
        """Nothing is held open."""

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Event]:
        """Yield the quotes as one delta, then the completion; an abstention has no text."""
        started = perf_counter()
        if request.errand is not None:
            # A tenth of a second for hundreds of sources.
            found = await asyncio.to_thread(gist_of, request.errand, request.sources)
            text, _ = shortened(found.text, request.max_tokens)
            if text:
                yield Delta(text)
            yield Completion(
                text,
                self.name,
                self.name,
                first_token_ms=(perf_counter() - started) * 1000,
                abstained=None if text else "no_match",
                truncated=found.shortened or text != found.text,
            )
            return
        english = seems_english(request.question)
        if english:
            meant = put_right(request.question, request.sources, self._vocabulary)
            request = replace(request, question=meant)
        evidence = gather(request.question, request.sources)
        abstained = self._abstention.judge(request.question, evidence)
        sides = self._sides(request, evidence) if english else ()
        if abstained == "weak_match" and len(sides) > 1:
            abstained = None  # no sentence need speak of both
        if abstained is not None:
            yield Completion(text="", provider=self.name, model=self.name, abstained=abstained)
            return
        if self._embed is not None:
            evidence = await self._reranked(request.question, evidence, self._embed)
        text = quote(evidence.ranked, english=english, question=request.question, first=sides)
        # Fewer quotes are an answer still; a part of one is not.
        text, parted = shortened(text, request.max_tokens)
        first_ms = (perf_counter() - started) * 1000
        yield Delta(text)
        yield Completion(text, self.name, self.name, first_token_ms=first_ms, truncated=parted)

    def _sides(self, request: CompletionRequest, whole: Evidence) -> tuple[Scored, ...]:
        """The best sentence about each of what the question compares, as far as there is one."""
        sides = sides_of(request.question)
        found = [(side, gather(side, request.sources, whole=whole)) for side in sides]
        return tuple(
            evidence.ranked[0]
            for side, evidence in found
            if self._abstention.judge(side, evidence) is None
        )

    async def _reranked(self, question: str, evidence: Evidence, embed: EmbedSentences) -> Evidence:
        """``evidence`` with the similarity of its best sentences counted in."""
        best = evidence.ranked[:EMBEDDED_SENTENCES]
        vectors = await embed([question, *(scored.sentence.text for scored in best)])
        gains = (vectors[1:] @ vectors[0]).tolist()
        ranked = [
            replace(scored, score=scored.score + SIMILARITY_BONUS * gain)
            for scored, gain in zip(best, gains, strict=True)
        ]
        return replace(evidence, ranked=tuple(sorted(ranked, key=lambda s: -s.score)))


def quote(
    ranked: Sequence[Scored], *, english: bool, question: str = "", first: Sequence[Scored] = ()
) -> str:
    """The answer: the best sentences, each followed by ``[n]``; neighbours in reading order.

    ``first`` are quoted before those, whatever they score; ``question`` tells how many may be.
    """
    chosen = _choose([*first, *ranked], ELSEWHERE_SHARE if english else 0.0, question, len(first))
    if len(chosen) > 1 and _follows(chosen[0], chosen[1]):
        chosen[0], chosen[1] = chosen[1], chosen[0]
    lines = (
        (without_references(line), s.sentence.source.marker)
        for s in chosen
        for line in s.sentence.lines
    )
    return " ".join(f"{line} [{marker}]" for line, marker in dict.fromkeys(lines))


def _choose(
    ranked: Sequence[Scored], elsewhere_share: float, question: str, first: int
) -> list[Scored]:
    chosen: list[Scored] = []
    length, count = 0, count_asked(question) or 0
    several = MOST_ROWS if count or wants_several(question) else 0
    most = max(MOST_SENTENCES, min(count, MOST_ROWS))
    for place, scored in enumerate(ranked):
        given = place < first or not chosen
        alike = len(chosen) < several and not given and _is_alike(scored, chosen[0])
        if not (given or alike) and (
            len(chosen) >= most
            or not _worth_adding(scored, chosen, length, counted=count > len(chosen))
        ):
            break
        if any(_repeats(scored, other) for other in chosen):
            continue
        if not given and (
            _strays(scored, chosen) or _is_beside(scored, chosen[0], elsewhere_share)
        ):
            continue
        chosen.append(scored)
        length += count_words(scored.sentence.text)
    return chosen


def _is_alike(scored: Scored, best: Scored) -> bool:
    """Whether it is a row of the same table as the best one and holds as much of the question."""
    one, other = scored.sentence, best.sentence
    same = one.is_row and other.is_row and one.source.marker == other.source.marker
    return same and scored.coverage == best.coverage


def _worth_adding(
    scored: Scored, chosen: Sequence[Scored], length: int, *, counted: bool = False
) -> bool:
    if scored.coverage == 0 and not _follows(scored, chosen[0]):
        return False
    if scored.sentence.is_row and scored.coverage < chosen[0].coverage:
        return False  # another row of the table, about something else than what was asked for
    if len(chosen) == 1:
        return scored.score >= SECOND_SHARE * chosen[0].score
    short = counted or length <= SHORT_WORDS
    return short and scored.score >= THIRD_SHARE * chosen[0].score


def _is_beside(scored: Scored, best: Scored, share: float) -> bool:
    """Whether it is of another document and holds less than ``share`` of what the best one does."""
    elsewhere = scored.sentence.source.title != best.sentence.source.title
    return elsewhere and scored.coverage < share * best.coverage


def _strays(scored: Scored, chosen: Sequence[Scored]) -> bool:
    """Whether it speaks of something else than was asked about, and than was chosen before it."""
    follows = any(_follows(scored, one, within=2) for one in chosen)
    return scored.strays and bool(chosen) and not follows


def _repeats(scored: Scored, other: Scored) -> bool:
    """Whether one of two sentences says the other again: chunks overlap, versions repeat.

    Small words and figures count: "during probation" is not "after probation".
    """
    shorter, longer = sorted((scored.sentence.text, other.sentence.text), key=len)
    few, many = ({word.casefold() for word in words(text)} for text in (shorter, longer))
    return len(few & many) >= 0.9 * len(few) and figures(shorter) <= figures(longer)


def _follows(first: Scored, second: Scored, *, within: int = 1) -> bool:
    """Whether ``first`` comes at most ``within`` sentences after ``second`` in the same source."""
    one, two = first.sentence, second.sentence
    near = 0 < one.position - two.position <= within
    return one.source.marker == two.source.marker and near
