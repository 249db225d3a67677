"""The wire shapes of versions, and of what callers do to documents (design: contract)."""

from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict

from app.documents.document import Removed, Sharing, Version, VersionStatus, Visibility
from app.documents.schemas import LARGEST, DocumentError, PageQuery, WarningOut
from app.documents.store import Edit
from app.errors import InvalidRequest
from app.http.wire import WITHOUT_NUL, Time

# Lines of text that can be stored: no control characters, so that they stay one line.
LINE = r"^[^\x00-\x1f\x7f]*$"
FILLED_LINE = r"^[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\s][^\x00-\x1f\x7f]*$"


def _line(max_length: int) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, max_length=max_length, pattern=LINE)


def _filled_line(max_length: int) -> StringConstraints:
    return StringConstraints(
        strip_whitespace=True, min_length=1, max_length=max_length, pattern=FILLED_LINE
    )


Title = Annotated[str, _filled_line(500)]
Author = Annotated[str, _line(200)]
WorkspaceId = Annotated[str, StringConstraints(max_length=64, pattern=WITHOUT_NUL)]
Tag = Annotated[str, _filled_line(64)]
Metadata = Annotated[
    dict[Annotated[str, _filled_line(64)], Annotated[str, _line(1000)] | None],
    Field(max_length=50),
    # What pydantic says of constrained names lets all others in.
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": 50,
            "propertyNames": {"minLength": 1, "maxLength": 64, "pattern": FILLED_LINE},
            "additionalProperties": {
                "type": ["string", "null"],
                "maxLength": 1000,
                "pattern": LINE,
            },
        }
    ),
]
MAX_TAGS = 50
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS)]


#: What :func:`_check_sharing` checks, as OpenAPI tells it.
_SHARED_WHOLLY: JsonDict = {
    "if": {"properties": {"visibility": {"const": "workspace"}}, "required": ["visibility"]},
    "then": {"properties": {"workspace_id": {"type": "string"}}, "required": ["workspace_id"]},
    "else": {"properties": {"workspace_id": {"type": "null"}}},
}


def _check_sharing(visibility: Visibility | None, workspace_id: str | None) -> None:
    if (visibility == "workspace") != (workspace_id is not None):
        raise ValueError("workspace_id goes with the visibility 'workspace', and only with it")


class SharingIn(BaseModel):
    """Who is to see a new document."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_SHARED_WHOLLY)

    visibility: Visibility = Field(
        "tenant", description="`private`: the caller's user alone, and administrators."
    )
    workspace_id: WorkspaceId | None = Field(None, description="With `workspace`, and only then.")

    @model_validator(mode="after")
    def _is_whole(self) -> "SharingIn":
        _check_sharing(self.visibility, self.workspace_id)
        return self

    def to_sharing(self, user_id: str | None) -> Sharing:
        """The sharing of a document that the user of that id uploads.

        Raises:
            InvalidRequest: it is to be private, and the caller is no user.
        """
        if self.visibility == "private" and user_id is None:
            raise InvalidRequest("Only a user has private documents; this credential is nobody's.")
        return Sharing(self.visibility, self.workspace_id, user_id)


class DocumentEdit(BaseModel):
    """What is to change; fields left out stay as they are."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_SHARED_WHOLLY)

    title: Title | None = None
    author: Author | None = Field(None, description="null takes it away")
    tags: list[Tag] | None = Field(None, max_length=MAX_TAGS, description="all of them")
    metadata: Metadata | None = Field(None, description="Names to set; null takes one away.")
    visibility: Visibility | None = Field(
        None, description="Who sees it; its owner and administrators say so."
    )
    workspace_id: WorkspaceId | None = Field(None, description="With `workspace`, and only then.")

    @model_validator(mode="after")
    def _is_whole(self) -> "DocumentEdit":
        _check_sharing(self.visibility, self.workspace_id)
        return self

    def to_edit(self) -> Edit:
        """What the archive is asked to do."""
        tags = None if self.tags is None else tuple(dict.fromkeys(self.tags))
        clears = "author" in self.model_fields_set and not self.author
        sharing = self.visibility and Sharing(self.visibility, self.workspace_id)
        return Edit(self.title, self.author, clears, tags, self.metadata, sharing)


class RemovedOut(BaseModel):
    """What is not answered from any more."""

    chunks: int
    vectors: int
    cache_entries: int
    memory_turns: int


class DeletedOut(BaseModel):
    """What a deletion removed, store by store."""

    removed: RemovedOut

    @classmethod
    def of(cls, removed: Removed) -> "DeletedOut":
        """The wire shape of ``removed``."""
        return cls(
            removed=RemovedOut(
                chunks=removed.chunks,
                vectors=removed.vectors,
                cache_entries=removed.cache_entries,
                memory_turns=removed.memory_turns,
            )
        )


class VersionOut(BaseModel):
    """One version of a document."""

    version: int
    status: VersionStatus
    current: bool
    filename: str
    media_type: str
    size_bytes: int
    content_hash: str
    page_count: int | None
    job_id: str
    error: DocumentError | None
    warnings: list[WarningOut]
    uploaded_at: Time
    published_at: Time | None

    @classmethod
    def of(cls, version: Version) -> "VersionOut":
        """The wire shape of ``version``."""
        error = None
        if version.error_code is not None:
            error = DocumentError(code=version.error_code, detail=version.error_detail or "")
        return cls(
            version=version.number,
            status=version.status,
            current=version.current,
            filename=version.filename,
            media_type=version.media_type,
            size_bytes=version.size_bytes,
            content_hash=f"sha256:{version.sha256.hex()}",
            page_count=version.page_count,
            job_id=version.job_id,
            error=error,
            warnings=WarningOut.all_of(version.warnings),
            uploaded_at=version.created_at,
            published_at=version.published_at,
        )


class VersionList(BaseModel):
    """One page of a document's versions, newest first."""

    items: list[VersionOut]
    has_more: bool
    next: str | None = Field(description="Pass as `after` to go on.")


class VersionQuery(BaseModel):
    """Which part of the history is wanted."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=100)
    after: int | None = Field(None, ge=1, le=LARGEST)


class ImageQuery(PageQuery):
    """Which page image is wanted."""

    highlight: Annotated[str | None, StringConstraints(max_length=64, pattern=r"^[^\x00]*$")] = (
        Field(None, description="Id of an answer whose quotes are marked.")
    )


class TagOut(BaseModel):
    """A tag, and how many documents carry it."""

    tag: str
    documents: int


class TagList(BaseModel):
    """All tags, in alphabetical order."""

    items: list[TagOut]


class TagRename(BaseModel):
    """A tag's new name."""

    model_config = ConfigDict(extra="forbid")

    name: Tag


class TagsChanged(BaseModel):
    """How many documents carried the tag."""

    documents: int
