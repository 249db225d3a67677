"""``/api/v1/keys``: the keys of the caller's user, and for administrators all of the tenant."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from app.auth.api_keys.schemas import KeyIn, KeyList, KeyOut, KeyQuery, NewKeyOut
from app.auth.api_keys.service import KeyDesk
from app.auth.audit import Origin
from app.auth.caller import Caller
from app.auth.gate import authenticated, origin
from app.http.problems import documented_problems
from app.http.wire import WITHOUT_NUL

router = APIRouter(prefix="/api/v1/keys", tags=["keys"])

Anybody = Annotated[Caller, Depends(authenticated)]
By = Annotated[Origin, Depends(origin)]
KeyId = Annotated[
    str, Path(max_length=64, pattern=WITHOUT_NUL, examples=["key_ks2v7m4q6x3y5z7a2b4c6d8e9f"])
]


async def key_desk(request: Request) -> KeyDesk:
    """The key desk of this process."""
    found: KeyDesk = request.app.state.house.key_desk
    return found


DeskHere = Annotated[KeyDesk, Depends(key_desk)]


@router.post(
    "",
    operation_id="create_key",
    status_code=201,
    responses=documented_problems(401, 403, 413, 415, 422, 503),
)
async def create_key(caller: Anybody, desk: DeskHere, by: By, body: KeyIn) -> NewKeyOut:
    """Make a key of the caller's user; the key itself is shown this once."""
    return NewKeyOut.of_new(*await desk.make(caller, body.to_new(), by))


@router.get("", operation_id="list_keys", responses=documented_problems(401, 403, 422, 503))
async def list_keys(
    caller: Anybody, desk: DeskHere, query: Annotated[KeyQuery, Query()]
) -> KeyList:
    """List the keys of the caller's user, newest first, revoked ones too."""
    found, more = await desk.list(
        caller, everybodys=query.all, after=query.after, limit=query.limit
    )
    items = [KeyOut.of(key) for key in found]
    return KeyList(items=items, has_more=more, next=items[-1].id if more else None)


@router.get(
    "/{key_id}", operation_id="get_key", responses=documented_problems(401, 403, 404, 422, 503)
)
async def get_key(caller: Anybody, desk: DeskHere, key_id: KeyId) -> KeyOut:
    """Show one key."""
    return KeyOut.of(await desk.get(caller, key_id))


@router.delete(
    "/{key_id}",
    operation_id="revoke_key",
    status_code=204,
    response_class=Response,
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def revoke_key(caller: Anybody, desk: DeskHere, by: By, key_id: KeyId) -> None:
    """Make a key void from the next request on."""
    await desk.revoke(caller, key_id, by)
