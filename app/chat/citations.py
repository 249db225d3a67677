"""From markers in an answer to quotes on pages.

Every sentence that carries a marker gets the exact span of the cited passage that supports it best.
A span is cut from the page's own text, so a quote that is not on its page cannot come out; whether
it carries the sentence's claim is what ``verified`` says. Markers that point nowhere are removed.
"""

import re
from collections.abc import Sequence

import numpy as np

from app.chat.answer import Citation
from app.retrieval.boxes import boxes_of
from app.retrieval.passage import Passage

#: Share of a sentence's words that its quote must hold to count as support.
SUPPORT = 0.5
# Tried at the start of a run of white space only: from each place in it, long runs take seconds.
_MARKER = re.compile(r"(?<!\s)\s*\[(\d{1,3})\]")
#: The end of a text that is not whole yet: white space, or the beginning of a marker.
_UNDECIDED = re.compile(r"(?<!\s)(?:\s+(?:\[\d{0,3})?|\[\d{0,3})$")
#: What would become a marker by taking one away that stands inside it.
_HALF_MARKER = re.compile(r"\[\d{0,3}$")
#: What may still stand behind a marker of the sentence before it.
_SENTENCE_REST = " \t\r\n.,;:!?"
_CLAIM_END = re.compile(r"(?<=[.!?])\s+|\n+")
_SPAN_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(•*-])|\n\s*\n")
_WORD = re.compile(r"\w+")


class Citer:
    """Renumbers the markers of a text as it comes, so that each names one quote, and finds those.

    ``[n]`` means ``passages[n - 1]``. What was given out is never changed afterwards.
    White space and what may be the beginning of a marker wait for the text that decides.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        #: All quotes so far, in the order of their markers.
        self.citations: list[Citation] = []
        self._markers: dict[tuple[int, int, int], int] = {}
        self._waiting = ""
        #: The text since the last marker, and what that marker stood behind.
        self._between: list[str] = []
        self._said = ""
        self._begun = False

    def feed(self, text: str) -> str:
        """Take more of the answer; what can be given out of it now, markers renumbered."""
        text = self._waiting + text
        held = _UNDECIDED.search(text)
        decided = len(text) if held is None else held.start()
        self._waiting = text[decided:]
        pieces: list[str] = []
        end = 0
        for match in _MARKER.finditer(text, 0, decided):
            self._between.append(text[end : match.start()])
            pieces += (self._between[-1], self._marker(int(match.group(1)) - 1))
            end = match.end()
        if end < decided:
            self._between.append(text[end:decided])
            pieces.append(self._between[-1])
        given = "".join(pieces)
        if not self._begun:
            given = given.lstrip()
            self._begun = bool(given)
        return given

    def end(self) -> str:
        """The rest, once nothing more comes."""
        rest = self._waiting.rstrip()
        self._waiting = ""
        return rest if self._begun else rest.lstrip()

    def _marker(self, index: int) -> str:
        """What stands in the text for a marker of ``passages[index]``."""
        between = "".join(self._between)
        self._between = []
        # "… [1][2].": both stand behind the same words; the full stop belongs to those before it.
        self._said = between.lstrip(_SENTENCE_REST) or self._said
        if not 0 <= index < len(self._passages):
            return " " if _HALF_MARKER.search(between) else ""
        passage = self._passages[index]
        start, stop, verified = locate(self._said, passage.text)
        key = (index, start, stop)
        if key not in self._markers:
            self._markers[key] = len(self.citations) + 1
            self.citations.append(
                _citation(self._markers[key], passage, start, stop, verified=verified)
            )
        return f" [{self._markers[key]}]"


def locate(said: str, text: str) -> tuple[int, int, bool]:
    """The span of ``text`` that supports what was ``said`` best, and whether it really does.

    What stands there word for word, white space aside, is found exactly: first all that was said
    since the last marker, then its last sentence. Otherwise the sentence of ``text`` is taken that
    shares most of the last sentence's words.
    """
    claim = _last_claim(said)
    for quoted in (said, claim):
        words = quoted.split()
        if not 0 < sum(map(len, words)) <= len(text):
            continue  # what is longer cannot stand there, and would make a pattern to match
        exact = re.search(r"\s+".join(map(re.escape, words)), text)
        if exact:
            return exact.start(), exact.end(), True
    wanted = {word.lower() for word in _WORD.findall(claim)}
    best, best_share = _trimmed(text, 0, len(text)), -1.0
    for start, stop in _spans(text):
        found = {word.lower() for word in _WORD.findall(text[start:stop])}
        share = len(wanted & found) / len(wanted) if wanted else 0.0
        if share > best_share:
            best, best_share = (start, stop), share
    return *best, best_share >= SUPPORT


def _spans(text: str) -> list[tuple[int, int]]:
    ends = [match.start() for match in _SPAN_END.finditer(text)] + [len(text)]
    starts = [0] + [match.end() for match in _SPAN_END.finditer(text)]
    trimmed = (_trimmed(text, start, end) for start, end in zip(starts, ends, strict=True))
    return [(start, end) for start, end in trimmed if end > start]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    inner = text[start:end]
    left = len(inner) - len(inner.lstrip())
    right = len(inner.rstrip())
    return start + min(left, right), start + right


def _last_claim(said: str) -> str:
    """The sentence that a marker stands behind; its own full stop may come before the marker."""
    parts = [part for part in _CLAIM_END.split(said.strip()) if part.strip()]
    return parts[-1] if parts else ""


def _citation(marker: int, passage: Passage, start: int, stop: int, *, verified: bool) -> Citation:
    words = np.frombuffer(passage.boxes, dtype="<f4").reshape(-1, 6)
    return Citation(
        marker=marker,
        document_id=passage.document_id,
        version=passage.version,
        title=passage.title,
        filename=passage.filename,
        tags=passage.tags,
        page=passage.page,
        quote=passage.text[start:stop],
        start=passage.start + start,
        end=passage.start + stop,
        boxes=boxes_of(words, passage.start + start, passage.start + stop),
        score=passage.score,
        verified=verified,
        url=passage.url,
    )
