"""How files come in (``POST`` and ``PUT`` of ``/api/v1/docs``), and ``/api/v1/jobs``."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from app.auth.caller import Caller
from app.auth.gate import require
from app.documents.document import Visibility
from app.documents.edit_schemas import Author, Tags, Title, WorkspaceId
from app.documents.routes import ArchiveHere, By, DocumentId, Reader, Writer
from app.http.idempotency import DOCUMENTED_KEY
from app.http.problems import documented_problems
from app.ingestion.board import JobBoard
from app.ingestion.door import Door
from app.ingestion.intake import Intake, Taken, Upload
from app.ingestion.schemas import Accepted, JobList, JobOut, JobQuery, UrlUpload

router = APIRouter(prefix="/api/v1")

JobId = Annotated[str, Path(max_length=64, examples=["job_ks2v7m4q6x3y5z7a2b4c6d8e9f"])]
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        # A field of a form is there or not; it is never null.
                        "title": TypeAdapter(Title).json_schema(),
                        "author": TypeAdapter(Author).json_schema(),
                        "tags": TypeAdapter(Tags).json_schema(),
                    },
                }
            },
        },
    }
}
_FORM = _BODY["requestBody"]["content"]["multipart/form-data"]["schema"]
_BODY_OR_URL = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    **_FORM,
                    "properties": {
                        **_FORM["properties"],
                        "visibility": TypeAdapter(Visibility).json_schema(),
                        "workspace_id": TypeAdapter(WorkspaceId).json_schema(),
                    },
                }
            },
            "application/json": {"schema": UrlUpload.model_json_schema()},
        },
    }
}
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    200: {"model": Accepted, "description": "These bytes are answered from already"},
    202: {"model": Accepted, "description": "Accepted; the job is at `Location`"},
}
_REFUSED = documented_problems(401, 403, 404, 409, 413, 415, 422, 503)


async def intake(request: Request) -> Intake:
    """The intake of this process."""
    found: Intake = request.app.state.house.intake
    return found


async def board(request: Request) -> JobBoard:
    """The job board of this process."""
    found: JobBoard = request.app.state.house.board
    return found


IntakeHere = Annotated[Intake, Depends(intake)]
BoardHere = Annotated[JobBoard, Depends(board)]


async def door(request: Request, caller: Writer) -> Door:
    """The way in of one request."""
    return Door(request, caller)


DoorHere = Annotated[Door, Depends(door)]


@router.post(
    "/docs",
    tags=["documents"],
    operation_id="upload_document",
    status_code=202,
    response_model=None,
    responses={**_ACCEPTED, **_REFUSED},
    openapi_extra={**_BODY_OR_URL, "parameters": [DOCUMENTED_KEY]},
)
async def upload_document(caller: Writer, door: DoorHere, intake: IntakeHere, by: By) -> Response:
    """Upload a file, or name a URL to fetch.

    A file whose bytes are a document's newest version is that document; nothing is done twice. A
    URL that was fetched before becomes the next version of the same document.
    """
    asked = await (door.named() if door.is_json() else door.multipart(new=True))

    async def take(upload: Upload) -> Taken:
        return await intake.add(caller.tenant_id, upload, by=by)

    return await door.answer(asked, take)


@router.put(
    "/docs/{document_id}",
    tags=["documents"],
    operation_id="replace_document",
    status_code=202,
    response_model=None,
    responses={**_ACCEPTED, **_REFUSED},
    openapi_extra={**_BODY, "parameters": [DOCUMENTED_KEY]},
)
async def replace_document(
    caller: Writer,
    door: DoorHere,
    intake: IntakeHere,
    archive: ArchiveHere,
    by: By,
    document_id: DocumentId,
) -> Response:
    """Upload a document's next version; the present one answers until it is ready.

    Title, author and tags, where they are sent, are changed at once, as `PATCH` does.
    """
    await archive.get(caller.tenant_id, document_id)  # before ten megabytes are read
    upload = await door.multipart(new=False)

    async def take(upload: Upload) -> Taken:
        return await intake.replace(caller.tenant_id, document_id, upload, by=by)

    return await door.answer(upload, take)


@router.get(
    "/jobs",
    tags=["jobs"],
    operation_id="list_jobs",
    responses=documented_problems(401, 403, 409, 422, 503),
)
async def list_jobs(
    caller: Reader, board: BoardHere, query: Annotated[JobQuery, Query()]
) -> JobList:
    """List the caller's jobs, newest first; `status=dead` lists those that were given up."""
    return await _listed(board, caller, query)


@router.get(
    "/admin/jobs",
    tags=["admin"],
    operation_id="list_tenants_jobs",
    responses=documented_problems(401, 403, 409, 422, 503),
)
async def list_tenants_jobs(
    caller: Annotated[Caller, Depends(require("admin"))],
    board: BoardHere,
    query: Annotated[JobQuery, Query()],
) -> JobList:
    """List all jobs of the tenant, as `GET /api/v1/jobs` does, for those who may not read it."""
    return await _listed(board, caller, query)


async def _listed(board: JobBoard, caller: Caller, query: JobQuery) -> JobList:
    jobs, has_more = await board.list(
        caller.tenant_id, status=query.status, after=query.after, limit=query.limit
    )
    items = [JobOut.of(job) for job in jobs]
    return JobList(items=items, has_more=has_more, next=items[-1].id if has_more else None)


@router.get(
    "/jobs/{job_id}",
    tags=["jobs"],
    operation_id="get_job",
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def get_job(caller: Reader, board: BoardHere, job_id: JobId) -> JobOut:
    """Show how far a job has come."""
    return JobOut.of(await board.get(caller.tenant_id, job_id))


@router.post(
    "/jobs/{job_id}/cancel",
    tags=["jobs"],
    operation_id="cancel_job",
    responses=documented_problems(401, 403, 404, 409, 422, 503),
)
async def cancel_job(caller: Writer, board: BoardHere, by: By, job_id: JobId) -> JobOut:
    """Cancel a job; the document goes on answering from the version it has."""
    return JobOut.of(await board.cancel(caller.tenant_id, job_id, by=by))


@router.post(
    "/jobs/{job_id}/retry",
    tags=["jobs"],
    operation_id="retry_job",
    status_code=202,
    responses=documented_problems(401, 403, 404, 409, 422, 503),
)
async def retry_job(caller: Writer, board: BoardHere, by: By, job_id: JobId) -> JobOut:
    """Try a job once more that failed, was cancelled or was given up."""
    return JobOut.of(await board.retry(caller.tenant_id, job_id, by=by))
