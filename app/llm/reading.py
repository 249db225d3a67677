"""Sources cut into the sentences worth quoting, each with what stands around it."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from app.llm.completion import Source
from app.llm.premise import squeezed
from app.llm.sentences import CELLS, is_figures, is_item, split, tidy
from app.llm.words import FILLER, count_words, spelled, stems, words

_SHORTEST_WORDS, _LONGEST_WORDS, _FIELD_WORDS = 4, 80, 2
#: Words of a list, and of something else that a colon introduces.
_LIST_WORDS, _SHOWN_WORDS = 60, 30
#: A header or footer: a line that ends with its page's number.
_PAGE_NUMBER = re.compile(r"\bPage\s+[\w.-]*\d+(?: of \d+)?\s*$", re.IGNORECASE | re.MULTILINE)
#: A field of a form: "Witness: Peter Okafor.".
_FIELD = re.compile(r"[^\W\d_][^:]*: +\S")
#: The least words that name the columns of a table, the most of a heading.
_COLUMNS_WORDS, _HEADING_WORDS = 3, 10
#: What no name of a column has: "Price per kg" is one.
_SMALL = FILLER - {"per", "no", "name", "kind", "type"}
_NUMBER = re.compile(r"\s*\(?\d{1,3}[.)]\s")
#: A heading by its number: "4. Possible side effects".
_NUMBERED = re.compile(r"\d+(?:\.\d+)*\.?\s+[^\W\d_a-z][^.!?:;|]*[^\W\d_]")
_MARK = re.compile(
    r"^(?:>\s?)*(?:[\u2022\u25aa\u25cf\u25cb\u2023\u00b7\uf0b7\u2013*-]\s+|o\s+(?=[A-Z])|(?<=>\s))"
)
#: Dotted or ruled leaders: a line of a table of contents or of a form.
_LEADERS = ("....", ". . . .", "____", "- - - -", "\u2026\u2026")
#: The columns of a table in a PDF: years side by side.
_COLUMNS = re.compile(r"\b(?:19|20)\d\d +(?:FY)?(?:19|20)\d\d\b")
#: Figures in the names of columns: years, and what a word follows: "Model 1.6 petrol".
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_NAMED = re.compile(r"\b(?:19|20)\d\d\b|\b\d{1,3}(?:\.\d)?(?= [^\W\d_])")
#: A figure of a row, and how long a row is that has units behind them.
_FIGURES, _ROW_WORDS = re.compile(r"(?<![\w.,/])\d[\d.,]*\d?(?![\w])"), 15
#: What ends a line of prose, and a colon.
STOPS = frozenset(".!\u2026\u3002\uff01\u0964:;")
#: Not "Her", which is a word in Turkish, too.
_LEANS = re.compile(r"(?:It|Its|They|Their|This|These|Those|That|Such|He|She|His)\b")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence that may be quoted; ``text`` is verbatim but for white space."""

    source: Source
    #: Place in its source, for neighbours and reading order.
    position: int
    text: str
    #: Its words, in which those of the question are looked up: stems, or `spelled` text.
    words: Collection[str]
    #: The words of the sentence before it; of a row of figures, those of its part of the table.
    before: Collection[str] = ()
    #: Lines that say what the figures of a row are: its columns, and its part of the table.
    lead: tuple[str, ...] = ()
    #: It ends with what its colon introduces: a list, a command.
    introduces: bool = False
    #: The words of a question that the text itself asks and it answers: those of an FAQ.
    answers: Collection[str] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """All that is quoted of it."""
        return (*self.lead, self.text)

    @property
    def leans(self) -> bool:
        """Whether it speaks of what the sentence before it names: "It carried two cameras."."""
        return _LEANS.match(self.text) is not None

    @property
    def is_row(self) -> bool:
        """Whether it is a row of a table."""
        return bool(self.lead) or CELLS in self.text


@dataclass(frozen=True)
class Read:
    """A source cut up: its quotable sentences and the words of its title and of all of it."""

    source: Source
    sentences: tuple[Sentence, ...]
    title: Collection[str]
    words: Collection[str]

    @cached_property
    def squeezed(self) -> str:
        """Its letters and figures, for names that are spelled with other signs between."""
        return squeezed(f"{self.source.title} {self.source.heading} {self.source.text}")

    @cached_property
    def prose(self) -> str:
        """What it says outside of its tables, in lower case."""
        lines = (self.source.title, self.source.heading, *self.source.text.split("\n"))
        told = (line for line in lines if not (CELLS in line or _COLUMNS.search(line)))
        return "\n".join(told).casefold()


def read(source: Source, *, english: bool) -> Read:
    """Cut ``source`` into the sentences worth quoting: no contents lines, headings, questions.

    A line that introduces a list (ends in a colon) takes the items after it along.
    """
    held_by = _stemmed if english else spelled
    title = held_by(f"{source.title} {source.heading}")
    every: list[Collection[str]] = [title]
    spans = split(source.text)
    answers = held_by(source.heading if source.heading.endswith("?") else "")
    found: list[Sentence] = []
    at, before, lead = 0, held_by(""), tuple[str, ...]()
    led: list[Collection[str]] = []
    while at < len(spans):
        last = _list_end(source, spans, at)
        text = _MARK.sub("", tidy(source.text[spans[at][0] : spans[last][1]]))
        held = held_by(text)
        every.append(held)
        following = tidy(source.text[slice(*spans[last + 1])]) if last + 1 < len(spans) else ""
        if text.endswith("?"):
            answers = held
        if (under := _lead(text, lead, following)) != lead:
            lead, led = under, [held_by(line) for line in under]
        if lead and text not in lead and (is_figures(text) or _has_figures(text)):
            row = _together([held, led[0]], english=english)
            found.append(Sentence(source, at, text, row, led[-1], lead))
        elif last == at and (_is_heading(source.text, spans, at) or _is_header(text, following)):
            before = held
        elif quotable(text) and text not in (source.heading + source.title) and text not in lead:
            if last > at or text[-1] != ":":  # what it introduces would be missing
                whole = last > at
                found.append(Sentence(source, at, text, held, before, (), whole, answers))
            before = held
        at = last + 1
    return Read(source, tuple(found), title, _together(every, english=english))


def _together(every: Iterable[Collection[str]], *, english: bool) -> Collection[str]:
    """The words of ``every`` one, as one."""
    return frozenset(chain.from_iterable(every)) if english else "".join(map(str, every))


def _lead(text: str, lead: tuple[str, ...], following: str) -> tuple[str, ...]:
    """What a row of figures below ``text`` stands under, if one above it stands under ``lead``."""
    if text[-1:] not in STOPS and _COLUMNS.search(text) and CELLS not in text:
        return (text,)
    if not lead or len(_YEAR.findall(text)) > 1:  # below a table another one may begin
        return (text,) if _names_columns(text, following) else lead
    if text.endswith(":"):
        return (lead[0], text)
    return lead if is_figures(text) or _has_figures(text) or not quotable(text) else ()


def _has_figures(text: str) -> bool:
    """Whether ``text``, below rows of figures, is one whose figures have units: "Tank 50 l"."""
    short = count_words(text) <= _ROW_WORDS and text[-1:] not in STOPS
    return short and text[:1].isalpha() and len(_FIGURES.findall(text)) > 1


def _is_header(text: str, following: str) -> bool:
    """Whether ``text`` is the row of names that the row ``following`` repeats before its cells."""
    cells = text.split(CELLS)
    return len(cells) > 1 and all(f"{cell}: " in following for cell in cells)


def _names_columns(text: str, following: str) -> bool:
    """Whether ``text`` names the columns of a table whose first row is the line ``following``.

    Commas and figures are of a row whose line was too long, small words of what stands above it.
    """
    if count_words(text) < _COLUMNS_WORDS or not is_figures(following):
        return False
    plain = not any(char.isdigit() or char in ",?.!;:|" for char in _NAMED.sub("", text))
    return plain and not any(word.casefold() in _SMALL for word in words(text))


def _is_heading(text: str, spans: Sequence[tuple[int, int]], at: int) -> bool:
    """Whether the span at ``at`` is a heading by its number, and not an item of a list."""
    line = tidy(text[slice(*spans[at])])
    if count_words(line) > _HEADING_WORDS or not _NUMBERED.fullmatch(line):
        return False
    beside = (spans[near][0] for near in (at - 1, at + 1) if 0 <= near < len(spans))
    return not any(_NUMBER.match(text, start) for start in beside)


def _stemmed(text: str) -> frozenset[str]:
    return frozenset(stems(text))


def _list_end(source: Source, spans: Sequence[tuple[int, int]], at: int) -> int:
    """The last span that belongs to the sentence at ``at``: itself, or what its colon introduces.

    That is a list, whose items may be several sentences, or a few words: a command, a formula. A
    list may stand below its heading alone.
    """
    text, line = source.text, tidy(source.text[slice(*spans[at])])
    if not line.endswith(":"):
        heads = bool(line) and source.heading.endswith(line)
        last = _items_end(text, spans, at) if heads else at
        items = sum(bool(tidy(text[slice(*span)])) for span in spans[at + 1 : last + 1])
        return last if items > 1 else at  # one alone may be the next heading
    last = _items_end(text, spans, at)
    return last if last > at else _shown_end(text, spans, at)


def _items_end(text: str, spans: Sequence[tuple[int, int]], at: int) -> int:
    """The last span of the list below ``at``, whose items are all marked as the first one is."""
    last, count, marked = at, 0, ""
    for index in range(at + 1, len(spans)):
        count += count_words(text[slice(*spans[index])])
        of_item = index > at + 1 and not _break_before(text, spans[index][0])
        mark = _kind_of_mark(text, spans[index][0])
        if count > _LIST_WORDS or not (of_item or mark == (marked or mark) != ""):
            break
        last, marked = index, marked or mark
    return last


def _kind_of_mark(text: str, at: int) -> str:
    """What marks the list's item at ``at``: a bullet, a number, a letter; empty if it is none."""
    if not is_item(text, at):
        return ""
    sign = text[at:].lstrip("( \t\r\n")[:1]
    return "1" if sign.isdigit() else "a" if sign.isalpha() else sign


def _shown_end(text: str, spans: Sequence[tuple[int, int]], at: int) -> int:
    """The last span of the few words that the sentence at ``at`` shows, up to a blank line."""
    last = at
    for index in range(at + 1, len(spans)):
        start, end = spans[index]
        shown = tidy(text[spans[at][1] : end])
        if not shown:
            continue
        if last > at and _break_before(text, start) > 1:
            break
        if count_words(shown) > _SHOWN_WORDS or shown[-1] in "?:." or _is_row(shown):
            break
        last = index
    return last


def _break_before(text: str, start: int) -> int:
    """How many line breaks stand before ``start``."""
    before = text[:start]
    return before.count("\n", len(before.rstrip()))


def _is_row(line: str) -> bool:
    return CELLS in line or is_figures(line)


def quotable(text: str) -> bool:
    """Whether ``text`` is a sentence worth quoting: no contents line, heading, footer, question."""
    if (
        text.endswith("?")
        or _PAGE_NUMBER.search(text)
        or any(leader in text for leader in _LEADERS)
    ):
        return False
    if CELLS in text:  # a row is read with its columns' names; without, it is their header
        return ": " in text and count_words(text) <= _LONGEST_WORDS
    letters = sum(char.isalpha() or char > "\u02ff" for char in text)  # vowel signs are not alpha
    signs = len(text) - text.count(" ") - letters
    shortest = _FIELD_WORDS if _FIELD.match(text) else _SHORTEST_WORDS
    return shortest <= count_words(text) <= _LONGEST_WORDS and letters >= signs
