"""Which sentences of the sources answer a question: found, weighed and ordered.

A sentence scores by the share of the question's words it holds, each word weighed by its rarity
among the given sources, plus what surrounds it (title, heading, neighbours, the rest of its
source), plus whether it holds the kind of thing asked for. Nothing here calls a model: about a
millisecond of CPU for five passages.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from app.llm.completion import Source
from app.llm.premise import (
    PLACES,
    capitals_in,
    codes_in,
    is_known,
    names_in,
    numbered_in,
    put_together_in,
    releases_in,
    squeezed,
)
from app.llm.question import Kind, holds, kind_of, wants_several, without_count
from app.llm.reading import STOPS, Read, Sentence, read
from app.llm.words import parts, seems_english, stem, stems

# Weights, chosen by coordinate search on squad2 (346 questions) and xquad-en (236): ADR 0005.
# Credit for word pairs kept together, and more weight for capitalised words, were tried and lost.
#: What a question word counts for when it is not in the sentence, but in the one before it …
NEIGHBOUR_CREDIT = 0.5
#: … in the title or heading, or elsewhere in its source.
TITLE_CREDIT, SOURCE_CREDIT = 0.35, 0.1
#: … or in the question that the text asks itself before it, when that is this one: it holds this
#: share of its words.
ANSWER_CREDIT, SAME_QUESTION = 0.8, 0.75
#: … or in the heading of a section that the question asks for by it: "What does 8.24 say?".
SECTION_CREDIT = 0.8
#: Added when the sentence holds the kind of answer asked for.
KIND_BONUS = 0.15
#: Added in proportion to the source's retrieval score, best source = 1.
SOURCE_BONUS = 0.2
#: Added by the share of the names in a question that the source holds, where it is not English.
NAME_BONUS = 0.1
#: Taken from fragments, which do not end as prose does. Costs nothing on prose; PDFs need it.
FRAGMENT_PENALTY = 0.15
#: Taken from a table's row of which the question holds only what its columns are called.
LEAD_PENALTY = 0.3

#: Years; quarters and halves: of a table's rows those of another one are no answer.
_PERIODS = (re.compile(r" ?(?:fy)?((?:19|20)\d\d) ?"), re.compile(r" ?([qh][1-4]) ?"))
_PLACES = frozenset(stem(word) for word in PLACES)
_CLOSERS = "\"'\u201d\u2019)]"


@dataclass(frozen=True, slots=True)
class Scored:
    """A sentence with its score (about 0..1.5) and the share of the question it covers (0..1)."""

    sentence: Sentence
    score: float
    coverage: float
    #: Says something of what the sentence before it names, which is not what was asked about.
    strays: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the sources hold about a question; ``ranked`` is best first."""

    ranked: tuple[Scored, ...]
    #: Weighted share, 0..1, of the question's words that occur in the best single source.
    known: float
    #: Names in the question that are in none of the sources, or put together from others there.
    absent: tuple[str, ...] = ()
    #: Those that were read: they hold more of the question's names than the others.
    sources: tuple[Source, ...] = ()
    #: All that was given, as it was read.
    pages: tuple[Read, ...] = ()


def gather(question: str, sources: Sequence[Source], *, whole: Evidence | None = None) -> Evidence:
    """Weigh every sentence of ``sources`` as an answer to ``question``.

    What a question names tells whom it is about: of the sources only those are read that hold the
    most of its names, since the others may say the same of somebody else; of those, only what holds
    its releases is quoted, since the others may say it of another one. ``whole`` is what was
    gathered for an English question of which this one is a part; nothing is read again then.
    """
    english = whole is not None or seems_english(question)
    named = [*codes_in(question), *(names_in(question) if english else ())]
    every = whole.pages if whole else tuple(read(source, english=english) for source in sources)
    pages = _most(every, lambda page: sum(_speaks_of(name, page) for name in named))
    releases = list(releases_in(question))
    told = _most(pages, lambda page: sum(is_known(one, page.words) for one in releases))
    asked = _Asked.of(question, [one for page in pages for one in page.sentences], english=english)
    best = max((source.score for source in sources), default=0.0) or 1.0
    ranked = [scored for page in told for scored in _score(asked, page, best)]
    absent = [name for name in named if not any(_speaks_of(name, page) for page in every)]
    if english and not absent:
        absent = [*put_together_in(question, sources), *numbered_in(question, sources)]
    return Evidence(
        ranked=tuple(sorted(ranked, key=lambda scored: -scored.score)),
        known=max((asked.known(page.words) for page in pages), default=0.0),
        absent=tuple(" ".join(name) for name in absent),
        sources=tuple(page.source for page in pages),
        pages=every,
    )


def _most(pages: Sequence[Read], held: Callable[[Read], int]) -> list[Read]:
    """Those of ``pages`` of which the most is ``held``."""
    counts = [held(page) for page in pages]
    return [page for page, count in zip(pages, counts, strict=True) if count == max(counts)]


def _speaks_of(name: tuple[str, ...], page: Read) -> bool:
    """Whether ``page`` has any word of ``name``, or all of it whatever stands between its signs."""
    return is_known(name, page.words) or squeezed("".join(name)) in page.squeezed


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question taken apart: its words, each with its share of the whole, and its kind."""

    question: str
    kind: Kind
    #: Rarer words have a larger share; the shares add up to 1.
    shares: dict[str, float]
    #: Those of its words that say of when: years, and parts of them.
    periods: tuple[list[str], ...]
    #: Those of its words, figures aside, that any sentence holds.
    told: frozenset[str]
    #: What is capitalised in it, where it is not English.
    names: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, question: str, among: Sequence[Sentence], *, english: bool) -> "_Asked":
        """Take ``question`` apart; a word is the rarer the fewer sentences of ``among`` hold it."""
        weights, told = {}, set()
        for word in stems(without_count(question)) if english else parts(question):
            count = sum(word in sentence.words for sentence in among)
            weights[word] = math.log(1 + (len(among) + 1) / (count + 0.5))
            if count and not word.strip().isdigit():
                told.add(word)
        total = sum(weights.values())
        shares = {word: weight / total for word, weight in weights.items()}
        matches = ([kind.fullmatch(word) for word in weights] for kind in _PERIODS)
        found = ([match[1] for match in of_kind if match] for of_kind in matches)
        periods = tuple([*plain, *(f"fy{one}" for one in plain)] for plain in found)
        names = () if english else tuple(capitals_in(question))
        return cls(question, kind_of(question), shares, periods, frozenset(told), names)

    def is_of_another_period(self, row: Sentence, page: Read) -> bool:
        """Whether a table's ``row`` is of another time than the question, as its page tells."""
        if not row.is_row:
            return False
        return any(
            periods and not any(one in row.words or one in page.prose for one in periods)
            for periods in self.periods
        )

    def only_figures(self, held: Collection[str]) -> bool:
        """Whether ``held`` has only figures of the question, of which others say more: a year."""
        told = [word for word in self.shares if word in held]
        return bool(self.told and told) and all(word.strip().isdigit() for word in told)

    def named_by(self, page: Read) -> float:
        """The share, 0..1, of what is capitalised in the question that ``page`` speaks of."""
        return sum(_speaks_of(name, page) for name in self.names) / max(len(self.names), 1)

    def wants(self, page: Read) -> bool:
        """Whether it asks for the section of ``page``: its heading says all that is asked."""
        heading = set(stems(page.source.heading.rpartition(" > ")[2]))
        asked = self.shares.keys() - _PLACES
        said = heading & asked
        return (
            bool(said)
            and 2 * len(said) >= len(heading)
            and all(word in page.title for word in asked)
        )

    def says_of(self, row: Sentence) -> bool:
        """Whether ``row`` itself holds any of its words, or any row may be an answer to it."""
        return wants_several(self.question) or any(word in self.shares for word in stems(row.text))

    def known(self, held: Collection[str]) -> float:
        """The share, 0..1, of the question that ``held`` knows."""
        return sum(share for word, share in self.shares.items() if word in held)


def _score(asked: _Asked, page: Read, best: float) -> Iterator[Scored]:
    of_source = SOURCE_BONUS * page.source.score / best + NAME_BONUS * asked.named_by(page)
    wanted = asked.wants(page)
    for sentence in page.sentences:
        if asked.is_of_another_period(sentence, page):
            continue
        held = sentence.words
        coverage = near = 0.0
        answers = sentence.answers if asked.known(sentence.answers) >= SAME_QUESTION else ()
        for word, share in asked.shares.items():
            if word in held:
                coverage += share
            elif wanted:
                coverage += share
                near -= share * (1 - SECTION_CREDIT)
            elif word in answers:
                near += share * ANSWER_CREDIT
            else:
                near += share * _credit(word, sentence.before, page)
        if not (near or wanted) and asked.only_figures(held):
            continue
        bonus = (
            of_source
            + KIND_BONUS * holds(asked.kind, sentence.text, asked.question)
            - FRAGMENT_PENALTY * _is_fragment(sentence)
            - LEAD_PENALTY * (bool(sentence.lead) and not asked.says_of(sentence))
        )
        strays = sentence.leans and not any(word in sentence.before for word in asked.shares)
        yield Scored(sentence, coverage + near + bonus, coverage, strays)


def _is_fragment(sentence: Sentence) -> bool:
    """Whether it starts or stops in the middle: a chunk's edge, a heading; no table's row."""
    text = sentence.text
    if sentence.is_row:
        return False
    ends = sentence.introduces or text.rstrip(_CLOSERS)[-1:] in STOPS
    return text[0].islower() or not ends


def _credit(word: str, before: Collection[str], page: Read) -> float:
    """What a question word counts for that is not in the sentence itself."""
    if word in before:
        return NEIGHBOUR_CREDIT
    if word in page.title:
        return TITLE_CREDIT
    return SOURCE_CREDIT if word in page.words else 0.0
