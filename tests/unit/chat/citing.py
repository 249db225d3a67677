"""A whole text cited at once, for tests."""

from collections.abc import Sequence

from app.chat.answer import Citation
from app.chat.citations import Citer
from app.retrieval.passage import Passage


def cite(text: str, passages: Sequence[Passage]) -> tuple[str, tuple[Citation, ...]]:
    """The text with its markers renumbered, and the quotes they name."""
    citer = Citer(passages)
    said = citer.feed(text) + citer.end()
    return said, tuple(citer.citations)
