"""The archive's values: a document as callers see it, and one page of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Status = Literal["queued", "processing", "ready", "failed", "deleted"]


@dataclass(frozen=True, slots=True)
class Document:
    """A document with the facts of its current version, or of its newest while it has none."""

    id: str
    title: str
    filename: str
    media_type: str
    author: str | None
    tags: tuple[str, ...]
    version: int
    page_count: int | None
    size_bytes: int
    sha256: bytes
    status: Status
    error_code: str | None
    error_detail: str | None
    url: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StoredPage:
    """One page as it is quoted from; width and height in PDF points."""

    document_id: str
    version: int
    number: int
    text: str
    sha256: bytes
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file about to become a document's next version."""

    source: str | None
    filename: str
    title: str
    media_type: str
    content: bytes
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Claimed:
    """A version that one worker is working on; ``claim`` fences off whoever had it before."""

    document_id: str
    version: int
    title: str
    filename: str
    content: bytes
    claim: str
    #: The version that was current then, which the new one is compared with; None = none was.
    base_version: int | None
