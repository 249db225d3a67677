"""Web pages: what a reader sees, in order; no scripts, no navigation, tables as rows.

The tree is walked without recursion, since a page may nest as deeply as it likes.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from lxml import etree

from app.infra.confinement import Refused
from app.ingestion.readers.archive import local, number, texts_in
from app.ingestion.readers.charset import decode
from app.ingestion.readers.content import Block, Content, Hidden, one_line
from app.ingestion.readers.looks import Look, Styles, rules_in
from app.ingestion.readers.numerals import numeral
from app.ingestion.readers.tables import Grid, table_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lxml.etree import _Element as Element

UNREAD = frozenset(("script", "style", "template", "head", "noscript", "nav", "svg", "iframe",
                    "object", "select", "button", "textarea", "audio", "video", "canvas",
                    "datalist", "rt", "rp", "annotation", "annotation-xml"))  # fmt: skip
HEADINGS = {f"h{level}": level for level in range(1, 7)}
INLINE = frozenset(("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del",
                    "dfn", "em", "font", "i", "ins", "kbd", "label", "mark", "math", "q", "ruby",
                    "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt",
                    "u", "var", "wbr", "img", "br", "input", "picture", "source", "area", "map",
                    "nobr", "rb", "semantics", "mi", "mo", "mn", "ms", "mtext", "mrow", "mfrac",
                    "msup", "msub", "msubsup", "mover", "munder", "munderover", "msqrt", "mroot",
                    "mstyle", "mpadded", "mspace", "menclose", "mphantom"))  # fmt: skip
TIGHT = ("li", "dd", "dt", "tr", "option")
#: Tables that hold these, or a cell as long as this, place text on a page: they are no tables.
LAYOUT, MAX_CELL = ("table", "h1", "h2", "h3", "form"), 1_500
SKIPPED_ROLES = ("navigation", "search", "menu")
#: A page that hides all of itself is shown by its script.
WHOLE = ("html", "body")


def read(data: bytes, _limits: Mapping[str, int]) -> Content:
    """Return the page's content.

    Raises:
        Refused: ``damaged`` when there is no element in it.
    """
    root = parse_html(decode(data, declared=True))
    title = next(root.iter("title"), None)
    author = next((m for m in root.iter("meta") if m.get("name", "").lower() == "author"), None)
    hidden = Hidden()
    return Content(
        blocks(root, hidden, Styles(rules_in(root))),
        one_line(title.text or "") if title is not None else "",
        author.get("content", "") if author is not None else "",
        hidden=hidden,
    )


def parse_html(text: str) -> Element:
    """Return the root of the tree a lenient parser makes of the text.

    Raises:
        Refused: ``damaged`` when it makes none, ``memory``.
    """
    parser = etree.HTMLParser(
        encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=True
    )
    try:
        data = text.replace("\0", "").encode("utf-8", "replace")
        root: Element | None = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        out_of_memory = getattr(error, "code", 0) == etree.ErrorTypes.ERR_NO_MEMORY
        raise Refused("memory" if out_of_memory else "no_text") from error
    if root is None:
        raise Refused("no_text")
    return root


def blocks(root: Element, hidden: Hidden, styles: Styles) -> Iterator[Block]:
    """Yield the tree's blocks; what is hidden in it is counted in ``hidden``."""
    return Walk(hidden, styles).blocks(root)


class Walk:
    """One walk over a tree: text is gathered until an element begins or ends a block."""

    def __init__(self, hidden: Hidden, styles: Styles, around: Look | None = None) -> None:
        """``around`` is how the element looks in which the tree stands."""
        self._hidden = hidden
        self._styles = styles
        #: Of the elements that are open.
        self._looks = [around or Look()]
        self._parts: list[str] = []
        self._level = 0
        self._tight = False
        self._pre = 0
        #: Open lists: the next number of an ordered one and its format, None of another.
        self._lists: list[tuple[int, str] | None] = []

    def blocks(self, root: Element) -> Iterator[Block]:
        """Yield the blocks below ``root``."""
        walk = etree.iterwalk(root, events=("start", "end"))
        for event, element in walk:
            name = local(element)
            if event == "end":
                if not self._looks.pop().gone:
                    yield from self._leave(name)
                if element is not root:
                    self._write(element.tail)
            elif not self._see(element, name):
                walk.skip_subtree()
            elif name == "table" and (rows := self._table_rows(element)) is not None:
                yield from self._flush()
                yield from self._caption(element)
                yield from table_blocks(*rows)
                walk.skip_subtree()
            else:
                yield from self._enter(element, name)
        yield from self._flush()

    def _see(self, element: Element, name: str) -> bool:
        """Note how an element looks; whether its readers see anything of it."""
        if is_unread(element, name) or (self._level and is_permalink(element, name)):
            look = Look(gone=True)
        else:
            look = self._styles.look(element, self._looks[-1])
            if name in WHOLE:
                look = look._replace(gone=False, visible=True, legible=True)
            if look.gone:
                self._hidden.note(texts_in(element))
        self._looks.append(look)
        return not look.gone

    def _enter(self, element: Element, name: str) -> Iterator[Block]:
        if name == "br":
            self._parts.append("\n")
        elif name == "img":
            self._write(f" {element.get('alt', '')} ")
        elif name in INLINE:
            self._parts.append("/" * is_denominator(element))
        else:
            yield from self._flush()
            self._level = HEADINGS.get(name, 0)
            self._open(element, name)
        self._write(element.text)

    def _open(self, element: Element, name: str) -> None:
        """Note what the element means for the text in it."""
        if name in ("ul", "ol"):
            counted = (number(element.get("start"), 1), element.get("type", "1"))
            self._lists.append(counted if name == "ol" else None)
        elif name == "pre":
            self._pre += 1
        elif name == "li" and self._looks[-1].shows:
            self._parts.append(self._marker(element))
        self._tight = name in TIGHT

    def _marker(self, item: Element) -> str:
        """Return what stands before an item, and count it."""
        counted = self._lists[-1] if self._lists else None
        if counted is None:
            return "- "
        count, format = number(item.get("value"), counted[0]), counted[1]
        self._lists[-1] = count + 1, format
        return f"{numeral(count, format)}. "

    def _leave(self, name: str) -> Iterator[Block]:
        if name in INLINE:
            return
        yield from self._flush()
        self._level = 0
        if name in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif name == "pre":
            self._pre = max(0, self._pre - 1)

    def _write(self, text: str | None) -> None:
        if not text:
            return
        if not self._looks[-1].shows:
            self._hidden.note([text])
            return
        if self._pre:
            self._parts.append(text)
            return
        before = " " if text[0].isspace() else ""
        after = " " if text[-1].isspace() else ""
        self._parts.append(f"{before}{one_line(text)}{after}")

    def _flush(self) -> Iterator[Block]:
        text = "".join(self._parts)
        self._parts = []
        if text.strip():
            yield Block(text, self._level, tight=self._tight and not self._level)
            self._tight = False

    def _caption(self, table: Element) -> Iterator[Block]:
        """Yield what stands above a table."""
        caption = next((one for one in table if local(one) == "caption"), None)
        if caption is not None:
            yield Block(self._cell_text(caption, self._looks[-1]))

    def _table_rows(self, table: Element) -> tuple[list[list[str | None]], int | None] | None:
        """Return a table's rows and how many are its header; None when it only places text."""
        if next(table.iterdescendants(*LAYOUT), None) is not None:
            return None
        grid, before = Grid(), self._hidden.chars
        headers, counting = 0, True
        for row in table.iter("{*}tr"):
            look = self._look_below(table, row)
            if look.gone:
                self._hidden.note(texts_in(row))
                continue
            cells = [cell for cell in row if local(cell) in ("td", "th")]
            texts = [self._cell_text(cell, look) for cell in cells]
            if any(len(text) > MAX_CELL for text in texts):
                self._hidden.chars = before
                return None
            grid.add([
                (text, number(cell.get("colspan"), 1), number(cell.get("rowspan"), 1))
                for text, cell in zip(texts, cells, strict=True)
            ])  # fmt: skip
            parent = row.getparent()
            in_head = parent is not None and local(parent) == "thead"
            counting &= in_head or (bool(cells) and all(local(cell) == "th" for cell in cells))
            headers += counting
        if max(map(len, grid.rows), default=0) <= 1:
            self._hidden.chars = before
            return None
        return grid.rows, headers or None

    def _look_below(self, table: Element, row: Element) -> Look:
        """Return the look of a row, which may lie in a group of rows; the table's is the last."""
        look = self._looks[-1]
        between = takewhile(lambda above: above is not table, row.iterancestors())
        for element in (*reversed([*between]), row):
            look = look if look.gone else self._styles.look(element, look)
        return look

    def _cell_text(self, cell: Element, around: Look) -> str:
        """Return a cell's text in one line."""
        walk = Walk(self._hidden, self._styles, around)
        return " ".join(one_line(block.text) for block in walk.blocks(cell))


def is_unread(element: Element, name: str) -> bool:
    """Whether an element holds nothing that a reader of the page reads."""
    if not name or name in UNREAD:
        return True
    return element.get("role") in SKIPPED_ROLES or element.get("aria-hidden") == "true"


def is_permalink(element: Element, name: str) -> bool:
    """Whether an element of a heading is the sign by which a link to the heading is got."""
    return (
        name == "a"
        and "#" in element.get("href", "")
        and not any(map(str.isalnum, "".join(texts_in(element))))
    )


def is_denominator(element: Element) -> bool:
    """Whether an element is the lower half of a fraction."""
    above = element.getparent()
    return above is not None and local(above) == "mfrac" and element.getprevious() is not None
