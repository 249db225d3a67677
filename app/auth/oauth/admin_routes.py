"""``/api/v1/admin/oauth-clients``: the programs that may ask a tenant's users for their consent."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from app.auth.audit import Origin
from app.auth.caller import Caller
from app.auth.gate import origin, require
from app.auth.oauth.clients import Clients
from app.auth.oauth.schemas import ClientIn, ClientList, ClientOut, NewClientOut
from app.http.problems import documented_problems
from app.http.wire import WITHOUT_NUL, PageOfList

router = APIRouter(prefix="/api/v1/admin/oauth-clients", tags=["admin"])

Admin = Annotated[Caller, Depends(require("admin"))]
By = Annotated[Origin, Depends(origin)]
ClientId = Annotated[
    str, Path(max_length=64, pattern=WITHOUT_NUL, examples=["cli_ks2v7m4q6x3y5z7a2b4c6d8e9f"])
]


async def clients(request: Request) -> Clients:
    """The clients."""
    found: Clients = request.app.state.house.people.clients
    return found


ClientsHere = Annotated[Clients, Depends(clients)]


@router.post(
    "",
    operation_id="create_oauth_client",
    status_code=201,
    responses=documented_problems(401, 403, 413, 415, 422, 503),
)
async def create_client(
    caller: Admin, clients: ClientsHere, by: By, body: ClientIn
) -> NewClientOut:
    """Make a client; its secret is shown this once."""
    return NewClientOut.of_new(*await clients.make(caller, body.to_new(), by))


@router.get(
    "", operation_id="list_oauth_clients", responses=documented_problems(401, 403, 422, 503)
)
async def list_clients(
    caller: Admin, clients: ClientsHere, query: Annotated[PageOfList, Query()]
) -> ClientList:
    """List the tenant's clients, newest first, disabled ones too."""
    found, more = await clients.list(caller, after=query.after, limit=query.limit)
    items = [ClientOut.of(client) for client in found]
    return ClientList(items=items, has_more=more, next=items[-1].id if more else None)


@router.delete(
    "/{client_id}",
    operation_id="disable_oauth_client",
    status_code=204,
    response_class=Response,
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def disable_client(caller: Admin, clients: ClientsHere, by: By, client_id: ClientId) -> None:
    """Shut a client out from the next request on, with every token it has."""
    await clients.disable(caller, client_id, by)
