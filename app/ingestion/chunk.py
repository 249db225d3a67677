"""Pages in, chunks out: exact spans of a page's text, none across pages.

LlamaIndex's ``SentenceSplitter`` is not used: its time grows faster than its input, so one hostile
page holds a worker, and it returns text whose place in the page has to be guessed, while a
citation's offsets must be exact. This takes one pass: words are counted, and each chunk ends at
the best boundary in reach: before a heading, between paragraphs, sentences, lines, words.

Chunks do not overlap: a quote then has one place, and an unchanged page one set of chunks.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from app.ingestion.headings import Line, find_headings, is_running, lines_of, running_lines
from app.ingestion.page import Chunk, Page, Words

#: About 240 tokens of English; the model (MiniLM) reads 256. Measured: design/performance.md.
MAX_WORDS = 180
MAX_CHARS = 2_000
#: Pages after its own that a heading still names: filings show few headings, and a stale one in
#: front of a chunk misleads. Fused page hit@5 on financebench: .60, without a limit .53.
HEADING_PAGES = 1
#: Scripts without spaces: of Han, kana and Hangul each character counts as a word, as it does for
#: the tokeniser; of Thai, Lao, Burmese and Khmer, which spell their words, four do.
SPELLED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
UNSPACED = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff"
WORD = re.compile(rf"[^\s{SPELLED}{UNSPACED}]{{1,64}}|[{UNSPACED}]|[{SPELLED}]{{1,4}}")
SENTENCE_END = re.compile(r"[.!?\u2026]['\")\]\u201d\u2019]*$|[\u3002\uff01\uff1f\u0964]$")
#: How good a place to end a chunk is; ``AFTER_HEADING`` would part a heading from its text.
AFTER_HEADING, INSIDE, SPACE, LINE, SENTENCE, SENTENCE_LINE, PARAGRAPH, HEADING = range(8)
#: Inside a table's row, which is parted only when it does not fit; between its cells if it must be.
IN_ROW, BETWEEN_CELLS = -2, -1
#: What stands between the cells of a row (``readers/tables.py``).
CELLS = " | "


#: A word of a page: start, end, and how good an end of a chunk it makes.
Word: TypeAlias = tuple[int, int, int]


def chunk_pages(pages: Sequence[Page], *, max_words: int = MAX_WORDS) -> list[Chunk]:
    """Return the chunks of a document in reading order; blank pages have none.

    Every character that is not white space is in exactly one chunk, ``chunk.text`` is
    ``page.text[start:end]``, and no chunk has more than ``max_words`` words or ``MAX_CHARS``
    characters. Time is linear in the text.
    """
    # A page that names its headings has no header or footer to be found among its lines.
    lines = [lines_of(page.text) if page.headings is None else [] for page in pages]
    running = running_lines(lines)
    chunks: list[Chunk] = []
    heading, seen = "", 0
    for page, page_lines in zip(pages, lines, strict=True):
        headings = headings_of(page, page_lines, running)
        edges = [line for line in page_lines if is_running(line, running)]
        words = words_of(page.text, headings)
        if page.headings is not None:
            words = keep_rows(page.text, words)
        guessed = page.headings is None and page.number - seen <= HEADING_PAGES
        inherited = heading if guessed else ""
        for start, end in spans(words, max_words):
            at = heading_at(headings, body_start(start, edges), inherited)
            rows = rows_inside(page.words, start, end)
            chunks.append(Chunk(page.number, start, end, page.text[start:end], at, rows))
        if headings:
            heading, seen = headings[-1].text, page.number
    return chunks


def headings_of(page: Page, lines: Sequence[Line], running: frozenset[str]) -> list[Line]:
    """Return the headings the file marks, each with its path as text, or else the likely ones."""
    if page.headings is None:
        return find_headings(lines, running)
    return [Line(one.start, one.end, one.path) for one in page.headings]


def words_of(text: str, headings: Sequence[Line]) -> list[Word]:
    """Return the page's words, each with the quality of the boundary after it."""
    starts = {line.start for line in headings}
    ends = {line.end for line in headings}
    found = [match.span() for match in WORD.finditer(text)]
    words: list[Word] = []
    for (start, end), (following, _) in pairwise([*found, (len(text), 0)]):
        if text[end:following] == " " and text[end - 1].isalnum():  # most are, and this is quick
            words.append((start, end, SPACE))
            continue
        quality = boundary(text[max(start, end - 8) : end], text[end : min(following, end + 99)])
        if quality >= LINE and headings:
            if end in ends or text.find("\n", end) in ends:
                quality = AFTER_HEADING
            elif following in starts:
                quality = HEADING
        words.append((start, end, quality))
    return words


def keep_rows(text: str, words: Sequence[Word]) -> list[Word]:
    """Return the words with the boundaries inside a table's rows made the last to be chosen."""
    rows = [line for line in text.split("\n") if CELLS in line]
    if not rows:
        return list(words)
    kept: list[Word] = []
    line_start, line_end, in_row = 0, -1, False
    for start, end, quality in words:
        if start > line_end:
            line_start = text.rfind("\n", 0, start) + 1
            line_end = text.find("\n", start) % (len(text) + 1)
            in_row = text.find(CELLS, line_start, line_end) >= 0
        if in_row:
            inside = BETWEEN_CELLS if text.startswith(CELLS, end) else IN_ROW
            last = not text[end:line_end].strip()
            kept.append((start, end, max(quality, SENTENCE_LINE) if last else inside))
        else:
            kept.append((start, end, quality))
    return kept


def boundary(tail: str, gap: str) -> int:
    """Return how good the boundary between two words is, by the end of one and what follows it."""
    if gap.count("\n") > 1:
        return PARAGRAPH
    ends = bool(SENTENCE_END.search(tail))
    if "\n" in gap:
        return SENTENCE_LINE if ends else LINE
    if ends and (gap or tail[-1] > "\u2fff"):
        return SENTENCE
    return SPACE if gap else INSIDE


def spans(words: Sequence[Word], max_words: int) -> list[tuple[int, int]]:
    """Return the spans of the chunks: as few as the limits allow, of similar size."""
    found = []
    first = 0
    while first < len(words):
        last = end_of_chunk(words, first, max_words)
        found.append((words[first][0], words[last][1]))
        first = last + 1
    return found


def end_of_chunk(words: Sequence[Word], first: int, max_words: int) -> int:
    """Return the index of the last word of the chunk that starts at ``first``.

    What remains is divided by the least number of chunks it needs; the end is the best boundary
    between half of that share and the limit, and the nearest to the share among equals. So the
    last chunk of a page is not a tail of three words.
    """
    begin = words[first][0]
    limit = min(first + max_words, len(words)) - 1
    while limit > first and words[limit][1] - begin > MAX_CHARS:
        limit -= 1
    if limit == len(words) - 1:
        return limit
    remaining, chars = len(words) - first, words[-1][1] - begin
    chunks = max(-(-remaining // max_words), -(-chars // MAX_CHARS))
    share = min(first + remaining // chunks - 1, limit)
    lowest = max(first, first + (share - first) // 2)
    best = max(range(lowest, limit + 1), key=lambda i: (words[i][2], -abs(i - share)))
    if words[best][2] >= AFTER_HEADING:
        return best
    return max(range(first, limit + 1), key=lambda i: (words[i][2] >= LINE, words[i][2], i))


def body_start(start: int, edges: Sequence[Line]) -> int:
    """Return where a chunk's own text begins, behind the running header it may start with."""
    for line in edges:
        if line.start <= start < line.end:
            start = line.end + 1
    return start


def heading_at(headings: Sequence[Line], at: int, inherited: str) -> str:
    """Return the last heading that starts at or before ``at``, or the one from pages before."""
    index = bisect_right(headings, at, key=lambda line: line.start)
    return headings[index - 1].text if index else inherited


def rows_inside(words: Words, start: int, end: int) -> Words:
    """Return the rows (sorted by offset) that touch the span, as a copy of their own."""
    first = int(np.searchsorted(words[:, 1], start, side="right"))
    last = int(np.searchsorted(words[:, 0], end, side="left"))
    return words[first:last].copy()
