"""``/oauth/token`` and ``/oauth/revoke``, and what clients find out by themselves."""

import base64
from dataclasses import replace
from typing import Annotated
from urllib.parse import unquote_plus

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.auth.audit import Origin
from app.auth.caller import ALL_SCOPES
from app.auth.gate import origin
from app.auth.oauth.client import Client
from app.auth.oauth.errors import (
    InvalidClient,
    InvalidGrant,
    InvalidScope,
    OAuthError,
    UnauthorizedClient,
    UnsupportedGrant,
)
from app.auth.oauth.form import form_of
from app.auth.oauth.page_route import documented_form
from app.auth.oauth.schemas import JwkSet, ServerMetadata, TokenOut
from app.auth.tokens import RefreshRefused, TokenPair
from app.auth.wiring import People
from app.http.oauth_problems import documented_oauth_errors
from app.http.problems import documented_problems

router = APIRouter(tags=["oauth"])

#: How clients prove who they are; a public one does not.
_METHODS = ["client_secret_basic", "client_secret_post", "none"]
_CREDENTIALS = ("client_id", "client_secret")


async def people(request: Request) -> People:
    """What is about people."""
    found: People = request.app.state.house.people
    return found


PeopleHere = Annotated[People, Depends(people)]
By = Annotated[Origin, Depends(origin)]


@router.post(
    "/oauth/token",
    operation_id="oauth_token",
    response_model_exclude_none=True,
    responses=documented_oauth_errors(400, 401, 413, 429, 503),
    openapi_extra=documented_form(
        "grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope",
        *_CREDENTIALS,
    ),
)  # fmt: skip
async def token(request: Request, response: Response, people: PeopleHere, by: By) -> TokenOut:
    """Exchange a code, a refresh token or a client's own credentials for tokens."""
    response.headers["Cache-Control"] = "no-store"
    form = await form_of(request)
    client = await _client(request, form, people, by)
    grant = _needed(form, "grant_type")
    if grant not in ("authorization_code", "refresh_token", "client_credentials"):
        raise UnsupportedGrant
    if grant not in client.grants:
        raise UnauthorizedClient
    if grant == "authorization_code":
        return TokenOut.of(await _redeem(form, client, people, by))
    scopes = frozenset(form["scope"].split()) if "scope" in form else client.scopes
    if not scopes <= client.scopes:
        raise InvalidScope
    if grant == "client_credentials":
        pair = await people.tokens.issue_to_client(client.id, client.tenant_id, scopes, by)
        return TokenOut.of(pair)
    try:
        pair = await people.tokens.refresh(
            _needed(form, "refresh_token"), client_id=client.id, scopes=scopes
        )
    except RefreshRefused as error:
        raise InvalidGrant from error
    return TokenOut.of(pair)


async def _redeem(form: dict[str, str], client: Client, people: People, by: Origin) -> TokenPair:
    return await people.codes.redeem(
        client,
        _needed(form, "code"),
        redirect_uri=_needed(form, "redirect_uri"),
        verifier=_needed(form, "code_verifier"),
        by=by,
    )


@router.post(
    "/oauth/revoke",
    operation_id="oauth_revoke",
    response_class=Response,
    responses=documented_oauth_errors(400, 401, 413, 429, 503),
    openapi_extra=documented_form("token", "token_type_hint", *_CREDENTIALS),
)
async def revoke(request: Request, people: PeopleHere, by: By) -> Response:
    """Make a token void, with all that descend from the same consent; unknown ones are fine."""
    form = await form_of(request)
    client = await _client(request, form, people, by)
    who = replace(by, actor=client.id)
    await people.tokens.revoke(_needed(form, "token"), client_id=client.id, by=who)
    return Response(headers={"Cache-Control": "no-store"})


@router.get(
    "/.well-known/jwks.json", operation_id="get_signing_keys", responses=documented_problems(503)
)
async def signing_keys(response: Response, people: PeopleHere) -> JwkSet:
    """Show the keys that access tokens are verified with."""
    response.headers["Cache-Control"] = "public, max-age=300"
    return JwkSet(keys=await people.signing_keys.published())


@router.get("/.well-known/oauth-authorization-server", operation_id="get_server_metadata")
async def server_metadata(people: PeopleHere) -> ServerMetadata:
    """Show clients where everything is, RFC 8414."""
    issuer = people.issuer
    return ServerMetadata(
        issuer=issuer,
        authorization_endpoint=f"{issuer}/oauth/authorize",
        token_endpoint=f"{issuer}/oauth/token",
        revocation_endpoint=f"{issuer}/oauth/revoke",
        jwks_uri=f"{issuer}/.well-known/jwks.json",
        scopes_supported=list(ALL_SCOPES),
        grant_types_supported=["authorization_code", "refresh_token", "client_credentials"],
        token_endpoint_auth_methods_supported=_METHODS,
        revocation_endpoint_auth_methods_supported=_METHODS,
    )


async def _client(request: Request, form: dict[str, str], people: People, by: Origin) -> Client:
    """The client that sends a request.

    Raises:
        InvalidClient: it does not prove who it is.
    """
    header = request.headers.get("authorization")
    if header is None:
        claimed, secret = form.get("client_id", ""), form.get("client_secret")
    else:
        claimed, secret = _basic(header)
        if "client_secret" in form:
            raise OAuthError("Send the secret in one place.")
        if form.get("client_id", claimed) != claimed:
            raise InvalidClient
    return await people.clients.authenticate(claimed, secret, by)


def _basic(header: str) -> tuple[str, str]:
    """Name and secret of HTTP Basic; each was form-encoded before (RFC 6749, 2.3.1)."""
    scheme, _, encoded = header.partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError as error:
        raise InvalidClient from error
    name, colon, secret = text.partition(":")
    if scheme.lower() != "basic" or not colon or "\0" in unquote_plus(text):
        raise InvalidClient
    return unquote_plus(name), unquote_plus(secret)


def _needed(form: dict[str, str], name: str) -> str:
    if name not in form:
        raise OAuthError(f"{name} is missing.")
    return form[name]
