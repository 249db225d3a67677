"""Errands without a model: what all of a document says of a topic, or the heart of its sections.

Quotes alone, in the document's order, each behind the marker of its source. The one thing said that
is no quote is how many lines were found, in front of a list.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from app.llm.completion import Source
from app.llm.errand import Errand
from app.llm.reading import quotable
from app.llm.sentences import is_item, split, tidy
from app.llm.words import stems

#: Lines of a list; the count in front of it is of all that there are.
MOST_LINES = 40
#: Sections of a summary: the longest, in the document's order.
MOST_SECTIONS = 12
_LONGEST_LINE_WORDS = 80
_MARK = re.compile(r"^(?:[\u2022\u25aa\u25cf\u25cb\u2023\u00b7\uf0b7\u2013*-]\s+|o\s+(?=[A-Z]))")
_LEADERS = ("....", ". . . .", "____", "\u2026\u2026")


@dataclass(frozen=True, slots=True)
class Gist:
    """What an errand came back with; no text when the document has nothing of it."""

    text: str
    #: Whether there was more than is told.
    shortened: bool = False


def gist_of(errand: Errand, sources: Sequence[Source]) -> Gist:
    """Carry out ``errand`` over ``sources``, a document's in its order.

    About 0.2 ms of CPU a source: not for the event loop.
    """
    return _summary(sources) if errand.kind == "summary" else _collected(errand.topic, sources)


def _collected(topic: str, sources: Sequence[Source]) -> Gist:
    """The lines about ``topic``, with their number before them."""
    wanted = frozenset(stems(topic))
    found: dict[str, Source] = {}
    for source in sources if wanted else ():
        for line in _lines_about(wanted, source):
            found.setdefault(line, source)
    if not found:
        return Gist("")
    told = [f"{line} [{source.marker}]" for line, source in list(found.items())[:MOST_LINES]]
    return Gist("\n".join([f"{topic}: {len(found)}", *told]), len(found) > MOST_LINES)


def _lines_about(wanted: frozenset[str], source: Source) -> Iterator[str]:
    """Sentences and rows that say all of ``wanted``, and the items below a heading that does."""
    below = wanted <= frozenset(stems(source.heading))
    for start, end in split(source.text):
        line = tidy(source.text[start:end])
        bare = _MARK.sub("", line)
        held = frozenset(stems(bare))
        about = wanted <= held and len(held) > len(wanted)  # a heading says nothing more
        if (about or (below and is_item(source.text, start))) and _is_line(bare):
            yield bare


def _is_line(text: str) -> bool:
    """Whether there is something to quote: a row of a table may be short, a leader is none."""
    return (
        any(map(str.isalpha, text))
        and text.count(" ") < _LONGEST_LINE_WORDS
        and not any(leader in text for leader in _LEADERS)
    )


def _summary(sources: Sequence[Source]) -> Gist:
    """One sentence of each section, behind the section's heading."""
    sections = [
        (key, list(group)) for key, group in groupby(sources, key=lambda s: s.heading or s.page)
    ]
    longest = sorted(sections, key=lambda section: -sum(len(s.text) for s in section[1]))
    kept = {id(section) for section in longest[:MOST_SECTIONS]}
    told = []
    for section in sections:
        if id(section) in kept and (said := _heart(section[1])):
            sentence, source = said
            heading = f"{source.heading}\n" if source.heading else ""
            told.append(f"{heading}{sentence} [{source.marker}]")
    return Gist("\n".join(told))


def _heart(section: Sequence[Source]) -> tuple[str, Source] | None:
    """The sentence that says most of what its section says, out of its most central source.

    How central a source is, its score says: of a whole document's sources that is the similarity to
    the mean of their section.
    """
    counts = Counter(word for source in section for word in set(stems(source.text)))
    for source in sorted(section, key=lambda source: -source.score):
        sentences = [tidy(source.text[start:end]) for start, end in split(source.text)]
        best = max(filter(quotable, sentences), key=lambda s: _weight(s, counts), default=None)
        if best is not None:
            return _MARK.sub("", best), source
    return None


def _weight(sentence: str, counts: Counter[str]) -> float:
    """How much of a section's words a sentence has; a long one has to have more of them."""
    held = set(stems(sentence))
    return sum(counts[word] for word in held) / (len(held) + 5) if held else 0.0
