"""The archive's wire shapes (design: contract, Documents)."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.documents.document import Document, FileWarning, Status, StoredPage, Visibility
from app.http.wire import Time


class DocumentError(BaseModel):
    """Why the newest version could not be ingested."""

    code: str
    detail: str


class WarningOut(BaseModel):
    """Something that readers of a document should know of its file.

    `hidden_text`: it holds text that nobody sees who reads it; no answer uses that.
    """

    code: Literal["hidden_text"]
    page: int | None = Field(description="null = of the whole file")
    characters: int

    @classmethod
    def all_of(cls, warnings: Iterable[FileWarning]) -> "list[WarningOut]":
        """The wire shapes of ``warnings``."""
        return [cls(code=w.code, page=w.page, characters=w.characters) for w in warnings]


class DocumentOut(BaseModel):
    """A document."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "doc_ks2v7m4q6x3y5z7a2b4c6d8e9f",
                "title": "Data Storage User Guide",
                "filename": "user_guide.pdf",
                "media_type": "application/pdf",
                "author": None,
                "tags": ["flight-software"],
                "metadata": {"owner": "storage team"},
                "version": 1,
                "page_count": 65,
                "size_bytes": 2082158,
                "content_hash": "sha256:" + "0" * 64,
                "status": "ready",
                "error": None,
                "url": None,
                "visibility": "tenant",
                "workspace_id": None,
                "owner_id": None,
                "warnings": [],
                "uploaded_at": "2026-11-21T09:00:00Z",
                "updated_at": "2026-11-21T09:00:00Z",
            }
        }
    )

    id: str
    title: str
    filename: str
    media_type: str
    author: str | None
    tags: list[str]
    metadata: dict[str, str]
    version: int
    page_count: int | None
    size_bytes: int
    content_hash: str
    status: Status
    error: DocumentError | None
    url: str | None
    visibility: Visibility
    workspace_id: str | None = Field(description="Whose members see it, with `workspace`.")
    owner_id: str | None = Field(description="The user who uploaded it; null = a key of nobody's.")
    warnings: list[WarningOut]
    uploaded_at: Time
    updated_at: Time

    @classmethod
    def of(cls, document: Document) -> "DocumentOut":
        """The wire shape of ``document``."""
        error = None
        if document.error_code is not None:
            error = DocumentError(code=document.error_code, detail=document.error_detail or "")
        return cls(
            id=document.id,
            title=document.title,
            filename=document.filename,
            media_type=document.media_type,
            author=document.author,
            tags=list(document.tags),
            metadata=dict(document.metadata),
            version=document.version,
            page_count=document.page_count,
            size_bytes=document.size_bytes,
            content_hash=f"sha256:{document.sha256.hex()}",
            status=document.status,
            error=error,
            url=document.url,
            visibility=document.visibility,
            workspace_id=document.workspace_id,
            owner_id=document.owner_id,
            warnings=WarningOut.all_of(document.warnings),
            uploaded_at=document.created_at,
            updated_at=document.updated_at,
        )


# NUL cannot be stored, so nothing stored can match it.
_Text = Annotated[str | None, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]


class ListQuery(BaseModel):
    """What a list of documents is narrowed by."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=100)
    after: _Text = Field(None, description="The `next` of the page before.")
    tag: _Text = None
    status: Status | None = None
    q: _Text = Field(None, description="Part of the title or file name.")
    include_deleted: bool = False
    visibility: Visibility | None = None
    workspace_id: _Text = None


#: PostgreSQL's integer; larger numbers are not versions or pages of anything.
LARGEST = 2_147_483_647


class PageQuery(BaseModel):
    """Which version of a page is wanted; a misspelt one must not become the current one."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(None, ge=1, le=LARGEST, description="null = the current one")


class DocumentList(BaseModel):
    """One page of a list of documents."""

    items: list[DocumentOut]
    has_more: bool
    next: str | None = Field(description="Pass as `after` to go on.")


class PageOut(BaseModel):
    """One page; offsets of citations index ``text``."""

    document_id: str
    version: int
    page: int
    text: str
    content_hash: str
    width: float = Field(description="PDF points")
    height: float = Field(description="PDF points")

    @classmethod
    def of(cls, page: StoredPage) -> "PageOut":
        """The wire shape of ``page``."""
        return cls(
            document_id=page.document_id,
            version=page.version,
            page=page.number,
            text=page.text,
            content_hash=f"sha256:{page.sha256.hex()}",
            width=page.width,
            height=page.height,
        )
