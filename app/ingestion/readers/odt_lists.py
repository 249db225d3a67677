"""The numbers OpenDocument puts before headings and items of lists (ODF 1.3 part 3, 5.3, 16.30).

They are not in the text, but in what its readers see and refer to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from app.ingestion.readers.archive import attribute, local, number
from app.ingestion.readers.numerals import numeral

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

BULLET, MAX_AFFIX, MAX_LEVEL = "- ", 20, 10
STYLES, OUTLINE = ("list-style", "outline-style"), "outline-style"
NUMBERED = ("list-level-style-number", "outline-level-style")


class Level(NamedTuple):
    """How one level is numbered; without a format it is not, unless by a bullet."""

    format: str = ""
    prefix: str = ""
    suffix: str = ""
    start: int = 1
    shown: int = 1  #: levels whose numbers are shown: its own, and those above
    bullet: bool = False


Levels = dict[int, Level]


class _List:
    """An open list: how it is numbered, how deep it is, and its last number."""

    def __init__(self, style: str, depth: int, last: int) -> None:
        self.style, self.depth, self.last = style, depth, last


class Lists:
    """Counts the headings and items of one document, in their order."""

    def __init__(self, *roots: Element | None) -> None:
        """Read the styles of the document's parts; later ones replace earlier ones."""
        styles = [
            style
            for root in roots
            if root is not None
            for group in root
            if local(group) in ("styles", "automatic-styles")
            for style in group
            if local(style) in STYLES
        ]
        self._styles: dict[str, Levels] = {name_of(style): levels_of(style) for style in styles}
        self._open: list[_List] = []
        self._marker = ""
        #: The last number of each style's outermost lists, for those that count on.
        self._last: dict[str, int] = {}
        self._headings: dict[int, int] = {}

    def enter(self, element: Element) -> None:
        """A list begins."""
        above = self._open[-1] if self._open else None
        style = attribute(element, "style-name") or (above.style if above else "")
        depth = above.depth + 1 if above else 1
        continues = attribute(element, "continue-numbering") == "true"
        continues |= attribute(element, "continue-list") is not None
        level = self._styles.get(style, {}).get(depth, Level())
        last = self._last.get(style, 0) if continues and depth == 1 else level.start - 1
        self._open.append(_List(style, depth, last))

    def leave(self) -> None:
        """The list ends."""
        ended = self._open.pop()
        if not self._open:
            self._last[ended.style] = ended.last
        self._marker = ""

    def begin(self, item: Element) -> None:
        """An item begins: its first paragraph has the marker."""
        if self._open:
            current = self._open[-1]
            current.last = number(attribute(item, "start-value"), current.last + 1)
            levels = self._styles.get(current.style, {})
            counts = {one.depth: one.last for one in self._open}
            self._marker = marker(levels, current.depth, counts)

    def take(self) -> str:
        """Return what stands before the paragraph that begins now."""
        taken, self._marker = self._marker, ""
        return taken

    def heading(self, level: int) -> str:
        """Return what stands before a heading that is in no list."""
        levels = self._styles.get(OUTLINE, {})
        if level not in levels or not levels[level].format:
            return ""
        self._headings[level] = self._headings.get(level, levels[level].start - 1) + 1
        for deeper in range(level + 1, MAX_LEVEL + 1):
            self._headings.pop(deeper, None)
        return marker(levels, level, self._headings)


def name_of(style: Element) -> str:
    """Return the name by which a style is looked up."""
    return OUTLINE if local(style) == OUTLINE else attribute(style, "name") or ""


def levels_of(style: Element) -> Levels:
    """Return how each level of a style is numbered."""
    found: Levels = {}
    for one in style:
        at = number(attribute(one, "level"), 0)
        if local(one) in NUMBERED:
            found[at] = Level(
                attribute(one, "num-format") or "",
                (attribute(one, "num-prefix") or "")[:MAX_AFFIX],
                (attribute(one, "num-suffix") or "")[:MAX_AFFIX],
                number(attribute(one, "start-value"), 1),
                number(attribute(one, "display-levels"), 1),
            )
        elif local(one) == "list-level-style-bullet":
            found[at] = Level(bullet=True)
    return found


def marker(levels: Levels, at: int, counts: dict[int, int]) -> str:
    """Return what stands before an item or heading of a level."""
    level = levels.get(at, Level())
    if not level.format:
        return BULLET if level.bullet else ""
    parts = [
        numeral(counts.get(one, levels[one].start), levels[one].format)
        for one in range(max(1, at - level.shown + 1), at + 1)
        if one in levels and levels[one].format
    ]
    return f"{level.prefix}{'.'.join(parts)}{level.suffix} "
