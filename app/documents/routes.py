"""``/api/v1/docs``: documents, versions and pages; new files come in by ``ingestion/routes.py``."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from app.auth.audit import Origin
from app.auth.caller import Caller
from app.auth.gate import origin, require
from app.documents.edit_schemas import (
    DeletedOut,
    DocumentEdit,
    ImageQuery,
    TagList,
    TagOut,
    TagRename,
    TagsChanged,
    VersionList,
    VersionOut,
    VersionQuery,
)
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
from app.http.convertors import TEXT
from app.http.problems import documented_problems

router = APIRouter(prefix="/api/v1/docs", tags=["documents"])

Reader = Annotated[Caller, Depends(require("docs:read"))]
Writer = Annotated[Caller, Depends(require("docs:write"))]
By = Annotated[Origin, Depends(origin)]
Number = Annotated[int, Path(ge=1, le=LARGEST)]
TagName = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$")]
DocumentId = Annotated[str, Path(max_length=64, examples=["doc_ks2v7m4q6x3y5z7a2b4c6d8e9f"])]


async def archive(request: Request) -> Archive:
    """The archive of this process."""
    found: Archive = request.app.state.house.archive
    return found


ArchiveHere = Annotated[Archive, Depends(archive)]

#: How OpenAPI says "a file"; without a schema, generated clients leave the answer out.
_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


@router.get(
    "", operation_id="list_documents", responses=documented_problems(401, 403, 409, 422, 503)
)
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
        visibility=query.visibility,
        workspace_id=query.workspace_id,
    )
    documents, has_more = await archive.list(caller.tenant_id, listing)
    items = [DocumentOut.of(document) for document in documents]
    return DocumentList(items=items, has_more=has_more, next=items[-1].id if has_more else None)


@router.get("/tags", operation_id="list_tags", responses=documented_problems(401, 403, 503))
async def list_tags(caller: Reader, archive: ArchiveHere) -> TagList:
    """List the tags of the caller's documents."""
    found = await archive.tags(caller.tenant_id)
    return TagList(items=[TagOut(tag=tag, documents=count) for tag, count in found.items()])


@router.patch(
    f"/tags/{{tag:{TEXT}}}",
    operation_id="rename_tag",
    responses=documented_problems(401, 403, 404, 413, 415, 422, 503),
)
async def rename_tag(
    caller: Writer, archive: ArchiveHere, by: By, tag: TagName, body: TagRename
) -> TagsChanged:
    """Rename a tag on every document; two tags become one when the new name is in use."""
    changed = await archive.replace_tag(caller.tenant_id, tag, body.name, by=by)
    return TagsChanged(documents=changed)


@router.delete(
    f"/tags/{{tag:{TEXT}}}",
    operation_id="remove_tag",
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def remove_tag(caller: Writer, archive: ArchiveHere, by: By, tag: TagName) -> TagsChanged:
    """Take a tag away from every document."""
    changed = await archive.replace_tag(caller.tenant_id, tag, None, by=by)
    return TagsChanged(documents=changed)


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
    page: Number,
    query: Annotated[PageQuery, Query()],
) -> PageOut:
    """Show the text of one page, the text that citations' offsets index."""
    return PageOut.of(await archive.page(caller.tenant_id, document_id, page, query.version))


@router.get(
    "/{document_id}/pages/{page}/image",
    operation_id="get_page_image",
    response_class=Response,
    responses={
        200: {"content": {"image/png": _BYTES}, "description": "The page at about 110 dpi"},
        **documented_problems(401, 403, 404, 422, 503),
    },
)
async def get_page_image(
    caller: Reader,
    archive: ArchiveHere,
    document_id: DocumentId,
    page: Number,
    query: Annotated[ImageQuery, Query()],
) -> Response:
    """Show a page as a picture, with an answer's quotes marked."""
    png = await archive.page_image(
        caller.tenant_id, document_id, page, version=query.version, answer_id=query.highlight
    )
    headers = {"Cache-Control": "private, max-age=600", "Vary": "Authorization, X-API-Key"}
    return Response(png, media_type="image/png", headers=headers)


@router.get(
    "/{document_id}/content",
    operation_id="get_content",
    response_class=Response,
    responses={
        200: {"content": {"*/*": _BYTES}, "description": "The file, of its own type"},
        **documented_problems(401, 403, 404, 422, 503),
    },
)
async def get_content(
    caller: Reader,
    archive: ArchiveHere,
    document_id: DocumentId,
    query: Annotated[PageQuery, Query()],
) -> Response:
    """Download the file as it was uploaded."""
    version, content = await archive.content(caller.tenant_id, document_id, query.version)
    # Always a download: a browser that showed an uploaded page would run its scripts as ours.
    name = f"attachment; filename*=UTF-8''{quote(version.filename, safe='')}"
    return Response(
        content,
        media_type=version.media_type,
        headers={
            "Content-Disposition": name,
            "ETag": f'"{version.sha256.hex()}"',
            "Content-Security-Policy": "sandbox",
        },
    )


@router.patch(
    "/{document_id}",
    operation_id="edit_document",
    responses=documented_problems(401, 403, 404, 409, 413, 415, 422, 503),
)
async def edit_document(
    caller: Writer, archive: ArchiveHere, by: By, document_id: DocumentId, body: DocumentEdit
) -> DocumentOut:
    """Change a document's title, author, tags, metadata, or who sees it."""
    edit = body.to_edit()
    return DocumentOut.of(await archive.edit(caller.tenant_id, document_id, edit, by=by))


@router.delete(
    "/{document_id}",
    operation_id="delete_document",
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def delete_document(
    caller: Writer, archive: ArchiveHere, by: By, document_id: DocumentId
) -> DeletedOut:
    """Delete a document: from now on nothing is answered from it. It can be restored."""
    return DeletedOut.of(await archive.delete(caller.tenant_id, document_id, by=by))


@router.post(
    "/{document_id}/restore",
    operation_id="restore_document",
    responses=documented_problems(401, 403, 404, 409, 422, 503),
)
async def restore_document(
    caller: Writer, archive: ArchiveHere, by: By, document_id: DocumentId
) -> DocumentOut:
    """Take a deletion back."""
    return DocumentOut.of(await archive.restore(caller.tenant_id, document_id, by=by))


@router.get(
    "/{document_id}/versions",
    operation_id="list_versions",
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def list_versions(
    caller: Reader,
    archive: ArchiveHere,
    document_id: DocumentId,
    query: Annotated[VersionQuery, Query()],
) -> VersionList:
    """List a document's versions, newest first."""
    versions, has_more = await archive.versions(
        caller.tenant_id, document_id, after=query.after, limit=query.limit
    )
    items = [VersionOut.of(version) for version in versions]
    following = str(items[-1].version) if has_more else None
    return VersionList(items=items, has_more=has_more, next=following)


@router.post(
    "/{document_id}/versions/{version}/activate",
    operation_id="activate_version",
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def activate_version(
    caller: Writer, archive: ArchiveHere, by: By, document_id: DocumentId, version: Number
) -> DocumentOut:
    """Answer from this version from now on."""
    return DocumentOut.of(await archive.activate(caller.tenant_id, document_id, version, by=by))
