"""From markers in an answer to quotes on pages.

Every sentence that carries a marker gets the exact span of the cited passage that supports it best.
A span is cut from the page's own text, so a quote that is not on its page cannot come out; whether
it carries the sentence's claim is what ``verified`` says. Markers that point nowhere are removed.
"""

import re
from collections.abc import Sequence

import numpy as np

from app.chat.answer import Citation
from app.chat.quotable import Quotable, quotable
from app.llm.markers import LOOKED_AT, MARKER, is_index
from app.retrieval.boxes import boxes_of
from app.retrieval.passage import Passage

#: The end of a text that is not whole yet: white space, or the beginning of a marker.
_UNDECIDED = re.compile(r"(?<!\s)(?:\s+(?:\[\d{0,3})?|\[\d{0,3})$")
#: What would become a marker by taking one away that stands inside it.
_HALF_MARKER = re.compile(r"\[\d{0,3}$")
#: What may still stand behind a marker of the sentence before it.
_SENTENCE_REST = " \t\r\n.,;:!?"


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
        #: Marker → the passage it names.
        self.cited: dict[int, Quotable] = {}
        #: Of the passages that were cited.
        self._texts: dict[int, Quotable] = {}
        self._waiting = ""
        #: The end of the text before what waits, and how many backticks are in all of it.
        self._tail, self._ticks = "", 0
        #: The text since the last marker, and what that marker stood behind.
        self._between: list[str] = []
        self._said = ""
        self._begun = False

    def feed(self, text: str) -> str:
        """Take more of the answer; what can be given out of it now, markers renumbered."""
        text = self._waiting + text
        decided = _decided(text)
        self._waiting = text[decided:]
        pieces: list[str] = []
        end = 0
        for match in MARKER.finditer(text, 0, decided) if "[" in text else ():
            if self._is_index(match, text):
                continue
            self._between.append(text[end : match.start()])
            pieces += (self._between[-1], self._marker(int(match.group(1)) - 1))
            end = match.end()
        if end < decided:
            self._between.append(text[end:decided])
            pieces.append(self._between[-1])
        self._tail = (self._tail + text[:decided])[-LOOKED_AT:]
        self._ticks += text.count("`", 0, decided)
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

    def _is_index(self, match: re.Match[str], text: str) -> bool:
        at = match.start()
        before = text[max(at - LOOKED_AT, 0) : at]
        if len(before) < LOOKED_AT:
            before = self._tail + before
        return is_index(match, before, self._ticks + text.count("`", 0, at))

    def _marker(self, index: int) -> str:
        """What stands in the text for a marker of ``passages[index]``."""
        between = "".join(self._between)
        self._between = []
        # "… [1][2].": both stand behind the same words; the full stop belongs to those before it.
        self._said = between.lstrip(_SENTENCE_REST) or self._said
        if not 0 <= index < len(self._passages):
            return " " if _HALF_MARKER.search(between) else ""
        passage = self._passages[index]
        if index not in self._texts:
            self._texts[index] = quotable(passage.text)
        start, stop, verified = self._texts[index].locate(self._said)
        key = (index, start, stop)
        if key not in self._markers:
            self._markers[key] = len(self.citations) + 1
            self.cited[self._markers[key]] = self._texts[index]
            self.citations.append(
                _citation(self._markers[key], passage, start, stop, verified=verified)
            )
        return f" [{self._markers[key]}]"


def _decided(text: str) -> int:
    """How much of ``text`` can be given out before more comes."""
    if "[" not in text:  # nearly every token; two patterns on each are a third of citing
        return len(text.rstrip())
    held = _UNDECIDED.search(text)
    return len(text) if held is None else held.start()


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
