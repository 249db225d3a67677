"""The wire shapes behind the documents page and the sidebar: jobs, versions, limits, who one is.

They are read as leniently as ``schemas.py`` reads answers.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from streamlit_app.schemas import Document, Json, message_of

#: Below this share of a limit one is told.
NEARLY_USED_UP = 0.2


@dataclass(frozen=True)
class Job:
    """The work on one version of a document."""

    id: str
    status: str
    step: str | None
    progress: int
    error: str | None
    pages_done: int
    pages_total: int | None
    chunks_reused: int

    @property
    def has_succeeded(self) -> bool:
        return self.status == "succeeded"

    @classmethod
    def from_json(cls, data: Json) -> Self:
        total = data.get("pages_total")
        return cls(
            id=str(data["id"]),
            status=str(data["status"]),
            step=data.get("step"),
            progress=min(max(int(data["progress"]), 0), 100),
            error=message_of(data.get("error")),
            pages_done=int(data.get("pages_done") or 0),
            pages_total=None if total is None else int(total),
            chunks_reused=int(data.get("chunks_reused") or 0),
        )


@dataclass(frozen=True)
class Accepted:
    """What an upload is answered with; ``job`` is None when these bytes are known already."""

    document: Document
    job: Job | None

    @classmethod
    def from_json(cls, data: Json) -> Self:
        job = data.get("job")
        return cls(Document.from_json(data["document"]), Job.from_json(job) if job else None)


@dataclass(frozen=True)
class Version:
    """One version of a document."""

    number: int
    status: str
    is_current: bool
    filename: str
    page_count: int | None
    error: str | None
    uploaded_at: str

    @classmethod
    def from_json(cls, data: Json) -> Self:
        pages = data.get("page_count")
        return cls(
            number=int(data["version"]),
            status=str(data["status"]),
            is_current=bool(data["current"]),
            filename=str(data.get("filename") or ""),
            page_count=None if pages is None else int(pages),
            error=message_of(data.get("error")),
            uploaded_at=str(data.get("uploaded_at") or ""),
        )


@dataclass(frozen=True)
class Limit:
    """One limit of the caller, and what is left of it."""

    name: str
    limit: int
    remaining: int
    reset_at: datetime

    @property
    def is_nearly_used_up(self) -> bool:
        return self.remaining <= self.limit * NEARLY_USED_UP

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(
            name=str(data["name"]),
            limit=max(int(data["limit"]), 1),
            remaining=max(int(data["remaining"]), 0),
            reset_at=datetime.fromisoformat(str(data["reset_at"])),
        )


@dataclass(frozen=True)
class Me:
    """Who the API takes the visitor for."""

    kind: str
    tenant: str
    email: str | None
    scopes: frozenset[str]

    @classmethod
    def from_json(cls, data: Json) -> Self:
        user: Json = data.get("user") or {}
        return cls(
            kind=str(data["kind"]),
            tenant=str(data["tenant"]["name"]),
            email=user.get("email"),
            scopes=frozenset(map(str, data["scopes"])),
        )
