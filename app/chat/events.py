"""What happens while a question is answered, in the order in which a reader is told.

One :class:`Begun`, then how the reading of a whole document advances, deltas, citations and resets
as they come, then exactly one :class:`Answered`; an error raised instead of it is the end as well.
The deltas since the last reset make up the answer's text, and its markers are final: nothing that
was told changes later.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from app.chat.answer import Answer, Citation
from app.llm.completion import Outcome
from app.retrieval.search import Retrieved


@dataclass(frozen=True, slots=True)
class Begun:
    """The passages are found; a model is about to be asked."""

    answer_id: str
    session_id: str
    retrieved: Retrieved


@dataclass(frozen=True, slots=True)
class Advanced:
    """So many parts of a whole document have been read; text follows once all are."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Said:
    """The next piece of the answer's text; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Cited:
    """The quote behind a marker that was just said for the first time."""

    citation: Citation


@dataclass(frozen=True, slots=True)
class Restarted:
    """Discard text and citations so far: the provider died, another one starts over."""

    reason: Outcome


@dataclass(frozen=True, slots=True)
class Answered:
    """The end: the whole answer."""

    answer: Answer


ChatEvent = Begun | Advanced | Said | Cited | Restarted | Answered
#: Begins to make an answer.
Produce = Callable[[], AsyncGenerator[ChatEvent]]
