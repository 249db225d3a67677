"""``/api/v1/admin/users`` and ``/invitations``: who belongs to the tenant, and with which role."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from app.auth.audit import Origin
from app.auth.caller import Caller
from app.auth.gate import origin, require
from app.auth.people.invitations import Invitations
from app.auth.people.roster import Roster
from app.auth.people.schemas import (
    InvitationIn,
    InvitationList,
    InvitationOut,
    NewInvitationOut,
    TemporaryPasswordOut,
    UserEdit,
    UserList,
    UserOut,
    UserQuery,
)
from app.auth.user_store import MemberListing
from app.http.problems import documented_problems
from app.http.wire import WITHOUT_NUL, PageOfList

router = APIRouter(prefix="/api/v1/admin", tags=["admin"])

Admin = Annotated[Caller, Depends(require("admin"))]
By = Annotated[Origin, Depends(origin)]
UserId = Annotated[
    str, Path(max_length=64, pattern=WITHOUT_NUL, examples=["usr_ks2v7m4q6x3y5z7a2b4c6d8e9f"])
]
InvitationId = Annotated[
    str, Path(max_length=64, pattern=WITHOUT_NUL, examples=["inv_ks2v7m4q6x3y5z7a2b4c6d8e9f"])
]


async def roster(request: Request) -> Roster:
    """The people of the caller's tenant."""
    found: Roster = request.app.state.house.people.roster
    return found


async def invitations(request: Request) -> Invitations:
    """The invitations of the caller's tenant."""
    found: Invitations = request.app.state.house.people.invitations
    return found


RosterHere = Annotated[Roster, Depends(roster)]
InvitationsHere = Annotated[Invitations, Depends(invitations)]


@router.get("/users", operation_id="list_users", responses=documented_problems(401, 403, 422, 503))
async def list_users(
    caller: Admin, roster: RosterHere, query: Annotated[UserQuery, Query()]
) -> UserList:
    """List the tenant's users."""
    wanted = MemberListing(query.limit, query.after or "", query.q, query.role)
    found, more = await roster.list(caller.tenant_id, wanted)
    items = [UserOut.of(member) for member in found]
    return UserList(items=items, has_more=more, next=items[-1].id if more else None)


@router.get(
    "/users/{user_id}",
    operation_id="get_user",
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def get_user(caller: Admin, roster: RosterHere, user_id: UserId) -> UserOut:
    """Show one user."""
    return UserOut.of(await roster.get(caller.tenant_id, user_id))


@router.patch(
    "/users/{user_id}",
    operation_id="edit_user",
    responses=documented_problems(401, 403, 404, 409, 413, 415, 422, 503),
)
async def edit_user(
    caller: Admin, roster: RosterHere, by: By, user_id: UserId, body: UserEdit
) -> UserOut:
    """Change a user's name or role, or suspend them; it holds from their next request on.

    Only owners change owners or make them, nobody changes their own role, and one owner stays.
    """
    return UserOut.of(await roster.change(caller, user_id, body.to_change(), by))


@router.post(
    "/users/{user_id}/password-reset",
    operation_id="reset_password",
    responses=documented_problems(401, 403, 404, 409, 422, 503),
)
async def reset_password(
    caller: Admin, roster: RosterHere, by: By, user_id: UserId
) -> TemporaryPasswordOut:
    """Give a user a temporary password, shown this once; all their tokens are void."""
    return TemporaryPasswordOut(password=await roster.reset_password(caller, user_id, by))


@router.post(
    "/invitations",
    operation_id="create_invitation",
    status_code=201,
    responses=documented_problems(401, 403, 413, 415, 422, 503),
)
async def create_invitation(
    caller: Admin, invitations: InvitationsHere, by: By, body: InvitationIn
) -> NewInvitationOut:
    """Invite somebody; the code, shown this once, lets one person register."""
    made = await invitations.make(
        caller, email=body.email, role=body.role, days=body.expires_in_days, by=by
    )
    return NewInvitationOut.of_new(*made)


@router.get(
    "/invitations",
    operation_id="list_invitations",
    responses=documented_problems(401, 403, 422, 503),
)
async def list_invitations(
    caller: Admin, invitations: InvitationsHere, query: Annotated[PageOfList, Query()]
) -> InvitationList:
    """List the tenant's invitations, newest first, used and lapsed ones too."""
    found, more = await invitations.list(caller.tenant_id, after=query.after, limit=query.limit)
    items = [InvitationOut.of(invitation) for invitation in found]
    return InvitationList(items=items, has_more=more, next=items[-1].id if more else None)


@router.delete(
    "/invitations/{invitation_id}",
    operation_id="withdraw_invitation",
    status_code=204,
    response_class=Response,
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def withdraw_invitation(
    caller: Admin, invitations: InvitationsHere, by: By, invitation_id: InvitationId
) -> None:
    """Make an invitation void."""
    await invitations.withdraw(caller.tenant_id, invitation_id, by)
