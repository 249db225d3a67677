"""``/oauth/oidc``: leaving for another issuer to sign in, and coming back."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, Response

from app.auth.audit import Origin
from app.auth.gate import origin
from app.auth.oauth.form import fields_of
from app.auth.oauth.openid import OpenId
from app.auth.oauth.openid_users import OpenIdUsers
from app.auth.oauth.page_route import ASKED_FOR, PageRoute, documented_pages
from app.auth.oauth.routes import AskedHere
from app.auth.wiring import People
from app.errors import NotFound

router = APIRouter(
    prefix="/oauth/oidc", tags=["oauth"], route_class=PageRoute, default_response_class=HTMLResponse
)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The issuer, and the users it vouches for."""

    people: People
    openid: OpenId
    users: OpenIdUsers


async def elsewhere(request: Request) -> Elsewhere:
    """The issuer of the settings.

    Raises:
        NotFound: there is none.
    """
    people: People = request.app.state.house.people
    if people.openid is None or people.openid_users is None:
        raise NotFound
    return Elsewhere(people, people.openid, people.openid_users)


ElsewhereHere = Annotated[Elsewhere, Depends(elsewhere)]
By = Annotated[Origin, Depends(origin)]


@router.get(
    "/start",
    operation_id="start_oidc_login",
    status_code=303,
    responses=documented_pages(400, 404, 429, 503),
    openapi_extra={"parameters": ASKED_FOR},
)
async def start(elsewhere: ElsewhereHere, asked: AskedHere) -> Response:
    """Leave for the identity provider."""
    url = await elsewhere.openid.leave(asked.visit, asked.query)
    response = asked.people.pages.leading_to(url)
    asked.people.visits.keep(asked.visit, response)
    return response


@router.get(
    "/callback",
    operation_id="finish_oidc_login",
    status_code=303,
    responses=documented_pages(400, 403, 404, 409, 429, 503),
)
async def callback(request: Request, elsewhere: ElsewhereHere, by: By) -> Response:
    """Come back from the identity provider, signed in."""
    people = elsewhere.people
    fields = fields_of(request.scope["query_string"])
    once = {name: values[0] for name, values in fields.items() if len(values) == 1}
    visit = await people.visits.of(request)
    identity, query = await elsewhere.openid.come_back(visit, once)
    user = await elsewhere.users.sign_in(identity, by)
    response = people.pages.leading_to(f"/oauth/authorize?{query}")
    people.visits.keep(people.visits.begin(user), response)
    return response
