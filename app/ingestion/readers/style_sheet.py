"""Style sheets, as far as they can hide text (CSS 2.1, and what pages use beyond it).

Selectors of tags, classes and ids are understood, below each other or not. One that asks for more
(an attribute, a state, a sibling) may show text and never hide it: in doubt, text is seen.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from app.ingestion.readers.archive import local

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lxml.etree import _Element as Element

    #: Property → whether it is important, value.
    Declared = Mapping[str, tuple[bool, str]]
    #: What an element must have, as ``keys_of`` has it, and the combinator to the left of that.
    Step = tuple[frozenset[str], str]

#: Properties that can hide text; shorthands count as what they can hide with.
KEPT = {name: name for name in (
    "display", "visibility", "opacity", "font-size", "color", "background-color", "text-indent",
    "left", "top", "right", "bottom", "margin-left", "margin-top", "clip", "clip-path", "animation",
)} | {"background": "background-color", "animation-name": "animation"}  # fmt: skip
#: The size in ``font: bold 0/0 serif``.
FONT_SIZE = re.compile(r"(?:^|\s)(0|\d*\.?\d+(?:[a-z]{1,4}|%))(?=[\s/])")
IMPORTANT = re.compile(r"\s*!\s*important$")
COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
TOKEN = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?|[{};]|[^{};\"']+", re.DOTALL)
AT_RULE = re.compile(r"@([\w-]+)\s*(.*)", re.DOTALL)
#: At-rules whose inner rules always count.
GROUPS = ("supports", "layer", "scope", "container")
#: Pages are read as on a wide screen, whose width is this many pixels; an em has so many.
SCREEN, EM = 1280, 16
MEDIA = ("", "all", "screen", "only screen", "only all")
WIDTH = re.compile(r"\(\s*(min|max)-width\s*:\s*(\d{0,6}\.?\d{1,6})(px|em|rem)\s*\)")
_NAME = r"(?:[\w-]|[^\x00-\x7f]|\\[^\n])+"
PART = re.compile(
    rf"(?P<gap>\s*[>+~]\s*|\s+)|(?P<tag>{_NAME}|\*)|(?P<key>[.#]{_NAME})"
    r"|(?P<test>\[[^\]]*\]|:[\w-]+(?:\((?:[^()]|\([^()]*\))*\))?)"
)
#: Between selectors, but not in what a pseudo-class is given.
COMMA = re.compile(r",(?![^()]*\))")
#: Written with one colon before there were two.
PSEUDO_ELEMENTS = (":before", ":after", ":first-line", ":first-letter")
#: Longer selectors are passed over; elements further up are not looked for.
MAX_STEPS, MAX_UP = 5, 64


class Selector(NamedTuple):
    """Which elements a rule is about."""

    steps: Sequence[Step]  #: the innermost first
    certain: bool  #: it asks for nothing that is not understood
    weight: tuple[int, int, int]  #: its specificity

    def matches(self, element: Element) -> bool:
        """Whether the rule is about an element."""
        return _fits(self.steps, element)


class Rule(NamedTuple):
    """What is said of the elements a selector selects."""

    selector: Selector
    declared: Declared


class _Block(NamedTuple):
    """What stands between braces."""

    selectors: Sequence[Selector]
    counts: bool  #: whether rules in it count
    declared: dict[str, tuple[bool, str]]


def rules_of(css: str) -> Iterator[Rule]:
    """Yield the rules that hold on a wide screen, in their order; what makes no sense is none."""
    blocks = [_Block((), counts=True, declared={})]
    parts: list[str] = []
    for mark in TOKEN.findall(COMMENT.sub(" ", css)):
        if mark not in ("{", "}", ";"):
            parts.append(mark)
            continue
        text = "".join(parts).strip()
        parts = []
        if mark == "{":
            blocks.append(_begun(text, blocks[-1]))
            continue
        _declare(text, blocks[-1].declared)
        if mark == "}" and len(blocks) > 1:
            yield from _ended(blocks.pop())
        elif mark == "}":
            parts = [mark]  # it spoils the rule that follows
    # The end of a sheet closes what is open.
    _declare("".join(parts), blocks[-1].declared)
    while blocks:
        yield from _ended(blocks.pop())


def _begun(prelude: str, outer: _Block) -> _Block:
    """What a brace opens; a rule within a rule is passed over."""
    at_rule = AT_RULE.match(prelude)
    if at_rule is None:
        selectors = selectors_of(prelude) if outer.counts else ()
        return _Block(selectors, counts=False, declared={})
    name, condition = at_rule[1].lower(), at_rule[2]
    counts = name in GROUPS or (name == "media" and applies(condition))
    return _Block((), counts=outer.counts and counts, declared={})


def _ended(block: _Block) -> Iterator[Rule]:
    if block.declared:
        for selector in block.selectors:
            yield Rule(selector, block.declared)


def declarations(text: str) -> Declared:
    """Return what an element's own ``style`` declares."""
    declared: dict[str, tuple[bool, str]] = {}
    for part in COMMENT.sub(" ", text).split(";"):
        _declare(part, declared)
    return declared


def _declare(text: str, declared: dict[str, tuple[bool, str]]) -> None:
    """Note one declaration, if it is of a property that is kept."""
    name, _, value = text.partition(":")
    name, value = name.strip().lower(), " ".join(value.lower().split())
    if name == "font" and (size := FONT_SIZE.search(value)):
        important = IMPORTANT.search(value) is not None
        name, value = "font-size", size[1] + " !important" * important
    if name in KEPT:
        plain = IMPORTANT.sub("", value)
        important = plain != value
        if important or not declared.get(KEPT[name], (False, ""))[0]:
            declared[KEPT[name]] = important, plain


def applies(query: str) -> bool:
    """Whether a media query holds on a wide screen; what is not understood does not."""
    return any(
        all(_holds(part.strip()) for part in re.split(r"\band\b", one))
        for one in query.lower().split(",")
    )


def _holds(feature: str) -> bool:
    width = WIDTH.fullmatch(feature)
    if width is None:
        return feature in MEDIA
    pixels = float(width[2]) * (1 if width[3] == "px" else EM)
    return pixels <= SCREEN if width[1] == "min" else pixels >= SCREEN


def selectors_of(text: str) -> list[Selector]:
    """Return the selectors of a list that are understood."""
    found = (selector_of(part.strip()) for part in COMMA.split(text))
    return [selector for selector in found if selector is not None]


def selector_of(text: str) -> Selector | None:
    """Return a selector; None when it selects no element, or none that we could tell."""
    steps: list[tuple[set[str], str]] = [(set(), "")]
    certain, tests, at = True, 0, 0
    while at < len(text):
        part = PART.match(text, at)
        if part is None or len(steps) > MAX_STEPS or part["test"] in PSEUDO_ELEMENTS:
            return None
        at = part.end()
        if part["test"]:
            certain, tests = False, tests + 1
        elif part["gap"] and (link := part["gap"].strip()) in ("+", "~"):
            # What stands beside an element is not looked at.
            certain, steps[-1] = False, (set(), steps[-1][1])
        elif part["gap"]:
            steps.append((set(), link))
        elif (key := part["key"] or part["tag"].lower()) != "*":
            steps[-1][0].add(key.replace("\\", ""))
    kinds = Counter(key[0] for keys, _ in steps for key in keys)
    ids, classes = kinds["#"], kinds["."]
    weight = ids, classes + tests, kinds.total() - ids - classes
    innermost_first = [(frozenset(keys), link) for keys, link in reversed(steps)]
    return Selector(innermost_first, certain, weight) if text else None


def keys_of(element: Element) -> frozenset[str]:
    """Return what selectors can ask of an element: its tag, ``.class`` and ``#id``."""
    classes = (f".{name}" for name in element.get("class", "").split())
    return frozenset((local(element).lower(), f"#{element.get('id', '')}", *classes))


def _fits(steps: Sequence[Step], element: Element) -> bool:
    keys, link = steps[0]
    if not keys <= keys_of(element):
        return False
    if len(steps) == 1:
        return True
    if link == ">":
        parent = element.getparent()
        return parent is not None and _fits(steps[1:], parent)
    return any(_fits(steps[1:], above) for above in islice(element.iterancestors(), MAX_UP))
