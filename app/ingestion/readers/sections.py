"""Blocks in, pages out, for formats that have no paper: cut where the content says, not the count.

A page's SHA-256 tells whether it has changed, so where pages begin must not depend on what stands
before them: at headings, and within a long section at paragraphs chosen by their own checksum (as
rsync and LBFS cut files). An edit then changes the pages of one section.
"""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from app.infra.confinement import Refused
from app.ingestion.readers.content import Block, one_line, tidy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from app.ingestion.readers.content import Content

#: Characters of a page; two to three sheets of paper.
PAGE_CHARS = 6_000
#: In the second half of a page, one block in so many ends it.
CUT_ONE_IN = 16
#: A longer "heading" is a paragraph in a heading's dress.
#: Deeper levels count as this one.
MAX_LEVEL = 6
MAX_HEADING, MAX_PATH = 200, 500
#: Boundaries at which a block too long for a page is cut, best first.
BOUNDARIES = ("\n", ". ", " ")


class Section(NamedTuple):
    """One page: its text and its headings' start, end and path; None when they are not known."""

    text: str
    headings: list[tuple[int, int, str]] | None


class Path:
    """The headings in force, outermost first."""

    def __init__(self) -> None:
        self._levels: list[tuple[int, str]] = []

    def enter(self, level: int, text: str) -> None:
        """Note a heading; it ends all of its level and deeper."""
        while self._levels and self._levels[-1][0] >= level:
            self._levels.pop()
        self._levels.append((level, text))

    def __str__(self) -> str:
        return " > ".join(text for _, text in self._levels)[-MAX_PATH:]


class Sheet:
    """The page being filled."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: list[str] = []
        self._headings: list[tuple[int, int, str]] = []
        self.chars = 0
        self.has_body = False

    def add(self, block: Block) -> None:
        """Write a block below what is there."""
        if self._parts:
            gap = "\n" if block.tight else "\n\n"
            self._parts.append(gap)
            self.chars += len(gap)
        elif str(self._path) and not block.level:
            self._headings.append((0, 0, str(self._path)))
        start, self.chars = self.chars, self.chars + len(block.text)
        self._parts.append(block.text)
        if block.level:
            self._path.enter(block.level, block.text)
            self._headings.append((start, self.chars, str(self._path)))
        else:
            self.has_body = True

    def take(self, *, guess: bool) -> Section:
        """Return what was written, and start afresh."""
        section = Section("".join(self._parts), None if guess else self._headings)
        self._parts, self._headings = [], []
        self.chars, self.has_body = 0, False
        return section


def paginate(content: Content, *, max_pages: int, max_text_bytes: int) -> Iterator[Section]:
    """Yield the pages of a file.

    Raises:
        Refused: ``too_large_text`` or ``too_many_pages``.
    """
    blocks = cleaned(content.blocks, max_text_bytes)
    sections = numbered(blocks) if content.numbered else flowing(content, blocks, max_pages)
    for count, section in enumerate(sections):
        if count == max_pages:
            raise Refused("too_many_pages")
        yield section


def cleaned(blocks: Iterable[Block], max_text_bytes: int) -> list[Block]:
    """Return the blocks that hold anything or begin a page, with the text pages hold.

    Raises:
        Refused: ``too_large_text``.
    """
    found: list[Block] = []
    size_bytes = 0
    for block in blocks:
        text = tidy(block.text)
        level = min(block.level, MAX_LEVEL)
        if level:
            text = one_line(text)
            level *= len(text) <= MAX_HEADING
        size_bytes += len(text.encode()) + 2
        if size_bytes > max_text_bytes:
            raise Refused("too_large_text")
        if text or block.page:
            found.append(Block(text, level * bool(text), block.tight, block.page))
    return found


def numbered(blocks: Iterable[Block]) -> Iterator[Section]:
    """Yield the pages the file itself has; a heading names its own page only."""
    sheet = Sheet(Path())
    begun = False
    for block in blocks:
        if block.page:
            if begun:
                yield sheet.take(guess=False)
            sheet, begun = Sheet(Path()), True
        if block.text:
            sheet.add(block)
    if begun:
        yield sheet.take(guess=False)


def flowing(content: Content, blocks: list[Block], max_pages: int) -> Iterator[Section]:
    """Yield the pages of a text without any, none of them blank."""
    size = page_chars(blocks, max_pages)
    deepest = deepest_split(blocks, max_pages) if content.at_headings else 0
    sheet = Sheet(Path())
    for block in blocks:
        begins = block.page or (0 < block.level <= deepest and sheet.has_body)
        if begins and sheet.chars:
            yield sheet.take(guess=content.guess)
        for piece in pieces(block, size):
            if sheet.chars and sheet.chars + len(piece.text) > size:
                yield sheet.take(guess=content.guess)
            sheet.add(piece)
            if sheet.chars > size // 2 and not block.level and ends_page(piece.text):
                yield sheet.take(guess=content.guess)
    if sheet.chars:
        yield sheet.take(guess=content.guess)


def page_chars(blocks: Iterable[Block], max_pages: int) -> int:
    """Return how long pages may be: doubled until a long file fits in half the pages allowed."""
    total = sum(len(block.text) for block in blocks)
    size = PAGE_CHARS
    while total // (size // 2) > max_pages // 2:
        size *= 2
    return size


def deepest_split(blocks: Iterable[Block], max_pages: int) -> int:
    """Return the deepest level of heading that may begin a page without there being too many."""
    counts = Counter(block.level for block in blocks if block.level)
    level = total = 0
    while level < MAX_LEVEL and total + counts[level + 1] <= max_pages // 2:
        level += 1
        total += counts[level]
    return level


def ends_page(text: str) -> bool:
    """Whether a page that is long enough ends behind this block: its checksum decides."""
    return zlib.crc32(text.encode()) % CUT_ONE_IN == 0


def pieces(block: Block, size: int) -> Iterator[Block]:
    """Yield a block in pieces that fit a page, cut behind lines, sentences or words."""
    text, start = block.text, 0
    while len(text) - start > size:
        end = cut(text, start, start + size)
        yield block._replace(text=text[start:end].strip())
        start = end
    rest = text[start:].strip()
    if rest:
        yield block._replace(text=rest)


def cut(text: str, start: int, limit: int) -> int:
    """Return the best place to cut in the second half of ``text[start:limit]``, or ``limit``."""
    for boundary in BOUNDARIES:
        at = text.rfind(boundary, (start + limit) // 2, limit)
        if at >= 0:
            return at + len(boundary)
    return limit
