"""The archive's values: a document as callers see it, its versions and pages, a new file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Status = Literal["queued", "processing", "ready", "failed", "deleted"]
VersionStatus = Literal["queued", "processing", "ready", "failed", "cancelled", "dead"]
#: Who sees a document: everybody of the tenant, a workspace's members, or its owner.
Visibility = Literal["tenant", "workspace", "private"]


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who sees a document besides administrators."""

    visibility: Visibility = "tenant"
    #: With ``workspace``, and only then.
    workspace_id: str | None = None
    #: The user who uploaded it; None for a key of nobody's.
    owner_id: str | None = None

    @property
    def space(self) -> str:
        """One word for who sees it, as the database has it: empty for the tenant."""
        seen_by = {"tenant": "", "workspace": self.workspace_id, "private": self.owner_id}
        return seen_by[self.visibility] or ""


@dataclass(frozen=True, slots=True)
class FileWarning:
    """Something about a version's file that its readers should know."""

    #: ``hidden_text``: it holds text that readers do not see; answers do not use it.
    code: Literal["hidden_text"]
    #: None when the file has no pages of its own, or there are too many to name.
    page: int | None
    characters: int


@dataclass(frozen=True, slots=True)
class Document:
    """A document with the facts of its current version, or of its newest while it has none."""

    id: str
    title: str
    filename: str
    media_type: str
    author: str | None
    tags: tuple[str, ...]
    metadata: Mapping[str, str]
    version: int
    page_count: int | None
    size_bytes: int
    sha256: bytes
    status: Status
    error_code: str | None
    error_detail: str | None
    url: str | None
    visibility: Visibility
    workspace_id: str | None
    owner_id: str | None
    warnings: tuple[FileWarning, ...]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a document; ``current`` is the one that answers."""

    number: int
    status: VersionStatus
    current: bool
    filename: str
    media_type: str
    size_bytes: int
    sha256: bytes
    page_count: int | None
    job_id: str
    error_code: str | None
    error_detail: str | None
    warnings: tuple[FileWarning, ...]
    created_at: datetime
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredPage:
    """One page as it is quoted from; width and height in PDF points, 0 without pages."""

    document_id: str
    version: int
    number: int
    text: str
    sha256: bytes
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file about to become a document's next version; its bytes are in the blob store already."""

    filename: str
    media_type: str
    size_bytes: int
    sha256: bytes
    #: Where it came from, if that names a document: a folder's file, a URL.
    source: str | None = None
    url: str | None = None
    #: As the caller gave it; None = from the file itself.
    title: str | None = None
    author: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: Of a new document; a next version changes nothing of it.
    sharing: Sharing = field(default_factory=Sharing)

    @property
    def fallback_title(self) -> str:
        """What its document is called while nothing better is known."""
        return self.filename.rpartition(".")[0].replace("_", " ").strip() or self.filename


@dataclass(frozen=True, slots=True)
class Claimed:
    """A version that one worker is working on; ``claim`` fences off whoever had it before."""

    document_id: str
    version: int
    title: str
    #: The title its chunks are embedded with; None before the first version.
    index_title: str | None
    filename: str
    media_type: str
    sha256: bytes
    claim: str
    #: Whose the document is to see; see :class:`Sharing`.
    space: str
    #: The newest published version, which this one is compared with; None = none was.
    base_version: int | None


@dataclass(frozen=True, slots=True)
class Removed:
    """What became invisible when a document was deleted."""

    chunks: int
    vectors: int
    cache_entries: int = 0
    memory_turns: int = 0
