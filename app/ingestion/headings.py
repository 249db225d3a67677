"""Which lines of a page are headings, judged by their text alone.

The heading goes in front of each chunk before it is embedded, so a wrong one misleads more than a
missing one: every rule here leans towards saying no.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

#: A line of a table of contents: dots lead to the page number.
LEADER = re.compile(r"\.{4,}|(?:\. ){3,}|\u2026{2,}|_{6,}")
NUMBERED = re.compile(r"(?:\d{1,2}(?:\.\d{1,3}){0,5}\.?|[A-Z](?:\.\d{1,3}){1,4}\.?) +(?=[A-Z])")
NAMED = re.compile(r"(?:Appendix|Chapter|Section|Part|Annex) +[A-Z0-9][.\d]*\b", re.IGNORECASE)
#: Ends that a heading does not have: of a sentence, a clause, a table of contents' entry.
NOT_AN_END = re.compile(
    r"[.,;:!?()\[\]\"\u201d\d/=\u3002\uff01\uff0c\uff1a\uff1b\uff1f\u3001\u0964\u061f\u06d4-]$"
)
#: Signs of source code and constants.
CODE = re.compile(r"[_#{}<>=]|\(\)")
DIGITS = re.compile(r"\d+")
SMALL = frozenset(
    re.findall(
        r"\w+",
        "a an and as at by for from in into is it its of on or per the to under via vs with",
    )
)
MAX_CHARS, MAX_WORDS = 100, 12
#: Letters in a line of capitals, and their share of it; letters in a word that is no abbreviation.
CAPITALS, MOSTLY, REAL_WORD = 8, 0.8, 4
#: A line without number or capitals needs a full line of text below it to pass for a heading.
LONG_LINE = 60
#: Fewer lines with leaders than this may be a form to fill in.
CONTENTS_LINES = 3
#: Headers and footers stand among the first and last lines of at least this many pages.
EDGE_LINES, REPEATS = 3, 3


class Line(NamedTuple):
    """A line of a page that is not blank."""

    start: int
    end: int
    text: str


def lines_of(text: str) -> list[Line]:
    """Return the lines that hold anything, with their offsets; linear in the text."""
    found: list[Line] = []
    start = 0
    for line in text.split("\n"):
        if line and not line.isspace():
            found.append(Line(start, start + len(line), line[: 2 * MAX_CHARS].strip()))
        start += len(line) + 1
    return found


def running_lines(pages: Sequence[Sequence[Line]]) -> frozenset[str]:
    """Return the patterns of a document's headers and footers."""
    seen: Counter[str] = Counter()
    for lines in pages:
        edges = {*lines[:EDGE_LINES], *lines[-EDGE_LINES:]}
        seen.update({pattern_of(line) for line in edges})
    return frozenset(text for text, times in seen.items() if times >= REPEATS)


def is_running(line: Line, running: frozenset[str]) -> bool:
    """Whether the line is one of the document's headers or footers."""
    return pattern_of(line) in running


def pattern_of(line: Line) -> str:
    """Return the line with ``#`` for each number (of a page, say), unless they number sections."""
    return line.text if NUMBERED.match(line.text) else DIGITS.sub("#", line.text)


def find_headings(lines: Sequence[Line], running: frozenset[str]) -> list[Line]:
    """Return the page's headings in order; none for a page of a table of contents."""
    if sum(bool(LEADER.search(line.text)) for line in lines) >= CONTENTS_LINES:
        return []
    return [
        line
        for index, line in enumerate(lines)
        if is_heading(line.text, lines[index - 1].text if index else "", following(lines, index))
        and not is_running(line, running)
    ]


def following(lines: Sequence[Line], index: int) -> str:
    """Return the text of the next line, or nothing."""
    return lines[index + 1].text if index + 1 < len(lines) else ""


def is_heading(text: str, before: str, after: str) -> bool:
    """Whether a line is a heading, given the lines around it."""
    words = text.split()
    if len(text) > MAX_CHARS or len(words) > MAX_WORDS or words[-1].lower() in SMALL:
        return False
    if NOT_AN_END.search(text) or LEADER.search(text) or CODE.search(text):
        return False
    number = NUMBERED.match(text) or NAMED.match(text)
    if number:
        several = "." in number[0].rstrip(". ")
        return is_title(text[number.end() :].split(), at_least=0.5 if several else 1.0)
    if is_capitals(text, words):
        return True
    introduces = before[-1:] in {".", ":"} and len(after) > LONG_LINE
    return introduces and len(words) > 1 and is_title(words)


def is_capitals(text: str, words: Sequence[str]) -> bool:
    """Whether the line is written in capitals, and is more than an abbreviation or a constant."""
    letters = sum(map(str.isupper, text))  # scripts without capitals have none
    if letters < CAPITALS or not text.isupper():
        return False
    return letters >= MOSTLY * len(text.replace(" ", "")) and (len(words) > 1 or text.isalpha())


def is_title(words: Sequence[str], *, at_least: float = 1.0) -> bool:
    """Whether (that share of) the words of weight start with a capital, and one is a real word."""
    weighty = [word for word in words if word.lower() not in SMALL and word[0].isalnum()]
    capitals = sum(word[0].isupper() for word in weighty)
    real = any(sum(map(str.isalpha, word)) >= REAL_WORD for word in weighty)
    return real and capitals >= at_least * len(weighty)
