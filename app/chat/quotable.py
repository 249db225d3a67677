"""A passage's text, as a place where quotes are looked for, and claims are held against."""

import re
from collections.abc import Iterator
from functools import cached_property, lru_cache

from app.chat.polarity import Polarity
from app.llm.sentences import CELLS
from app.llm.words import figures, stems, words

#: Share of a sentence's words that its quote must hold to count as support.
SUPPORT = 0.5
_CLAIM_END = re.compile(r"(?<=[.!?\u061f\u06d4])\s+|(?<=[\u3002\uff01\uff1f\u0964])\s*|\n+")
_SPAN_END = re.compile(
    r"(?<=[.!?\u061f\u06d4])\s+(?=[^\W_a-z]|[\"'(•*-])|(?<=[\u3002\uff01\uff1f\u0964])\s*|\n\s*\n"
    r"|\n(?=[^\n]* \| )"  # each row of a table is a sentence
)


class Quotable:
    """Finds what supports a claim; the text is taken apart once, however often it is cited.

    :func:`quotable` gives the same one again for a text that was cited lately.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def locate(self, said: str) -> tuple[int, int, bool]:
        """The span of the text that supports what was ``said`` best, and whether it really does.

        What stands there word for word, white space aside, is found exactly: first all that was
        said since the last marker, then its last sentence. Otherwise the sentence of the text is
        taken that shares most of the last sentence's words.
        """
        claim = _last_claim(said)
        for quoted in (said, claim):
            if exact := self._exact(quoted.split()):
                return *exact, True
        wanted = _words(claim)
        best, best_share = _trimmed(self._text, 0, len(self._text)), -1.0
        for start, stop, found in self._sentences:
            share = len(wanted & found) / len(wanted) if wanted else 0.0
            if share > best_share:
                best, best_share = (start, stop), share
        # A quote with another figure, or that denies it, does not carry a claim, however many words
        # they share.
        quote = self._text[slice(*best)]
        carried = best_share >= SUPPORT and figures(claim) <= figures(quote)
        carried = carried and not _from_other_columns(claim, quote)
        return *best, carried and not Polarity(quote).opposes(claim)

    def says(self, sentence: str) -> bool:
        """Whether ``sentence``, a single line, stands there word for word, white space aside."""
        return sentence in self._plain

    @cached_property
    def stems(self) -> frozenset[str]:
        """The stems of its words."""
        return frozenset(stems(self._plain))

    @cached_property
    def figures(self) -> set[str]:
        """The numbers in it."""
        return figures(self._plain)

    @cached_property
    def polarity(self) -> Polarity:
        """What it affirms and what it denies."""
        return Polarity(self._plain)

    def _exact(self, words: list[str]) -> tuple[int, int] | None:
        """Where ``words`` stand in this order, whatever white space is between them."""
        # Not a pattern: making one of twenty words takes longer than everything else here.
        quote = " ".join(words)
        first = self._plain.find(quote) if quote else -1
        return None if first < 0 else (self._place(first), self._place(first + len(quote) - 1) + 1)

    def _place(self, index: int) -> int:
        """Where the character ``index`` of the plain text, no space, stands in the text."""
        words = self._plain.count(" ", 0, index)
        rest = self._text.split(None, words)[-1]
        return len(self._text) - len(rest) + index - (self._plain.rfind(" ", 0, index) + 1)

    @cached_property
    def _plain(self) -> str:
        return " ".join(self._text.split())

    @cached_property
    def _sentences(self) -> list[tuple[int, int, set[str]]]:
        """Spans with their words."""
        return [(start, end, _words(self._text[start:end])) for start, end in _spans(self._text)]


@lru_cache(maxsize=256)
def quotable(text: str) -> Quotable:
    """``text`` as a place for quotes; passages that answer one question answer the next, too.

    Taking them apart is a tenth of an answer's CPU. Some 20 kB each.
    """
    return Quotable(text)


def _from_other_columns(claim: str, row: str) -> bool:
    """Whether ``claim`` gives a figure of a table's ``row`` for a column that it is not of.

    Told by columns with figures in their names, which are mostly years: "4,812 in 2021" is not
    carried by "2022: 4,812 | 2021: 4,310".
    """
    if CELLS not in row:
        return False
    cells = [cell.rpartition(": ") for cell in row.split(CELLS)]
    columns = [(figures(name), figures(value)) for name, _, value in cells]
    asked = figures(claim)
    named = asked & set[str]().union(*(names for names, _ in columns))
    right = [values for names, values in columns if not names or names & named]
    return bool(named) and not asked - named <= set[str]().union(*right)


def _words(text: str) -> set[str]:
    return set(map(str.lower, words(text)))


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """The sentences of ``text``, without the white space around them."""
    start = 0
    for match in _SPAN_END.finditer(text):
        yield from _unless_empty(text, start, match.start())
        start = match.end()
    yield from _unless_empty(text, start, len(text))


def _unless_empty(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    start, end = _trimmed(text, start, end)
    if end > start:
        yield start, end


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    inner = text[start:end]
    left = len(inner) - len(inner.lstrip())
    right = len(inner.rstrip())
    return start + min(left, right), start + right


def _last_claim(said: str) -> str:
    """The sentence that a marker stands behind; its own full stop may come before the marker."""
    parts = [part for part in _CLAIM_END.split(said.strip()) if part.strip()]
    return parts[-1] if parts else ""
