"""What a search is given and what it finds."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose chunks a search may see; None means no restriction beyond the tenant."""

    tenant_id: str
    document_ids: tuple[str, ...] | None = None
    #: A document matches when it has any of these tags.
    tags: tuple[str, ...] | None = None
    #: Search the versions that were current then, not today's.
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk that a search found, with where it stands and why it was found."""

    id: str
    document_id: str
    version: int
    title: str
    filename: str
    tags: tuple[str, ...]
    url: str | None
    #: 1-based.
    page: int
    #: Span of the text in the page's text, in characters.
    start: int
    end: int
    heading: str
    text: str
    #: float32 (n, 6) as bytes: start, end, x0, y0, x1, y1 of each word; PDF points, from top-left.
    boxes: bytes
    #: 0..1: how much speaks for it (``app/retrieval/rerank.py``), comparable within one search.
    score: float
    #: Cosine similarity to the question, -1..1; None when the question was not embedded.
    similarity: float | None
    #: 1-based rank in each ranking; None when that ranking did not bring it.
    dense_rank: int | None
    text_rank: int | None
