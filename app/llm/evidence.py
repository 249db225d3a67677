"""Which sentences of the sources answer a question: found, weighed and ordered.

A sentence scores by the share of the question's words it holds, each word weighed by its rarity
among the given sources, plus what surrounds it (title, heading, neighbours, the rest of its
source), plus whether it holds the kind of thing asked for. Nothing here calls a model: about a
millisecond of CPU for five passages.
"""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from app.llm.completion import Source
from app.llm.premise import codes_in, is_known, names_in, squeezed
from app.llm.question import Kind, holds, kind_of
from app.llm.sentences import CELLS, is_figures, is_item, split, tidy
from app.llm.words import count_words, parts, seems_english, spelled, stems

# Weights, chosen by coordinate search on squad2 (346 questions) and xquad-en (236): ADR 0005.
# Credit for word pairs kept together, and more weight for capitalised words, were tried and lost.
#: What a question word counts for when it is not in the sentence, but in the one before it …
NEIGHBOUR_CREDIT = 0.5
#: … in the title or heading, or elsewhere in its source.
TITLE_CREDIT, SOURCE_CREDIT = 0.35, 0.1
#: Added when the sentence holds the kind of answer asked for.
KIND_BONUS = 0.15
#: Added in proportion to the source's retrieval score, best source = 1.
SOURCE_BONUS = 0.2
#: Taken from fragments, which do not end as prose does. Costs nothing on prose; PDFs need it.
FRAGMENT_PENALTY = 0.15

_SHORTEST_WORDS, _LONGEST_WORDS = 4, 80
_LIST_WORDS = 60
#: A header or footer: a line that ends with its page's number.
_PAGE_NUMBER = re.compile(r"\bPage\s+[\w.-]*\d+(?: of \d+)?\s*$", re.IGNORECASE | re.MULTILINE)
_MARK = re.compile(r"^(?:[\u2022\u25aa\u25cf\u25cb\u2023\u00b7\uf0b7\u2013*-]\s+|o\s+(?=[A-Z]))")
#: Dotted or ruled leaders: a line of a table of contents or of a form.
_LEADERS = ("....", ". . . .", "____", "- - - -", "\u2026\u2026")
#: Years; quarters and halves: of a table's rows those of another one are no answer.
_PERIODS = (re.compile(r" ?(?:fy)?((?:19|20)\d\d) ?"), re.compile(r" ?([qh][1-4]) ?"))
#: The columns of a table in a PDF: years side by side.
_COLUMNS = re.compile(r"\b(?:19|20)\d\d +(?:FY)?(?:19|20)\d\d\b")
_CLOSERS = "\"'\u201d\u2019)]"
_STOPS = frozenset(".!\u2026\u3002\uff01\u0964:;")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence that may be quoted; ``text`` is verbatim but for white space."""

    source: Source
    #: Place in its source, for neighbours and reading order.
    position: int
    text: str
    #: Its words, in which those of the question are looked up: stems, or `spelled` text.
    words: Collection[str]
    #: The words of the sentence before it; of a row of figures, those of its part of the table.
    before: Collection[str] = ()
    #: Lines that say what the figures of a row are: its columns, and its part of the table.
    lead: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """All that is quoted of it."""
        return (*self.lead, self.text)

    @property
    def is_row(self) -> bool:
        """Whether it is a row of a table."""
        return bool(self.lead) or CELLS in self.text


@dataclass(frozen=True, slots=True)
class Scored:
    """A sentence with its score (about 0..1.5) and the share of the question it covers (0..1)."""

    sentence: Sentence
    score: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the sources hold about a question; ``ranked`` is best first."""

    ranked: tuple[Scored, ...]
    #: Weighted share, 0..1, of the question's words that occur in the best single source.
    known: float
    #: Names in the question that are in none of the sources.
    absent: tuple[str, ...] = ()
    #: Those that were read: they hold more of the question's names than the others.
    sources: tuple[Source, ...] = ()


def gather(question: str, sources: Sequence[Source]) -> Evidence:
    """Weigh every sentence of ``sources`` as an answer to ``question``.

    What a question names tells whom it is about: of the sources only those are read that hold the
    most of its names, since the others may say the same of somebody else.
    """
    english = seems_english(question)
    named = [*codes_in(question), *(names_in(question) if english else ())]
    every = [_read(source, english=english) for source in sources]
    held = [sum(_speaks_of(name, page) for name in named) for page in every]
    most = max(held, default=0)
    read = [page for page, count in zip(every, held, strict=True) if count == most]
    asked = _Asked.of(question, [one for page in read for one in page.sentences], english=english)
    best = max((source.score for source in sources), default=0.0) or 1.0
    ranked = [scored for page in read for scored in _score(asked, page, best)]
    return Evidence(
        ranked=tuple(sorted(ranked, key=lambda scored: -scored.score)),
        known=max((asked.known(page.words) for page in read), default=0.0),
        absent=tuple(
            " ".join(name) for name in named if not any(_speaks_of(name, page) for page in every)
        ),
        sources=tuple(page.source for page in read),
    )


def _speaks_of(name: tuple[str, ...], page: "_Read") -> bool:
    """Whether ``page`` has any word of ``name``, or all of it whatever stands between its signs."""
    return is_known(name, page.words) or squeezed("".join(name)) in page.squeezed


def _read(source: Source, *, english: bool) -> "_Read":
    """Cut ``source`` into the sentences worth quoting: no contents lines, headings, questions.

    A line that introduces a list (ends in a colon) takes the items after it along.
    """
    held_by = _stemmed if english else spelled
    title = held_by(f"{source.title} {source.heading}")
    every: list[Collection[str]] = [title]
    spans = split(source.text)
    found: list[Sentence] = []
    at, before, lead = 0, held_by(""), tuple[str, ...]()
    led: list[Collection[str]] = []
    while at < len(spans):
        last = _list_end(source.text, spans, at)
        text = _MARK.sub("", tidy(source.text[spans[at][0] : spans[last][1]]))
        held = held_by(text)
        every.append(held)
        if (under := _lead(text, lead)) != lead:
            lead, led = under, [held_by(line) for line in under]
        if lead and is_figures(text) and text not in lead:
            row = _together([held, led[0]], english=english)
            found.append(Sentence(source, at, text, row, led[-1], lead))
        elif quotable(text) and text not in source.heading and text not in lead:
            found.append(Sentence(source, at, text, held, before))
            before = held
        at = last + 1
    return _Read(source, tuple(found), title, _together(every, english=english))


def _together(every: Iterable[Collection[str]], *, english: bool) -> Collection[str]:
    """The words of ``every`` one, as one."""
    return frozenset(chain.from_iterable(every)) if english else "".join(map(str, every))


def _lead(text: str, lead: tuple[str, ...]) -> tuple[str, ...]:
    """What a row of figures below ``text`` stands under, if one above it stands under ``lead``."""
    if text[-1:] not in _STOPS and _COLUMNS.search(text) and CELLS not in text:
        return (text,)
    if not lead:
        return lead
    if text.endswith(":"):
        return (lead[0], text)
    return lead if is_figures(text) or not quotable(text) else ()


def _stemmed(text: str) -> frozenset[str]:
    return frozenset(stems(text))


def _list_end(text: str, spans: Sequence[tuple[int, int]], at: int) -> int:
    """The last span that belongs to the sentence at ``at``: itself, or the list it introduces."""
    if not tidy(text[slice(*spans[at])]).endswith(":"):
        return at
    last, count = at, 0
    for index in range(at + 1, len(spans)):
        count += count_words(text[slice(*spans[index])])
        if count > _LIST_WORDS or not is_item(text, spans[index][0]):
            break
        last = index
    return last


def quotable(text: str) -> bool:
    """Whether ``text`` is a sentence worth quoting: no contents line, heading, footer, question."""
    if (
        text.endswith("?")
        or _PAGE_NUMBER.search(text)
        or any(leader in text for leader in _LEADERS)
    ):
        return False
    if CELLS in text:  # a row is read with its columns' names; without, it is their header
        return ": " in text and count_words(text) <= _LONGEST_WORDS
    letters = sum(char.isalpha() or char > "\u02ff" for char in text)  # vowel signs are not alpha
    return _SHORTEST_WORDS <= count_words(text) <= _LONGEST_WORDS and letters * 2 >= len(text)


@dataclass(frozen=True)
class _Read:
    """A source cut up: its quotable sentences and the words of its title and of all of it."""

    source: Source
    sentences: tuple[Sentence, ...]
    title: Collection[str]
    words: Collection[str]

    @cached_property
    def squeezed(self) -> str:
        """Its letters and figures, for names that are spelled with other signs between."""
        return squeezed(f"{self.source.title} {self.source.heading} {self.source.text}")

    @cached_property
    def prose(self) -> str:
        """What it says outside of its tables, in lower case."""
        lines = (self.source.title, self.source.heading, *self.source.text.split("\n"))
        told = (line for line in lines if not (CELLS in line or _COLUMNS.search(line)))
        return "\n".join(told).casefold()


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question taken apart: its words, each with its share of the whole, and its kind."""

    question: str
    kind: Kind
    #: Rarer words have a larger share; the shares add up to 1.
    shares: dict[str, float]
    #: Those of its words that say of when: years, and parts of them.
    periods: tuple[list[str], ...]

    @classmethod
    def of(cls, question: str, among: Sequence[Sentence], *, english: bool) -> "_Asked":
        """Take ``question`` apart; a word is the rarer the fewer sentences of ``among`` hold it."""
        weights = {}
        for word in stems(question) if english else parts(question):
            count = sum(word in sentence.words for sentence in among)
            weights[word] = math.log(1 + (len(among) + 1) / (count + 0.5))
        total = sum(weights.values())
        shares = {word: weight / total for word, weight in weights.items()}
        matches = ([kind.fullmatch(word) for word in weights] for kind in _PERIODS)
        found = ([match[1] for match in of_kind if match] for of_kind in matches)
        periods = tuple([*plain, *(f"fy{one}" for one in plain)] for plain in found)
        return cls(question, kind_of(question), shares, periods)

    def is_of_another_period(self, row: Sentence, page: _Read) -> bool:
        """Whether a table's ``row`` is of another time than the question, as its page tells."""
        if not row.is_row:
            return False
        return any(
            periods and not any(one in row.words or one in page.prose for one in periods)
            for periods in self.periods
        )

    def known(self, held: Collection[str]) -> float:
        """The share, 0..1, of the question that ``held`` knows."""
        return sum(share for word, share in self.shares.items() if word in held)


def _score(asked: _Asked, page: _Read, best: float) -> Iterator[Scored]:
    for sentence in page.sentences:
        if asked.is_of_another_period(sentence, page):
            continue
        held = sentence.words
        coverage = near = 0.0
        for word, share in asked.shares.items():
            if word in held:
                coverage += share
            else:
                near += share * _credit(word, sentence.before, page)
        bonus = (
            SOURCE_BONUS * page.source.score / best
            + KIND_BONUS * holds(asked.kind, sentence.text, asked.question)
            - FRAGMENT_PENALTY * _is_fragment(sentence)
        )
        yield Scored(sentence, coverage + near + bonus, coverage)


def _is_fragment(sentence: Sentence) -> bool:
    """Whether it starts or stops in the middle: a chunk's edge, a heading; no table's row."""
    text = sentence.text
    if sentence.is_row:
        return False
    return text[0].islower() or text.rstrip(_CLOSERS)[-1:] not in _STOPS


def _credit(word: str, before: Collection[str], page: _Read) -> float:
    """What a question word counts for that is not in the sentence itself."""
    if word in before:
        return NEIGHBOUR_CREDIT
    if word in page.title:
        return TITLE_CREDIT
    return SOURCE_CREDIT if word in page.words else 0.0
