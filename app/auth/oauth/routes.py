"""``/oauth/authorize``, ``/login`` and ``/consent``: where people say whom they let in."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, Response

from app.auth.audit import Origin
from app.auth.gate import origin
from app.auth.oauth.authorization import Authorization, read_authorization
from app.auth.oauth.form import form_of
from app.auth.oauth.page_route import ASKED_FOR, PageRoute, documented_form, documented_pages
from app.auth.oauth.visits import Visit
from app.auth.wiring import People
from app.errors import AppError, NotAllowed

router = APIRouter(
    prefix="/oauth", tags=["oauth"], route_class=PageRoute, default_response_class=HTMLResponse
)

By = Annotated[Origin, Depends(origin)]


class OtherTenant(NotAllowed):
    """This account belongs to another organisation than the application; use one that does not."""

    code = "other_tenant"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for, and who is asked."""

    people: People
    authorization: Authorization
    #: As it came; every page and form passes it on.
    query: str
    visit: Visit

    def again(self) -> Response:
        """Back to the beginning, with what is known now."""
        return self.people.pages.leading_to(f"/oauth/authorize?{self.query}")

    def login(self, *, email: str = "", refused: AppError | None = None) -> Response:
        """The page where one signs in."""
        page = self.people.pages.login(
            self.authorization, self.query, self.visit, email=email, refused=refused
        )
        self.people.visits.keep(self.visit, page)
        return page


async def asked(request: Request) -> Asked:
    """What is asked for; of a page and of a form, which has the same query."""
    people: People = request.app.state.house.people
    authorization = await read_authorization(request.scope["query_string"], people.clients)
    visit = await people.visits.of(request)
    return Asked(people, authorization, request.url.query, visit)


AskedHere = Annotated[Asked, Depends(asked)]


@router.get(
    "/authorize",
    operation_id="authorize",
    responses=documented_pages(303, 400, 403, 503),
    openapi_extra={"parameters": ASKED_FOR},
)
async def authorize(asked: AskedHere) -> Response:
    """Ask a user to sign in, and then for their consent to what a client wants."""
    user, authorization = asked.visit.user, asked.authorization
    if user is None:
        return asked.login()
    if user.tenant_id != authorization.client.tenant_id:
        return asked.login(refused=OtherTenant())
    if not (may := authorization.scopes & user.scopes):
        raise authorization.refused()
    page = asked.people.pages.consent(
        authorization, asked.query, asked.visit, email=user.email, may=may
    )
    asked.people.visits.keep(asked.visit, page)
    return page


@router.post(
    "/login",
    operation_id="oauth_login",
    status_code=303,
    response_class=Response,  # there is no page behind a 303
    responses=documented_pages(400, 401, 403, 413, 429, 503),
    openapi_extra={"parameters": ASKED_FOR} | documented_form("visit", "email", "password"),
)
async def login(request: Request, asked: AskedHere, by: By) -> Response:
    """Sign in with e-mail address and password."""
    form = await form_of(request)
    asked.visit.check_form(form)
    email = form.get("email", "")
    try:
        user = await asked.people.logins.check(
            email, form.get("password", ""), ip=by.ip or "", request_id=by.request_id
        )
    except AppError as error:
        return asked.login(email=email, refused=error)
    if user.tenant_id != asked.authorization.client.tenant_id:
        return asked.login(refused=OtherTenant())
    response = asked.again()
    asked.people.visits.keep(asked.people.visits.begin(user), response)
    return response


@router.post(
    "/consent",
    operation_id="oauth_consent",
    status_code=303,
    response_class=Response,  # there is no page behind a 303
    responses=documented_pages(400, 401, 403, 413, 429, 503),
    openapi_extra={"parameters": ASKED_FOR} | documented_form("visit", "decision"),
)
async def consent(request: Request, asked: AskedHere, by: By) -> Response:
    """Say yes or no, or sign in as somebody else."""
    form = await form_of(request)
    asked.visit.check_form(form)
    people, authorization, user = asked.people, asked.authorization, asked.visit.user
    decision = form.get("decision")
    if user is None or user.tenant_id != authorization.client.tenant_id or decision == "switch":
        response = asked.again()
        people.visits.keep(people.visits.begin(None), response)
        return response
    if decision != "allow":
        raise authorization.refused()
    who = Origin(user.id, user.id, by.ip, by.request_id)
    code = await people.codes.issue(authorization, user, who)
    return people.pages.sent(authorization.redirect_uri, authorization.granted(code))
