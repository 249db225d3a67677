"""How elements of a web page look, as far as that tells whether their text is seen.

What styles cannot say without drawing the page is taken to be seen: a colour before an unknown
ground, a box cut by another, whatever a script or a pointer changes.
"""

from __future__ import annotations

import re
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from app.ingestion.readers.archive import texts_in
from app.ingestion.readers.style_sheet import applies, declarations, keys_of, rules_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lxml.etree import _Element as Element

    from app.ingestion.readers.style_sheet import Declared, Rule

    Color = tuple[int, int, int]

_FAR = re.compile(r"-\d{4,}[a-z.\d]*|-\d{3,}(?:\.\d+)?(?:em|rem|vw|vh)")
#: Values that hide an element with all that is in it.
GONE = {
    "display": re.compile("none"),
    "opacity": re.compile(r"0?\.?0+%?"),
    "text-indent": re.compile(r"-\d{3,}[a-z.\d]*"),
    "clip": re.compile(r"rect\((?:[01](?:px)?[ ,]*){4}\)"),
    "clip-path": re.compile(r"inset\((?:[5-9]\d|100)%.*|circle\(0.*"),
    **dict.fromkeys(("left", "top", "right", "bottom", "margin-left", "margin-top"), _FAR),
}
#: Values that hide its text, and that of elements in it which say nothing else.
UNSEEN = {
    "visibility": re.compile("hidden|collapse"),
    "font-size": re.compile(r"[01]?(?:\.\d+)?(?:px|pt)|0?\.?0+[a-z%]*"),
}
#: Sizes that are a part of the size around them, and words that are the value around them.
RELATIVE = re.compile(r"[\d.]+(?:em|%)")
INHERITED = ("inherit", "unset", "currentcolor")
COLORS = ("color", "background-color")
#: Names of colours that look like the page, and of the other one that people mean.
NAMED = {
    "white": (255, 255, 255), "snow": (255, 250, 250), "ivory": (255, 255, 240),
    "ghostwhite": (248, 248, 255), "whitesmoke": (245, 245, 245), "azure": (240, 255, 255),
    "floralwhite": (255, 250, 240), "mintcream": (245, 255, 250), "black": (0, 0, 0),
    "aliceblue": (240, 248, 255), "seashell": (255, 245, 238),
}  # fmt: skip
HEX = re.compile(r"#(?:([0-9a-f]{6})([0-9a-f]{2})?|([0-9a-f]{3})([0-9a-f])?)")
RGB = re.compile(r"rgba?\(([^()]{1,60})\)")
NUMBER = re.compile(r"(\d{1,4}(?:\.\d{0,9})?|\.\d{1,9})(%?)")
WORD = re.compile(r"[a-z#][\w#-]*(?:\([^()]*\))?")
#: Like no colour: of what is not drawn. A smaller share of colour than this is not seen.
FAINT, LEAST_ALPHA = (-999, 0, 0), 0.05
#: A difference of colour, 0..255 in each channel, that nobody sees.
ALIKE = 16
#: Rules that are kept of a page.
MAX_RULES = 5_000
#: Beside rules: what an attribute says comes before them, an element's own style after.
FIRST, LAST = (-1, 0, 0), (1_000_000, 0, 0)


class Look(NamedTuple):
    """How an element and its text look."""

    gone: bool = False  #: the element is not there for its readers, nor what is in it
    visible: bool = True
    legible: bool = True
    color: Color | None = None  #: None is not known, here and below
    ground: Color | None = None

    @property
    def shows(self) -> bool:
        """Whether text of the element is seen."""
        if self.gone or not (self.visible and self.legible):
            return False
        return self.color != FAINT and not alike(self.color, self.ground)


class Styles:
    """The rules of one page."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules: dict[str, list[tuple[int, Rule]]] = {}
        for order, rule in enumerate(islice(rules, MAX_RULES)):
            keys = rule.selector.steps[0][0]
            rarest = min(keys, key=_commonness, default="*")
            self._rules.setdefault(rarest, []).append((order, rule))

    def look(self, element: Element, around: Look) -> Look:
        """Return an element's look, given that of the element around it."""
        if not (element.attrib or self._rules):
            return around
        if "hidden" in element.attrib:
            return around._replace(gone=True)
        values = self._values(element)
        if not values:
            return around
        return Look(
            gone=any(
                pattern.fullmatch(values[name])
                for name, pattern in GONE.items()
                if name in values and not (name == "opacity" and "animation" in values)
            ),
            visible=_still("visibility", values, around.visible),
            legible=_still("font-size", values, around.legible),
            color=_color(values["color"], around.color) if "color" in values else around.color,
            ground=_ground(values.get("background-color", "none"), around.ground),
        )

    def _values(self, element: Element) -> dict[str, str]:
        """Return the values of the properties that can hide an element's text."""
        found = list(self._declared(element))
        found.sort(key=lambda one: one[:2])
        values: dict[str, str] = {}
        important: set[str] = set()
        for _, _, certain, declared in found:
            for name, (insists, value) in declared.items():
                if (name in important and not insists) or not (certain or not hides(name, value)):
                    continue
                values[name] = value if certain or name not in COLORS else ""
                if insists:
                    important.add(name)
        return values

    def _declared(
        self, element: Element
    ) -> Iterator[tuple[tuple[int, int, int], float, bool, Declared]]:
        """Yield weight, place, whether it is certain, and what is declared."""
        for attribute, name in (("bgcolor", "background-color"), ("color", "color")):
            if value := element.get(attribute):
                yield FIRST, 0, True, {name: (False, value.strip().lower())}
        if self._rules:
            for key in (*keys_of(element), "*"):
                for order, rule in self._rules.get(key, ()):
                    if rule.selector.matches(element):
                        yield rule.selector.weight, order, rule.selector.certain, rule.declared
        if style := element.get("style"):
            yield LAST, inf, True, declarations(style)


def hides(name: str, value: str) -> bool:
    """Whether a value hides text, whatever its surroundings."""
    pattern = GONE.get(name) or UNSEEN.get(name)
    return pattern is not None and pattern.fullmatch(value) is not None


def rules_in(root: Element) -> Iterator[Rule]:
    """Yield the rules of the ``style`` elements of a page."""
    for sheet in root.iter("{*}style"):
        if applies(sheet.get("media", "")) and "css" in sheet.get("type", "text/css").lower():
            yield from rules_of("".join(texts_in(sheet)))


def _still(name: str, values: dict[str, str], around: bool) -> bool:
    """Whether a property lets text be seen, which it may leave to the element around."""
    value = values.get(name, "inherit")
    if value in INHERITED or (RELATIVE.fullmatch(value) and not around):
        return around
    return not hides(name, value)


def _commonness(key: str) -> int:
    return {"#": 0, ".": 1}.get(key[0], 2)


def _color(value: str, around: Color | None) -> Color | None:
    return around if value in INHERITED else color_of(value)


def _ground(value: str, around: Color | None) -> Color | None:
    """Return what text stands before; a picture is not known."""
    if "url(" in value or "gradient(" in value:
        return None
    if value in ("none", "transparent", *INHERITED):
        return around
    colors = (color_of(word) for word in WORD.findall(value))
    found = next((color for color in colors if color), None)
    return around if found == FAINT else found


def color_of(text: str) -> Color | None:
    """Return a colour's red, green and blue; ``FAINT`` of a transparent one."""
    if text == "transparent":
        return FAINT
    if found := HEX.fullmatch(text):
        digits = found[1] or "".join(2 * digit for digit in found[3])
        alpha = found[2] or 2 * (found[4] or "f")
        red, green, blue = bytes.fromhex(digits)
        return FAINT if int(alpha, 16) < LEAST_ALPHA * 255 else (red, green, blue)
    if found := RGB.fullmatch(text):
        parts = NUMBER.findall(found[1])
        shares = [float(number) * (2.55 if percent else 1) for number, percent in parts]
        if len(shares) not in (3, 4):
            return None
        alpha = sum(shares[3:]) / (255 if parts[-1][1] else 1) if shares[3:] else 1
        red, green, blue = map(round, shares[:3])
        return FAINT if alpha < LEAST_ALPHA else (red, green, blue)
    return NAMED.get(text)


def alike(one: Color | None, other: Color | None) -> bool:
    """Whether two colours are known and look the same."""
    if one is None or other is None:
        return False
    return all(abs(a - b) <= ALIKE for a, b in zip(one, other, strict=True))
