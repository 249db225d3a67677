"""Whom or what a question is about by name, and whether the sources speak of it at all.

A question about a company, a person or a product that stands in no source has a false premise here,
however many of its other words do: they are then about somebody else.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from app.infra.language import language_of, small_words
from app.llm.completion import Source
from app.llm.words import FILLER, stem, stems, words

#: Two capitalised words or more, or one; small words may stand inside: "Bank of America".
_NAME = re.compile(
    r"[A-Z][\w'\u2019-]*(?:\s+(?:(?:of|the|de|van|von|and|&)\s+)?[A-Z][\w'\u2019-]*)*"
)
#: A name has a capital and small letters: USD and COGS are terms, FY2021 is a date.
_PROPER = re.compile(r"(?=.*[^\W\d_A-Z]{2})[A-Z][^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
#: A code has capitals first and figures behind: R-200, ISO 9001, A320neo; a text may set other
#: marks between. FY2021 and Q3 are dates, V2 a version: of a later one much may be known.
_CODE = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2,5}-\d+(?:-\d+)+(?![\dA-Za-z])"
    r"|(?<![A-Za-z0-9])(?!FY|CY|[QHV]\d)[A-Z]{1,5}[-\u2010-\u2014./ ]?\d[\dA-Za-z]*(?![\dA-Za-z%])"
)
#: A name with a number: "Falco 7", "Falco 2.0", and no year.
_NUMBERED = re.compile(r"\b([A-Z][^\W\d_]+) (\d{1,3}(?:\.\d{1,2})?)(?![\w%]|[.,]\d)")
#: A version, in any letters, and what is told apart by a letter: "option B", not "vitamin C's".
_VERSION = re.compile(r"\b(?:version|release|v)\.? ?(\d+\.\d+)(?![\w%]|[.,]\d)", re.IGNORECASE)
_LETTERED = re.compile(r"\b([^\W\d_]{3,}) ([A-HJ-Z])(?![\w'\u2019&]|[.-]\w|\. [A-Z])")
#: What only says where something stands.
PLACES = frozenset(
    """
    annex appendix article chapter clause figure item line page paragraph part point question
    release rule section step table version
    """.split()  # noqa: SIM905
)
_BEGINS_SENTENCE = re.compile(r"(?:^|[.!?:;\"\u201c(\u00bf\u00a1]\s*)$")
_WORD = re.compile(r"[^\W\d_][\w'\u2019-]{2,}")
_RELEASE = re.compile(r"(?<![\w.])\d+(?:\.\d+){2,}(?!\w)")
_SOME = r"\d+(?:\.\d+)?"
_DIGITS = re.compile(_SOME)
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
#: Between two words of a name that stand together, at most: "Jan Andrzej Menich".
_FAR = 4
_AND = frozenset(["and", "&"])
#: How people are addressed; it may stand before any name.
_ADDRESSES = frozenset(
    """
    captain chancellor doctor dr emperor general judge king lady lord mayor minister mr mrs ms
    president prince princess professor pope queen saint senator sir st
    """.split()  # noqa: SIM905
)


def names_in(question: str) -> Iterator[tuple[str, ...]]:
    """The names in an English ``question``, each as the words it is made of.

    A word that is capitalised because a sentence begins with it counts only as part of a name or
    with its possessive. Where small words are capitalised as well, capitals say nothing.
    """
    for written in _written_in(question):
        if proper := tuple(bare for part in written if (bare := _proper(part))):
            yield proper


def _written_in(question: str) -> Iterator[list[str]]:
    """The names in ``question``, word by word as they are written."""
    if sum(word.istitle() and word.casefold() in FILLER for word in question.split()) > _FEW:
        return
    for found in _NAME.finditer(question):
        written = found[0].split()
        begins = _BEGINS_SENTENCE.search(question, 0, found.start())
        yield written[1:] if begins and not _POSSESSIVE.search(written[0]) else written


def _proper(part: str) -> str:
    """A word of a name without its possessive; empty when it names nothing."""
    bare = _POSSESSIVE.sub("", part)
    small = bare.casefold()
    named = _PROPER.fullmatch(bare) and small not in FILLER and small not in _CALENDAR
    return bare if named else ""


def put_together_in(question: str, sources: Sequence[Source]) -> Iterator[tuple[str, ...]]:
    """Names of several words in an English ``question`` that are made of other names.

    "The Summer Palace", where the ``sources`` speak of a Summer Theatre and of the Saxon Palace:
    all of its words are there as names and no two of them together, and at least one is there
    within longer names only ("the Panthers" may be the Carolina ones). Words of a title or heading
    are together with all that is said below it.
    """
    told: list[_Told] = []
    for name in _wholes_in(question):
        told = told or [_Told(source) for source in sources]
        if any(one.holds("".join(name)) for one in told):
            continue
        bare = [stem(word) for word in name]
        if not all(any(word in one.capitals for one in told) for word in bare):
            continue
        if any(one.together(*pair) for one in told for pair in pairwise(bare)):
            continue
        if not all(any(one.alone(word) for one in told) for word in bare):
            yield name


def _wholes_in(question: str) -> Iterator[tuple[str, ...]]:
    """Names of several words; what "and" or a possessive parts is not one."""
    for written in _written_in(question):
        whole: list[str] = []
        for part in [*written, "and"]:
            bare = _proper(part)
            if bare and bare.casefold() not in _ADDRESSES:
                whole.append(bare)
            if part in _AND or (bare and bare != part):
                if len(whole) > 1:
                    yield tuple(whole)
                whole = []


def numbered_in(question: str, sources: Sequence[Source]) -> Iterator[tuple[str, str]]:
    """Names with a number that ``sources`` have with other numbers only: "Falco 7" of a Falco 2.

    So it is with versions, and with what has a letter: "option D" of options A to C.
    """
    texts = [f"{source.title}\n{source.heading}\n{source.text}" for source in sources]
    for found in _NUMBERED.finditer(question):
        name, number = found.groups()
        small = name.casefold()
        begins = _BEGINS_SENTENCE.search(question, 0, found.start())
        if begins or small in FILLER or small in _CALENDAR or small in PLACES:
            continue
        told = re.compile(rf"\b{name}[ -]?({_SOME}(?:(?:, | and | or | to |[-\u2013/]){_SOME})*)")
        known = {
            one for text in texts for run in told.findall(text) for one in _DIGITS.findall(run)
        }
        # "Falco 2" may be said of a Falco 2.0, and the other way round.
        alike = [one for one in known if ("." in one) == ("." in number)]
        if alike and not any(one == number or one.split(".")[0] == number for one in known):
            yield name, number
    for found in _VERSION.finditer(question):
        if not any(found[1] in text for text in texts) and any(map(_VERSION.search, texts)):
            yield found[0].split()[0], found[1]
    for found in _LETTERED.finditer(question):
        name, letter = found.groups()
        told = re.compile(rf"\b(?i:{name})s? ([A-Z](?:(?:, | and | or | to |[-\u2013/])[A-Z])*)\b")
        known = {one for text in texts for run in told.findall(text) for one in _between(run)}
        if known and letter not in known:
            yield name, letter


def _between(letters: str) -> Iterator[str]:
    """The letters that "A, B" or "A to D" names."""
    found = [char for char in letters if char.isupper()]
    if len(found) == 2 and re.search(" to |[-\u2013]", letters):  # noqa: PLR2004 - a range
        found = [chr(code) for code in range(ord(found[0]), ord(found[1]) + 1)]
    yield from found


class _Told:
    """The words of a source in their order."""

    def __init__(self, source: Source) -> None:
        self._text = f"{source.title}\n{source.heading}\n{source.text}"
        self._above = frozenset(stems(f"{source.title} {source.heading}"))
        self._words = [(stem(word), word[0].isupper()) for word in words(self._text)]
        self.capitals = frozenset(word for word, capital in self._words if capital)

    def holds(self, name: str) -> bool:
        """Whether it has ``name``, whatever stands between its letters."""
        return squeezed(name) in squeezed(self._text)

    def together(self, one: str, other: str) -> bool:
        """Whether two words stand near each other, or one of them above the other."""
        first, second = self._places(one), self._places(other)
        if not first or not second:
            return False
        near = any(0 < abs(place - place2) <= _FAR for place in first for place2 in second)
        return near or one in self._above or other in self._above

    def alone(self, word: str) -> bool:
        """Whether ``word`` is capitalised somewhere between words that are not."""
        beside = [("", False), *self._words, ("", False)]
        return any(
            beside[place + 1][1] and not (_is_name(beside[place]) or _is_name(beside[place + 2]))
            for place in self._places(word)
        )

    def _places(self, word: str) -> list[int]:
        return [place for place, (known, _) in enumerate(self._words) if known == word]


def _is_name(word: tuple[str, bool]) -> bool:
    return word[1] and word[0] != ""


def capitals_in(question: str) -> Iterator[tuple[str, ...]]:
    """The words that a ``question`` in another language than English capitalises, one a name.

    None of a German one, which capitalises every noun.
    """
    if (language := language_of(question)) == "german":
        return
    small = small_words(language)
    for found in _WORD.finditer(question):
        if found[0][0].isupper() and not _BEGINS_SENTENCE.search(question, 0, found.start()):
            bare = found[0].casefold()
            if bare not in small:
                yield (found[0],)


def codes_in(question: str) -> Iterator[tuple[str, ...]]:
    """What ``question`` calls by a code, in any language: models, standards, part numbers."""
    for found in _CODE.finditer(question):
        yield (found[0],)


def releases_in(question: str) -> Iterator[tuple[str, ...]]:
    """What ``question`` calls by a number of three parts: a release, a section."""
    for found in _RELEASE.finditer(question):
        yield (found[0],)


def squeezed(text: str) -> str:
    """The letters and figures of ``text``, whatever stands between them."""
    return "".join(filter(str.isalnum, text)).casefold()


def is_known(name: tuple[str, ...], stems: Collection[str]) -> bool:
    """Whether any word of ``name`` is among the ``stems`` of a source."""
    return any(stem(word) in stems for word in name)
