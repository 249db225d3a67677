"""``/api/v1/auth`` and ``/api/v1/me``: registering, signing in, and what is one's own."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.auth.audit import Origin
from app.auth.caller import Caller
from app.auth.gate import authenticated, origin
from app.auth.login import Logins
from app.auth.oauth.schemas import TokenOut
from app.auth.people.account import Account
from app.auth.people.registration import Registration
from app.auth.people.schemas import (
    LoginIn,
    MeEdit,
    MeOut,
    PasswordIn,
    RegisterIn,
    UserOut,
)
from app.auth.tokens import Tokens
from app.http.problems import documented_problems

router = APIRouter(prefix="/api/v1", tags=["people"])

Anybody = Annotated[Caller, Depends(authenticated)]
By = Annotated[Origin, Depends(origin)]


async def account(request: Request) -> Account:
    """What callers may do about themselves."""
    found: Account = request.app.state.house.people.account
    return found


AccountHere = Annotated[Account, Depends(account)]


@router.post(
    "/auth/register",
    operation_id="register",
    status_code=201,
    responses=documented_problems(403, 409, 413, 415, 422, 429, 503),
)
async def register(request: Request, by: By, body: RegisterIn) -> UserOut:
    """Become a user: of the tenant that invites, or of a new one where that is allowed."""
    registration: Registration = request.app.state.house.people.registration
    return UserOut.of(await registration.register(body.to_registrant(), by))


@router.post(
    "/auth/login",
    operation_id="login",
    responses=documented_problems(401, 413, 415, 422, 429, 503),
)
async def login(request: Request, response: Response, by: By, body: LoginIn) -> TokenOut:
    """Sign in; whatever is wrong, the answer is the same, and takes as long."""
    logins: Logins = request.app.state.house.people.logins
    tokens: Tokens = request.app.state.house.people.tokens
    user = await logins.check(body.email, body.password, ip=by.ip or "", request_id=by.request_id)
    response.headers["Cache-Control"] = "no-store"  # RFC 6749, 5.1
    return TokenOut.of(await tokens.issue(user, client_id=None))


@router.post(
    "/auth/logout",
    operation_id="logout",
    status_code=204,
    response_class=Response,
    responses=documented_problems(401, 403, 503),
)
async def logout(caller: Anybody, account: AccountHere, by: By) -> None:
    """Make every token of the caller's user void; keys stay valid."""
    await account.log_out(caller, by)


@router.post(
    "/auth/password",
    operation_id="change_password",
    status_code=204,
    response_class=Response,
    responses=documented_problems(401, 403, 409, 413, 415, 422, 503),
)
async def change_password(caller: Anybody, account: AccountHere, by: By, body: PasswordIn) -> None:
    """Replace one's password; every token is void then, keys stay valid."""
    await account.change_password(caller, body.old_password, body.new_password, by)


@router.get("/me", operation_id="get_me", responses=documented_problems(401, 403, 503))
async def get_me(caller: Anybody, account: AccountHere) -> MeOut:
    """Show who the caller is and what it may do."""
    return MeOut.of(caller, await account.describe(caller))


@router.patch(
    "/me", operation_id="edit_me", responses=documented_problems(401, 403, 413, 415, 422, 503)
)
async def edit_me(caller: Anybody, account: AccountHere, by: By, body: MeEdit) -> MeOut:
    """Change one's name."""
    return MeOut.of(caller, await account.rename(caller, body.name, by))
