"""Signing in at somebody else's: any issuer of OpenID Connect, by code, PKCE, nonce and state.

The issuer is the operator's choice (``OIDC_ISSUER``); what it sends is verified all the same.
"""

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import orjson

from app.auth.oauth.errors import OAuthError
from app.auth.oauth.id_token import IdTokenRefused, verified_claims
from app.auth.oauth.visits import Seal, Visit
from app.errors import Unavailable
from app.settings import Settings

CALLBACK = "/oauth/oidc/callback"
#: How long somebody may take to sign in there.
_TTL_S = 900
_TIMEOUT_S = 10
_MOST_BYTES = 262_144
_STATUS_OK = 200


class IssuerUnavailable(Unavailable):
    """The identity provider does not answer; try again shortly."""

    code = "issuer_unavailable"


class SignInFailed(OAuthError):
    """Signing in at the identity provider did not succeed; go back and try again."""

    code = "sign_in_failed"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, by their issuer."""

    subject: str
    #: None unless the issuer says that it is verified.
    email: str | None
    name: str | None


class OpenId:
    """One issuer; its documents are read at every login, which are few."""

    def __init__(self, settings: Settings, secret: bytes) -> None:
        """``secret`` seals what comes back with a user."""
        assert settings.oidc_issuer is not None  # noqa: S101 - or there is none of these
        assert settings.oidc_client_id is not None  # noqa: S101 - the settings see to it
        self.issuer = settings.oidc_issuer
        self._client_id = settings.oidc_client_id
        self._client_secret = settings.oidc_client_secret
        self._callback = settings.issuer + CALLBACK
        self._seal = Seal(secret, "openid logins")

    async def leave(self, visit: Visit, query: str) -> str:
        """Where to send the browser of ``visit``, which is to come back to ``query``.

        Raises:
            IssuerUnavailable: the issuer does not answer, or not as one.
        """
        async with self._session() as session:
            known = await self._known(session)
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(32)
        state = {"visit": visit.number, "query": query, "verifier": verifier, "nonce": nonce}
        digest = hashlib.sha256(verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._callback,
            "scope": "openid email profile",
            "state": self._seal.closed(state),
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        endpoint = known["authorization_endpoint"]
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def come_back(self, visit: Visit, fields: dict[str, str]) -> tuple[Identity, str]:
        """Who has signed in, and the query of what they had left for.

        Raises:
            SignInFailed: they have not, or this browser did not ask for it, or the issuer's token
                is not right.
            IssuerUnavailable: the issuer does not answer, or not as one.
        """
        state = self._seal.opened(fields.get("state", ""), ttl_s=_TTL_S)
        ours = state is not None and secrets.compare_digest(state["visit"], visit.number)
        if state is None or not ours or fields.get("iss", self.issuer) != self.issuer:
            raise SignInFailed
        if "code" not in fields:
            raise SignInFailed
        async with self._session() as session:
            known = await self._known(session)
            id_token = await self._id_token(session, known, fields["code"], state["verifier"])
            keys = await _document(session.get(known["jwks_uri"], allow_redirects=False))
        try:
            claims = verified_claims(
                id_token,
                keys,
                issuer=self.issuer,
                client_id=self._client_id,
                nonce=state["nonce"],
            )
        except IdTokenRefused as error:
            raise SignInFailed from error
        return _identity(claims), state["query"]

    async def _known(self, session: aiohttp.ClientSession) -> dict[str, str]:
        """What the issuer says of itself (OpenID Connect Discovery, 4)."""
        url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = await _document(session.get(url, allow_redirects=False))
        scheme = urlsplit(self.issuer).scheme
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        right = all(str(found.get(name)).startswith((f"{scheme}://", "https://")) for name in names)
        if found.get("issuer") != self.issuer or not right:
            raise IssuerUnavailable("The identity provider says something wrong of itself.")
        return {name: found[name] for name in names}

    async def _id_token(
        self, session: aiohttp.ClientSession, known: dict[str, str], code: str, verifier: str
    ) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._callback,
            "client_id": self._client_id,
            "code_verifier": verifier,
        }
        headers = {}
        if self._client_secret is not None:
            pair = f"{quote(self._client_id)}:{quote(self._client_secret.get_secret_value())}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        found = await _document(
            session.post(known["token_endpoint"], data=form, headers=headers, allow_redirects=False)
        )
        token = found.get("id_token")
        if not isinstance(token, str):
            raise SignInFailed
        return token

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        ) as session:
            try:
                yield session
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise IssuerUnavailable from error


async def _document(asked: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> dict[str, Any]:
    """The JSON object that is answered."""
    content = bytearray()
    async with asked as response:
        if 400 <= response.status < 500:  # noqa: PLR2004 - it was understood, and refused
            raise SignInFailed
        async for piece in response.content.iter_chunked(65_536):
            content += piece
            if len(content) > _MOST_BYTES:
                raise IssuerUnavailable
        found = orjson.loads(content) if response.status == _STATUS_OK else None
    if not isinstance(found, dict):
        raise IssuerUnavailable
    return found


def _identity(claims: dict[str, Any]) -> Identity:
    email, name = claims.get("email"), claims.get("name")
    verified = claims.get("email_verified") is True and isinstance(email, str)
    return Identity(
        claims["sub"], email if verified else None, name if isinstance(name, str) else None
    )
