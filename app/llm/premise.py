"""Whom or what a question is about by name, and whether the sources speak of it at all.

A question about a company, a person or a product that stands in no source has a false premise here,
however many of its other words do: they are then about somebody else.
"""

import re
from collections.abc import Collection, Iterator

from app.llm.words import FILLER, stem

#: Two capitalised words or more, or one; small words may stand inside: "Bank of America".
_NAME = re.compile(
    r"[A-Z][\w'\u2019-]*(?:\s+(?:(?:of|the|de|van|von|and|&)\s+)?[A-Z][\w'\u2019-]*)*"
)
#: A name has a capital and small letters: USD and COGS are terms, FY2021 is a date.
_PROPER = re.compile(r"(?=.*[^\W\d_A-Z]{2})[A-Z][^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
#: A code has capitals first and figures behind: R-200, ISO 9001, A320neo; a text may set other
#: marks between. FY2021 and Q3 are dates, V2 a version: of a later one much may be known.
_CODE = re.compile(
    r"(?<![A-Za-z0-9])(?!FY|CY|[QHV]\d)[A-Z]{1,5}[-\u2010-\u2014./ ]?\d[\dA-Za-z]*(?![\dA-Za-z%])"
)
_BEGINS_SENTENCE = re.compile(r"(?:^|[.!?:;\"\u201c(]\s*)$")
_POSSESSIVE = re.compile(r"['\u2019]s?$")
#: Small words that may be capitalised in a question of two sentences with a name like "The Who".
_FEW = 3
_CALENDAR = frozenset(
    [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ]
)


def names_in(question: str) -> Iterator[tuple[str, ...]]:
    """The names in an English ``question``, each as the words it is made of.

    A word that is capitalised because a sentence begins with it counts only as part of a name or
    with its possessive. Where small words are capitalised as well, capitals say nothing.
    """
    if sum(word.istitle() and word.casefold() in FILLER for word in question.split()) > _FEW:
        return
    for found in _NAME.finditer(question):
        parts = found[0].split()
        if _BEGINS_SENTENCE.search(question, 0, found.start()) and not _POSSESSIVE.search(parts[0]):
            parts = parts[1:]
        proper = tuple(
            bare
            for part in parts
            if _PROPER.fullmatch(bare := _POSSESSIVE.sub("", part))
            and bare.casefold() not in FILLER
            and bare.casefold() not in _CALENDAR
        )
        if proper:
            yield proper


def codes_in(question: str) -> Iterator[tuple[str, ...]]:
    """What ``question`` calls by a code, in any language: models, standards, part numbers."""
    for found in _CODE.finditer(question):
        yield (found[0],)


def squeezed(text: str) -> str:
    """The letters and figures of ``text``, whatever stands between them."""
    return "".join(filter(str.isalnum, text)).casefold()


def is_known(name: tuple[str, ...], stems: Collection[str]) -> bool:
    """Whether any word of ``name`` is among the ``stems`` of a source."""
    return any(stem(word) in stems for word in name)
