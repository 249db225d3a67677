"""Markdown (CommonMark and tables): the text without its marks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from app.infra.confinement import Refused
from app.ingestion.readers import html
from app.ingestion.readers.charset import decode
from app.ingestion.readers.content import Block, Content, Hidden
from app.ingestion.readers.looks import Styles, rules_in
from app.ingestion.readers.tables import table_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from markdown_it.token import Token

    from app.ingestion.readers.tables import Row

#: YAML that other tools put before the text; without this it would be a heading.
FRONT = re.compile(r"---\n(.{0,8000}?)\n(?:---|\.\.\.)\n", re.DOTALL)
BREAKS = {"softbreak": " ", "hardbreak": "\n"}
VERBATIM = ("fence", "code_block")


def read(data: bytes, _limits: Mapping[str, int]) -> Content:
    """Return the text's content; the first heading of level 1 is its title."""
    text = decode(data).replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    front = FRONT.match(text)
    found = [Block(front[1])] if front else []
    reader = Reader()
    found += reader.blocks(text[front.end() :] if front else text)
    title = next((block.text for block in found if block.level == 1), "")
    return Content(found, title, hidden=reader.hidden)


class Reader:
    """Walks the tokens of one text."""

    def __init__(self) -> None:
        # Inline tokens are made one block at a time: those of a whole file would fill the memory.
        self._parser = MarkdownIt("commonmark").enable("table").disable("inline")
        self._marker = ""
        self._tight = False
        self._lists: list[int | None] = []
        #: Hidden text, as far as the blocks were read.
        self.hidden = Hidden()

    def blocks(self, text: str) -> Iterator[Block]:
        """Yield the blocks of a text."""
        tokens = iter(self._parser.parse(text))
        level = 0
        for token in tokens:
            if token.type == "heading_open":
                level = int(token.tag[1:])
            elif token.type == "inline":
                yield self._block(self._plain(token.content), level)
                level = 0
            elif token.type in VERBATIM:
                yield self._block(token.content, 0)
            elif token.type == "html_block":
                yield from markup(token.content, self.hidden)
            elif token.type == "table_open":
                yield from table_blocks(*self._table(tokens))
            else:
                self._list(token)

    def _block(self, text: str, level: int) -> Block:
        block = Block(self._marker + text, level, tight=self._tight and not level)
        self._marker, self._tight = "", False
        return block

    def _list(self, token: Token) -> None:
        """Keep count of lists and their items."""
        if token.type in ("bullet_list_open", "ordered_list_open"):
            ordered = token.type.startswith("ordered")
            self._lists.append(int(token.attrGet("start") or 1) if ordered else None)
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            self._lists.pop()
        elif token.type == "list_item_open":
            count = self._lists[-1]
            self._marker, self._tight = ("- " if count is None else f"{count}. "), True
            if count is not None:
                self._lists[-1] = count + 1

    def _table(self, tokens: Iterator[Token]) -> tuple[list[Row], int]:
        """Return a table's rows, the first of which is its header."""
        rows: list[Row] = []
        for token in tokens:
            if token.type == "table_close":
                break
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline":
                rows[-1].append(self._plain(token.content))
        return rows, 1

    def _plain(self, text: str) -> str:
        """Return an inline text without its marks; of an image, the description."""
        tokens: list[Token] = []
        self._parser.inline.parse(text, self._parser, {}, tokens)
        return "".join(plain(tokens))


def plain(tokens: Sequence[Token]) -> Iterator[str]:
    """Yield the words of inline tokens; a line break in HTML is one here too."""
    for token in tokens:
        if token.type == "html_inline":
            yield "\n" if token.content.lower().startswith("<br") else ""
        elif token.type in BREAKS:
            yield BREAKS[token.type]
        elif token.type == "image" and token.children:
            yield from plain(token.children)
        else:
            yield token.content


def markup(text: str, hidden: Hidden) -> Iterator[Block]:
    """Yield the blocks of HTML inside the text; a comment has none."""
    try:
        tree = html.parse_html(text)
        yield from html.blocks(tree, hidden, Styles(rules_in(tree)))
    except Refused:
        return
