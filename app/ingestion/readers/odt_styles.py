"""Whether text is seen, as the styles of an OpenDocument text tell (ODF 1.3 part 3, 16, 20)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from app.ingestion.readers.archive import attribute, child, local
from app.ingestion.readers.looks import alike, color_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml.etree import _Element as Element

    from app.ingestion.readers.looks import Color

    Properties = dict[str, str]

WHITE = (255, 255, 255)
PAGE = "{*}page-layout-properties"
#: What text stands before, the nearest first.
GROUNDS = ("text-background", "background-color")
#: Elements with a style of text, by its family.
FAMILIES = {"p": "paragraph", "h": "paragraph", "span": "text", "a": "text"}
#: What may have another ground than the page's.
BACKED = ("table-cell", "text-box", "section")
SIZE = re.compile(r"(\d{1,5}(?:\.\d{1,9})?)(pt|px|in|cm|mm)")
POINTS = {"pt": 1.0, "px": 0.75, "in": 72.0, "cm": 28.35, "mm": 2.835}
#: In points.
LEAST_SIZE = 2.0
#: Styles are made of others, which are made of others; a loop of them ends here.
MAX_PARENTS = 10


class Ink(NamedTuple):
    """How text is written; a ground of None is not known."""

    displayed: bool = True
    legible: bool = True
    color: Color | None = None
    ground: Color | None = WHITE

    @property
    def shows(self) -> bool:
        """Whether it is seen."""
        return self.displayed and self.legible and not alike(self.color, self.ground)


class Styles:
    """The styles of one document, by family and name."""

    def __init__(self, *roots: Element | None) -> None:
        """Read the styles of the document's parts; later ones replace earlier ones."""
        self._styles = {
            (attribute(style, "family"), attribute(style, "name")): style
            for root in roots
            if root is not None
            for group in root
            if local(group) in ("styles", "automatic-styles")
            for style in group
            if local(style) == "style"
        }
        self._known: dict[tuple[str, str], Properties] = {}
        pages = [one for root in roots if root is not None for one in root.iter(PAGE)]
        grounds = {attribute(page, "background-color") or "transparent" for page in pages}
        self._page = WHITE if grounds <= {"transparent", "#ffffff"} else None

    def ink(self, element: Element, around: Ink | None) -> Ink:
        """Return how an element's text is written, given that of the text around it."""
        if around is None:
            backed = any(local(above) in BACKED for above in element.iterancestors())
            around = Ink(ground=None if backed else self._page)
        family, name = FAMILIES.get(local(element)), attribute(element, "style-name")
        if family is None or name is None:
            return around
        said = self._properties(family, name)
        size = SIZE.fullmatch(said.get("font-size", ""))
        color = around.color
        if said.get("use-window-font-color") == "true":
            color = None
        elif "color" in said:
            color = color_of(said["color"].lower())
        grounds = (color_of(said[key].lower()) for key in GROUNDS if key in said)
        return Ink(
            displayed=said.get("display", "true") != "none" and said.get("opacity") != "0%",
            legible=float(size[1]) * POINTS[size[2]] >= LEAST_SIZE if size else around.legible,
            color=color,
            ground=next(grounds, around.ground),
        )

    def _properties(self, family: str, name: str) -> Properties:
        """Return what a style says of text, with what those say that it is made of."""
        if (family, name) not in self._known:
            found: Properties = {}
            for style in reversed([*self._chain(family, name)]):
                for kind in ("paragraph-properties", "text-properties"):
                    properties = child(style, kind)
                    if properties is not None:
                        found |= _said(properties, kind)
            self._known[family, name] = found
        return self._known[family, name]

    def _chain(self, family: str, name: str | None) -> Iterator[Element]:
        for _ in range(MAX_PARENTS):
            style = self._styles.get((family, name))
            if style is None:
                return
            yield style
            name = attribute(style, "parent-style-name")


def _said(properties: Element, kind: str) -> Properties:
    """Return attributes by their local names; a transparent ground says nothing."""
    found = {str(key).rpartition("}")[2]: str(value) for key, value in properties.attrib.items()}
    if found.get("background-color") == "transparent":
        del found["background-color"]
    if kind == "text-properties" and "background-color" in found:
        found["text-background"] = found.pop("background-color")
    return found
