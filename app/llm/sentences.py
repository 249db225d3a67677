"""Sentences of text that came out of PDFs: wrapped lines, lists, headings and tables included.

The spans of :func:`split` join up to the whole text, so that whatever is quoted is verbatim.
A boundary is a full stop that ends a sentence, a blank line, or a line break that the layout gives
away: the next line starts a list item, a numbered heading or a requirement, either is a table's
row, or this line is a heading or stops well short of the width the text is set in.
"""

import re
from collections.abc import Collection, Sequence
from itertools import pairwise

Span = tuple[int, int]

#: A line that stops short of this share of the text's width was ended on purpose, not wrapped.
_SHORT_LINE = 0.6
#: Lines of a list without marks, at least, and the share of the width that is surely filled.
_LEAST_LISTED, _ROOM = 3, 0.85
#: What ends a line of prose, or shows that it goes on.
_ENDS_PROSE = frozenset(".!?\u2026;:,(-\u2013\u2014")
#: A line of a message's head, quoted or not, and what begins with a code: "CHE 152", "E-07".
_FIELD_LINE = re.compile(r"[>\s]*(?:From|To|Cc|Bcc|Date|Sent|Subject|Reply-To):\s", re.IGNORECASE)
_CODE_LINE = re.compile(r"\s*[A-Z]{1,5}[ -]?\d{2,5}[A-Z]?\s")
#: Below this many characters of width the text is a narrow table column; its breaks say nothing.
_NARROW = 40

_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|etc|al|approx|ca|no|nos|fig|figs|eq|sec|sect|ch|vol|pp|p|rev|ver|doc|ref"
    r"|inc|ltd|corp|co|dept|mr|mrs|ms|dr|prof|st|jr|sr|gen|gov|sen|rep|col|lt|capt|hon|mt|u\.s|u\.k"
    r"|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec)|\b[A-Z]|\b[a-z]\.[a-z])$",
    re.IGNORECASE,
)
#: Abbreviations that often end a sentence too: a capital after them is taken for a new one.
_MAY_END = re.compile(r"(?:\b(?:etc|al|inc|ltd|corp|co|u\.s|u\.k|no)|[0-9%)])$", re.IGNORECASE)
_STOP = re.compile(
    r"[.!?\u2026]+[\"'\u201d\u2019)\]]*(?:\[\d+\])*(?=\s|$)|[\u3002\uff01\uff1f\u0964]+[\u300d\u300f\u201d\uff09]*"
)
_OPENS = re.compile(r"[\s\"'\u201c\u2018(\[<]*([^\s\"'\u201c\u2018(\[<])")
#: What a line may start with that begins something new: bullet, "1.", "a)", "3.2.1 ", "DS1000 ";
#: not "1.5 times", which goes on with the line before it.
_ITEM = re.compile(
    r"\s*(?:[\u2022\u25aa\u25cf\u25cb\u2023\u00b7\uf0b7\u2013*\-]\s+|o\s+(?=[A-Z])|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{2,4})[.)]\s+"
    r"|\d+(?:\.\d+){2,}\.?\s+(?=\S)|\d+\.\d+\.?\s+(?=[^\sa-z])|(?:\d{2,6}\s+)?[A-Z]{2,}[-_]?\d{3,}(?:\.\d+)*\s|\|)"
)
#: A heading by its number: "4.2.1 Message control", nothing after it on its line.
_HEADING = re.compile(r"\s*\d+(?:\.\d+)+\.?\s+[^.!?]{2,60}$")
#: Between the cells of a table's row, which is a line (``ingestion/readers/tables.py``).
CELLS = " | "
#: A figure at the end of a table's row in a PDF, and what stands beside or for one.
_FIGURE = re.compile(r"[$\u20ac\u00a3(+\u2212-]*\d(?:[\d.,]*\d)?[)%]*|[\u2013\u2014]")
_BESIDE = frozenset("$\u20ac\u00a3%")
#: What a row of figures may end with.
_ENDS_ROW = frozenset("0123456789)%\u2013\u2014")
_LEADERS = re.compile(r"\.{4,}|(?:\. ){4,}|_{4,}")
#: Thai, Lao, Burmese and Khmer end their clauses with a space and their sentences with nothing.
_GAP = re.compile(
    r"(?<=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\s+(?=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])"
)
#: Characters of clauses that make a sentence there.
_CLAUSES = 120


def split(text: str) -> list[Span]:
    """Cut ``text`` into sentences: consecutive spans that cover it, white space after included."""
    cuts = {0, len(text)}
    cuts.update(_after_stops(text))
    cuts.update(_after_lines(text))
    cuts.update(_after_gaps(text, cuts))
    return list(pairwise(sorted(cuts)))


def tidy(text: str) -> str:
    """One line of ``text``: every run of white space becomes one space, nothing else changes."""
    return " ".join(text.split())


def is_item(text: str, at: int) -> bool:
    """Whether a list item starts at ``at``."""
    return _ITEM.match(text, at) is not None


def is_figures(line: str) -> bool:
    """Whether ``line`` is a row of a table whose columns are lost: words, and figures behind them.

    "Total revenues $66,608 $62,286": so the text of a PDF has it.
    """
    if line[-1:] not in _ENDS_ROW:
        return False  # nearly all prose
    count, cells = 0, line.split()
    while cells and (cells[-1] in _BESIDE or _FIGURE.fullmatch(cells[-1])):
        count += cells.pop() not in _BESIDE
    return count > 1 and any(map(str.isalpha, "".join(cells)))


def _after_stops(text: str) -> list[int]:
    cuts = []
    for stop in _STOP.finditer(text):
        opens = _OPENS.match(text, stop.end())
        if opens is None or not _ends_sentence(text, stop, opens):
            continue
        cuts.append(stop.end() + _blank(text, stop.end()))
    return cuts


def _ends_sentence(text: str, stop: re.Match[str], opens: re.Match[str]) -> bool:
    """Whether the mark at ``stop`` ends a sentence; the text goes on with ``opens``."""
    following = opens[1]
    if stop[0][0] != "." or stop[0].startswith(".."):
        return not following.islower()
    before = text[max(0, stop.start() - 12) : stop.start()]
    line = text.rfind("\n", 0, stop.start()) + 1
    if _ITEM.fullmatch(text, line, stop.end() + 1):
        return False  # the number of a list item
    if _ABBREVIATION.search(before):
        # "Inc. (NASDAQ: ULTA)" goes on.
        return bool(_MAY_END.search(before)) and following.isupper() and "(" not in opens[0]
    return not following.islower()


def _after_lines(text: str) -> list[int]:
    lines = _lines(text)
    if len(lines) < 2:  # noqa: PLR2004 - most of what a model says
        return []
    lengths = sorted(len(text[start:end].strip()) for start, end in lines)
    width = lengths[int(len(lengths) * 0.85)]
    told = [text[start:end].strip() for start, end in lines]
    listed = _listed(told, lengths[-1])
    return [
        start
        for at, (start, end) in enumerate(lines)
        if at and (at in listed or _breaks(told[at - 1], text[start:end], width))
    ]


def _listed(lines: Sequence[str], width: int) -> set[int]:
    """Which ``lines``, in text ``width`` wide, begin something that is not the one before them.

    Rows of words and items without marks: several lines that begin with a capital or a figure and
    end as no sentence does, though the next word had room behind most of them. Fields of a message,
    and rows that begin with a code, are so without that.
    """
    found: set[int] = set()
    run: list[int] = []
    for at, (line, following) in enumerate(pairwise([*lines, ""])):
        if _FIELD_LINE.match(line) and _FIELD_LINE.match(following):
            found.add(at + 1)
        elif _CODE_LINE.match(line) and _CODE_LINE.match(following):
            found.update((at, at + 1))
        if not line or not (line[0].isupper() or line[0].isdigit()) or _is_row(line):
            run = []
            continue
        run.append(at)
        if line[-1] in _ENDS_PROSE or not following:
            if len(run) >= _LEAST_LISTED and _had_room(lines, run, width):
                found.update(run[1:])
            run = []
    return found


def _had_room(lines: Sequence[str], run: Sequence[int], width: int) -> bool:
    """Whether the first word of most lines of ``run`` had room at the end of the line before."""
    roomy = sum(
        len(lines[at]) + 1 + len(lines[after].split(None, 1)[0]) < _ROOM * width
        for at, after in pairwise(run)
    )
    return 2 * roomy > len(run) - 1


def _after_gaps(text: str, cuts: Collection[int]) -> list[int]:
    """Where sentences of ``_CLAUSES`` characters end between those of ``cuts``."""
    found = []
    at, others = 0, iter(sorted(cuts))
    following = next(others)
    for gap in _GAP.finditer(text):
        while following <= gap.start():
            at, following = max(at, following), next(others)
        if gap.end() - at >= _CLAUSES:
            found.append(gap.end())
            at = gap.end()
    return found


def _lines(text: str) -> list[Span]:
    ends = [match.end() for match in re.finditer(r"\r\n|\r|\n", text)]
    return list(pairwise(sorted({0, *ends, len(text)})))


def _breaks(line: str, following: str, width: int) -> bool:
    """Whether the break between two lines separates sentences, in text ``width`` wide."""
    line, next_line = line.strip(), following.strip()
    if (
        not (line.strip("> ") and next_line.strip("> "))
        or _ITEM.match(following)
        or _is_row(line)
        or _is_row(next_line)
    ):
        return True
    if not (next_line[0].isupper() or next_line[0].isdigit()):
        return False
    if line[-1] in ",;(-\u2013\u2014":
        return False
    if _HEADING.match(line) or _LEADERS.search(line):
        return True
    return width >= _NARROW and len(line) < width * _SHORT_LINE


def _is_row(line: str) -> bool:
    return CELLS in line or is_figures(line)


def _blank(text: str, at: int) -> int:
    """How many characters of white space follow ``at``."""
    return len(text[at:]) - len(text[at:].lstrip()) if text[at : at + 1].isspace() else 0
