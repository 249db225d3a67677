"""``/api/v1/workspaces``: parts of a tenant, and who belongs to them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from app.auth.audit import Origin
from app.auth.caller import Caller
from app.auth.gate import origin, require
from app.auth.people.admin_routes import UserId
from app.auth.workspaces.schemas import (
    MembershipIn,
    MembershipList,
    MembershipOut,
    WorkspaceIn,
    WorkspaceList,
    WorkspaceOut,
)
from app.auth.workspaces.service import Workspaces
from app.http.problems import documented_problems
from app.http.wire import WITHOUT_NUL, PageOfList

router = APIRouter(prefix="/api/v1/workspaces", tags=["workspaces"])

Reader = Annotated[Caller, Depends(require("docs:read"))]
Writer = Annotated[Caller, Depends(require("docs:write"))]
By = Annotated[Origin, Depends(origin)]
WorkspaceId = Annotated[
    str, Path(max_length=64, pattern=WITHOUT_NUL, examples=["wsp_ks2v7m4q6x3y5z7a2b4c6d8e9f"])
]


async def workspaces(request: Request) -> Workspaces:
    """The workspaces of the caller's tenant."""
    found: Workspaces = request.app.state.house.people.workspaces
    return found


WorkspacesHere = Annotated[Workspaces, Depends(workspaces)]


@router.get("", operation_id="list_workspaces", responses=documented_problems(401, 403, 422, 503))
async def list_workspaces(
    caller: Reader, workspaces: WorkspacesHere, query: Annotated[PageOfList, Query()]
) -> WorkspaceList:
    """List the workspaces that the caller belongs to; for administrators all of the tenant."""
    found, more = await workspaces.list(caller, after=query.after, limit=query.limit)
    items = [WorkspaceOut.of(workspace) for workspace in found]
    return WorkspaceList(items=items, has_more=more, next=items[-1].id if more else None)


@router.post(
    "",
    operation_id="create_workspace",
    status_code=201,
    responses=documented_problems(401, 403, 409, 413, 415, 422, 503),
)
async def create_workspace(
    caller: Writer, workspaces: WorkspacesHere, by: By, body: WorkspaceIn
) -> WorkspaceOut:
    """Make a workspace; its maker manages it."""
    return WorkspaceOut.of(await workspaces.make(caller, body.name, by))


@router.get(
    "/{workspace_id}",
    operation_id="get_workspace",
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def get_workspace(
    caller: Reader, workspaces: WorkspacesHere, workspace_id: WorkspaceId
) -> WorkspaceOut:
    """Show one workspace."""
    return WorkspaceOut.of(await workspaces.get(caller, workspace_id))


@router.patch(
    "/{workspace_id}",
    operation_id="rename_workspace",
    responses=documented_problems(401, 403, 404, 409, 413, 415, 422, 503),
)
async def rename_workspace(
    caller: Writer,
    workspaces: WorkspacesHere,
    by: By,
    workspace_id: WorkspaceId,
    body: WorkspaceIn,
) -> WorkspaceOut:
    """Call a workspace something else."""
    return WorkspaceOut.of(await workspaces.rename(caller, workspace_id, body.name, by))


@router.delete(
    "/{workspace_id}",
    operation_id="delete_workspace",
    status_code=204,
    response_class=Response,
    responses=documented_problems(401, 403, 404, 409, 422, 503),
)
async def delete_workspace(
    caller: Writer, workspaces: WorkspacesHere, by: By, workspace_id: WorkspaceId
) -> None:
    """Remove a workspace; refused while it holds documents, deleted ones too."""
    await workspaces.remove(caller, workspace_id, by)


@router.get(
    "/{workspace_id}/members",
    operation_id="list_workspace_members",
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def list_workspace_members(
    caller: Reader,
    workspaces: WorkspacesHere,
    workspace_id: WorkspaceId,
    query: Annotated[PageOfList, Query()],
) -> MembershipList:
    """List who belongs to a workspace."""
    found, more = await workspaces.members(
        caller, workspace_id, after=query.after, limit=query.limit
    )
    items = [MembershipOut.of(colleague) for colleague in found]
    return MembershipList(items=items, has_more=more, next=items[-1].user_id if more else None)


@router.put(
    "/{workspace_id}/members/{user_id}",
    operation_id="put_workspace_member",
    responses=documented_problems(401, 403, 404, 413, 415, 422, 503),
)
async def put_workspace_member(
    caller: Writer,
    workspaces: WorkspacesHere,
    by: By,
    workspace_id: WorkspaceId,
    user_id: UserId,
    body: MembershipIn,
) -> MembershipOut:
    """Let a user of the tenant belong to a workspace, or change how they do."""
    return MembershipOut.of(
        await workspaces.put_member(caller, workspace_id, user_id, manager=body.manager, by=by)
    )


@router.delete(
    "/{workspace_id}/members/{user_id}",
    operation_id="remove_workspace_member",
    status_code=204,
    response_class=Response,
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def remove_workspace_member(
    caller: Writer,
    workspaces: WorkspacesHere,
    by: By,
    workspace_id: WorkspaceId,
    user_id: UserId,
) -> None:
    """Let a user belong to a workspace no more; anybody may leave."""
    await workspaces.remove_member(caller, workspace_id, user_id, by)
