"""What a client asks a user for, as it stands in the query of ``/oauth/authorize``.

It is read anew for every page and form, so that nothing about it is kept, or believed of a form.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from app.auth.oauth.client import Client
from app.auth.oauth.clients import Clients
from app.auth.oauth.errors import OAuthError
from app.auth.oauth.form import fields_of
from app.errors import AppError

#: SHA-256 in base64url (RFC 7636, 4.2).
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


class UnknownClient(OAuthError):
    """This link does not come from an application that is known here."""

    code = "unknown_client"


class UnknownRedirect(OAuthError):
    """The application wants to send you to an address that is not one of its own."""

    code = "unknown_redirect"


class SentBack(AppError):
    """The user is sent back to the client with an error."""

    status, code = 303, "sent_back"

    def __init__(self, redirect_uri: str, error: str, detail: str, state: str | None) -> None:
        """``error``: a code of RFC 6749, 4.1.2.1."""
        super().__init__(detail)
        self.redirect_uri = redirect_uri
        self.fields = {"error": error, "error_description": detail} | _state(state)


@dataclass(frozen=True, slots=True)
class Authorization:
    """A request that may be granted."""

    client: Client
    redirect_uri: str
    state: str | None
    challenge: str
    scopes: frozenset[str]

    def refused(self) -> SentBack:
        """The user said no, or has nothing to give."""
        return SentBack(self.redirect_uri, "access_denied", "The user refused.", self.state)

    def granted(self, code: str) -> dict[str, str]:
        """What the client is told."""
        return {"code": code} | _state(self.state)


def answer_url(redirect_uri: str, fields: dict[str, str], issuer: str) -> str:
    """Where the user is sent with an answer, which says whose it is (RFC 9207)."""
    joint = "&" if "?" in redirect_uri else "?"
    return f"{redirect_uri}{joint}{urlencode({**fields, 'iss': issuer})}"


async def read_authorization(query: bytes, clients: Clients) -> Authorization:
    """The request in ``query``.

    Raises:
        OAuthError: client or redirect are not known: nobody may be sent anywhere.
        SentBack: anything else is wrong.
    """
    fields = fields_of(query)
    client = await clients.find(_only(fields, "client_id", UnknownClient))
    if client is None:
        raise UnknownClient
    redirect_uri = _only(fields, "redirect_uri", UnknownRedirect)
    if not client.accepts(redirect_uri):
        raise UnknownRedirect
    once = {name: values[0] for name, values in fields.items() if len(values) == 1}
    state = once.get("state")
    if fault := _fault(fields, once, client):
        raise SentBack(redirect_uri, *fault, state)
    scopes = frozenset(once["scope"].split()) if "scope" in once else client.scopes
    return Authorization(client, redirect_uri, state, once["code_challenge"], scopes)


def _fault(
    fields: dict[str, list[str]], once: dict[str, str], client: Client
) -> tuple[str, str] | None:
    """What is wrong with a request whose redirect is right: the error's code and words."""
    challenged = _CHALLENGE.fullmatch(once.get("code_challenge", ""))
    checks = (
        (len(once) < len(fields), "invalid_request", "A parameter stands there twice."),
        ("response_type" not in once, "invalid_request", "response_type is missing."),
        (
            once.get("response_type") != "code",
            "unsupported_response_type",
            "response_type must be code.",
        ),
        (
            "authorization_code" not in client.grants,
            "unauthorized_client",
            "This client may not use this grant.",
        ),
        (
            once.get("code_challenge_method") != "S256" or not challenged,
            "invalid_request",
            "A code_challenge by the method S256 is required.",
        ),
        (
            not frozenset(once.get("scope", "").split()) <= client.scopes,
            "invalid_scope",
            "The scope is unknown, or more than the client may have.",
        ),
    )
    return next(((error, words) for wrong, error, words in checks if wrong), None)


def _only(fields: dict[str, list[str]], name: str, otherwise: type[OAuthError]) -> str:
    values = fields.get(name, [])
    if len(values) != 1:
        raise otherwise
    return values[0]


def _state(state: str | None) -> dict[str, str]:
    return {} if state is None else {"state": state}
