"""How much of an answer its citations carry: each sentence held against the passages it cites.

By words, figures and negations alone, so that it costs no model and holds for every provider: a
sentence is supported when the cited passages have at least half of its words, every figure in it,
and do not say the opposite. It tells invention from quotation and paraphrase; that a sentence turns
its source round in other words ("rejects" for "accepts") it does not see.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.chat.quotable import Quotable
from app.llm.sentences import split, tidy
from app.llm.words import figures, stems

#: Share of a sentence's words that the passages it cites must have.
SUPPORTED = 0.5
#: The most that a sentence gets which has a figure its passages do not have, or which they deny.
WRONG = 0.4
_MARKERS = re.compile(r"(?<!\s)(?:\s*(?<!\S)\[\d{1,3}\])+")
_NUMBER = re.compile(r"\[(\d{1,3})\]")
#: What may stand behind a marker of the sentence before it.
_SENTENCE_REST = " \t\r\n.,;:!?"


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A sentence that its citations do not carry."""

    text: str
    #: 0..1: how much of it they do; 0 for one without a citation.
    support: float


@dataclass(frozen=True, slots=True)
class Grounding:
    """How well an answer is grounded."""

    #: Share of its sentences that are supported.
    share: float
    unsupported: tuple[Unsupported, ...]


def ground(text: str, cited: Mapping[int, Quotable]) -> Grounding | None:
    """Hold ``text`` against what its markers name; None when there is no sentence in it.

    Args:
        text: with markers; those behind a sentence are for all that was said since the last ones.
        cited: marker → the passage.
    """
    count, unsupported = 0, []
    for said, markers in _parts(text):
        named = [cited[marker] for marker in markers if marker in cited]
        for start, end in split(said):
            sentence = tidy(said[start:end])
            if not any(map(str.isalnum, sentence)):
                continue
            count += 1
            if (support := _support(sentence, named)) < SUPPORTED:
                unsupported.append(Unsupported(sentence, round(support, 2)))
    if not count:
        return None
    return Grounding(round(1 - len(unsupported) / count, 2), tuple(unsupported))


def _parts(text: str) -> list[tuple[str, list[int]]]:
    """What was said, each with the markers behind it; none behind the last."""
    parts, at = [], 0
    for found in _MARKERS.finditer(text):
        said = text[at : found.start()].lstrip(_SENTENCE_REST)
        parts.append((said, [int(number) for number in _NUMBER.findall(found[0])]))
        at = found.end()
    return [*parts, (text[at:].lstrip(_SENTENCE_REST), [])]


def _support(sentence: str, sources: list[Quotable]) -> float:
    """How much of ``sentence`` the ``sources`` have together, 0..1."""
    if any(source.says(sentence) for source in sources):
        return 1.0
    words = set(stems(sentence))
    if not words or not sources:
        return 0.0
    held = frozenset[str]().union(*(source.stems for source in sources))
    share = len(words & held) / len(words)
    if share <= WRONG:  # it would get no less
        return share
    told = set[str]().union(*(source.figures for source in sources))
    denied = any(source.polarity.opposes(sentence) for source in sources)
    return min(share, WRONG) if denied or not figures(sentence) <= told else share
