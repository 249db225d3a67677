"""``/api/v1/docs``: documents and their pages."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from app.auth.caller import Caller
from app.auth.gate import require
from app.documents.schemas import (
    LARGEST,
    DocumentList,
    DocumentOut,
    ListQuery,
    PageOut,
    PageQuery,
)
from app.documents.service import Archive
from app.documents.store import Listing
from app.http.problems import documented_problems

router = APIRouter(prefix="/api/v1/docs", tags=["documents"])

Reader = Annotated[Caller, Depends(require("docs:read"))]
DocumentId = Annotated[str, Path(max_length=64, examples=["doc_ks2v7m4q6x3y5z7a2b4c6d8e9f"])]


async def archive(request: Request) -> Archive:
    """The archive of this process."""
    found: Archive = request.app.state.house.archive
    return found


ArchiveHere = Annotated[Archive, Depends(archive)]


@router.get("", operation_id="list_documents", responses=documented_problems(401, 403, 422, 503))
async def list_documents(
    caller: Reader,
    archive: ArchiveHere,
    query: Annotated[ListQuery, Query()],
) -> DocumentList:
    """List the caller's documents, newest first."""
    listing = Listing(
        limit=query.limit,
        after=query.after,
        tag=query.tag,
        status=query.status,
        title_part=query.q,
        include_deleted=query.include_deleted,
    )
    documents, has_more = await archive.list(caller.tenant_id, listing)
    items = [DocumentOut.of(document) for document in documents]
    return DocumentList(items=items, has_more=has_more, next=items[-1].id if has_more else None)


@router.get(
    "/{document_id}",
    operation_id="get_document",
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def get_document(
    caller: Reader, archive: ArchiveHere, document_id: DocumentId
) -> DocumentOut:
    """Show one document."""
    return DocumentOut.of(await archive.get(caller.tenant_id, document_id))


@router.get(
    "/{document_id}/pages/{page}",
    operation_id="get_page",
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def get_page(
    caller: Reader,
    archive: ArchiveHere,
    document_id: DocumentId,
    page: Annotated[int, Path(ge=1, le=LARGEST)],
    query: Annotated[PageQuery, Query()],
) -> PageOut:
    """Show the text of one page, the text that citations' offsets index."""
    return PageOut.of(await archive.page(caller.tenant_id, document_id, page, query.version))
