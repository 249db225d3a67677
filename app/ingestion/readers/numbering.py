"""The numbers Word puts before headings and items of lists (ECMA-376 part 1, 17.9).

They are not in the text, but in what its readers see and refer to: "see 4.2", "clause 7(b)".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from app.ingestion.readers.archive import attribute, child, local, number
from app.ingestion.readers.numerals import numeral

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lxml.etree import _Element as Element

    Elements = Element | Sequence[Element]

BULLET, BULLETED = "bullet", "- "
#: A level's number within a pattern such as ``%1.%2.``
PLACE = re.compile(r"%([1-9])")
LEVELS, MAX_PATTERN = 9, 100
#: Styles are made of others, which are made of others; a loop of them ends here.
MAX_PARENTS = 10


class Level(NamedTuple):
    """How one level of a list is numbered."""

    format: str = "decimal"
    pattern: str = ""
    start: int = 1
    spaced: bool = True  #: something stands between number and text
    style: str | None = None  #: whose paragraphs are of this level
    figures: bool = False  #: levels above are shown in figures, however they count


class Num(NamedTuple):
    """A list: its levels, by which definition it counts, and where it starts anew."""

    definition: str
    levels: dict[int, Level]
    restarts: dict[int, int]


class Numbering:
    """Counts the numbered paragraphs of one document, in their order."""

    def __init__(self, numbering: Elements, styles: Elements) -> None:
        definitions = {
            attribute(one, "abstractNumId") or "": {
                number(attribute(level, "ilvl"), 0): level_of(level) for level in named(one, "lvl")
            }
            for one in named(numbering, "abstractNum")
        }
        self._nums = {
            attribute(one, "numId") or "": num_of(one, definitions)
            for one in named(numbering, "num")
        }
        self._styles = {
            attribute(style, "styleId") or "": (
                value_of(style, "basedOn"),
                child(style, "pPr", "numPr"),
            )
            for style in named(styles, "style")
        }
        #: The last number of each level, by definition: lists of one definition count on.
        self._counts: dict[str, dict[int, int]] = {}
        self._begun: set[tuple[str, int]] = set()

    def marker(self, properties: Element | None) -> str | None:
        """Return what stands before a paragraph, "" for nothing; None when it is in no list."""
        num, at, key = self._place(properties)
        level = None if num is None else num.levels.get(at)
        if num is None or level is None:
            return None
        counts = self._counts.setdefault(num.definition, {})
        if at in num.restarts and (key, at) not in self._begun:
            counts[at] = num.restarts[at]
        else:
            counts[at] = counts.get(at, level.start - 1) + 1
        self._begun.add((key, at))
        for deeper in range(at + 1, LEVELS):
            counts.pop(deeper, None)
        if level.format == BULLET:
            return BULLETED
        text = PLACE.sub(lambda place: shown(num, counts, level, int(place[1]) - 1), level.pattern)
        return text + " " * (level.spaced and bool(text))

    def _place(self, properties: Element | None) -> tuple[Num | None, int, str]:
        """Return a paragraph's list, level in it, and the list's key."""
        direct = child(properties, "numPr")
        styles = list(self._with_parents(value_of(properties, "pStyle")))
        places = [direct, *(self._styles[style][1] for style in styles)]
        key = next(filter(None, (value_of(place, "numId") for place in places)), "")
        num = self._nums.get(key)
        if num is not None and direct is None:  # the level that names the style, if one does
            levels = {level.style: at for at, level in num.levels.items() if level.style}
            if called := [style for style in styles if style in levels]:
                return num, levels[called[0]], key
        at = next(filter(None, (value_of(place, "ilvl") for place in places)), None)
        return num, number(at, 0), key

    def _with_parents(self, style: str | None) -> Iterator[str]:
        """Yield a style, and the ones it is based on."""
        for _ in range(MAX_PARENTS):
            if style is None or style not in self._styles:
                return
            yield style
            style = self._styles[style][0]


def shown(num: Num, counts: dict[int, int], level: Level, at: int) -> str:
    """Return the number of one level as it is part of another's."""
    part = num.levels.get(at, Level())
    count = counts.setdefault(at, part.start)
    return numeral(count, "decimal" if level.figures else part.format)


def num_of(element: Element, definitions: dict[str, dict[int, Level]]) -> Num:
    """Return a list with what it changes of its definition."""
    definition = value_of(element, "abstractNumId") or ""
    levels = dict(definitions.get(definition, {}))
    restarts: dict[int, int] = {}
    for change in named(element, "lvlOverride"):
        at = number(attribute(change, "ilvl"), 0)
        own, start = child(change, "lvl"), value_of(change, "startOverride")
        if own is not None:
            levels[at] = level_of(own)
        if start is not None:
            restarts[at] = number(start, 1)
    return Num(definition, levels, restarts)


def level_of(element: Element) -> Level:
    """Return how a level is numbered."""
    return Level(
        value_of(element, "numFmt") or "decimal",
        (value_of(element, "lvlText") or "")[:MAX_PATTERN],
        number(value_of(element, "start"), 1),
        value_of(element, "suff") != "nothing",
        value_of(element, "pStyle"),
        child(element, "isLgl") is not None,
    )


def named(elements: Elements, name: str) -> Iterator[Element]:
    """Yield the elements of a name."""
    return (one for one in elements if local(one) == name)


def value_of(element: Element | None, name: str) -> str | None:
    """Return the value of a property."""
    found = child(element, name)
    return None if found is None else attribute(found, "val")
