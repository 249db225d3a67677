"""The room's wire shapes: jobs, and the answer to an upload (design: contract, Documents)."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.documents.document import Document
from app.documents.edit_schemas import MAX_TAGS, Author, SharingIn, Tag, Title
from app.documents.job import Job, JobStatus
from app.documents.schemas import DocumentOut
from app.http.wire import Time


class JobError(BaseModel):
    """Why a job ended without success."""

    code: str
    detail: str


class JobOut(BaseModel):
    """The work on one version of a document."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "job_ks2v7m4q6x3y5z7a2b4c6d8e9f",
                "document_id": "doc_ks2v7m4q6x3y5z7a2b4c6d8e9f",
                "version": 1,
                "status": "running",
                "step": "embed",
                "progress": 40,
                "attempts": 1,
                "error": None,
                "pages_done": 25,
                "pages_total": 65,
                "chunks_embedded": 0,
                "chunks_reused": 0,
                "created_at": "2026-11-24T09:00:00.000Z",
                "updated_at": "2026-11-24T09:00:02.000Z",
            }
        }
    )

    id: str
    document_id: str
    version: int
    status: JobStatus = Field(
        description="`failed`: the file cannot be read; `dead`: given up after its attempts."
    )
    step: Literal["parse", "chunk", "embed", "index"] | None
    progress: int = Field(ge=0, le=100, description="percent")
    attempts: int
    error: JobError | None
    pages_done: int
    pages_total: int | None
    chunks_embedded: int
    chunks_reused: int
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, job: Job) -> "JobOut":
        """The wire shape of ``job``."""
        error = None
        if job.error_code is not None:
            error = JobError(code=job.error_code, detail=job.error_detail or "")
        return cls.model_validate(
            {
                "id": job.id,
                "document_id": job.document_id,
                "version": job.version,
                "status": job.status,
                "step": job.step,
                "progress": job.progress,
                "attempts": job.attempts,
                "error": error,
                "pages_done": job.pages_done,
                "pages_total": job.pages_total,
                "chunks_embedded": job.chunks_embedded,
                "chunks_reused": job.chunks_reused,
                "created_at": job.created_at,
                "updated_at": job.updated_at,
            }
        )


class JobList(BaseModel):
    """One page of a list of jobs."""

    items: list[JobOut]
    has_more: bool
    next: str | None = Field(description="Pass as `after` to go on.")


class JobQuery(BaseModel):
    """What a list of jobs is narrowed by."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=100)
    after: Annotated[str | None, StringConstraints(max_length=64, pattern=r"^[^\x00]*$")] = None
    status: JobStatus | None = None


class Accepted(BaseModel):
    """A document and the job that works on its newest version; null when nothing is to do."""

    document: DocumentOut
    job: JobOut | None
    unchanged: bool = Field(False, description="The bytes are those of a version already known.")

    @classmethod
    def of(cls, document: Document, job: Job | None) -> "Accepted":
        """The wire shape of what an upload led to."""
        shape = None if job is None else JobOut.of(job)
        return cls(document=DocumentOut.of(document), job=shape, unchanged=job is None)


class UrlUpload(SharingIn):
    """A document to be fetched."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    title: Title | None = None
    author: Author | None = None
    tags: list[Tag] = Field([], max_length=MAX_TAGS)
