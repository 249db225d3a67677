"""Who sits at a browser, in a cookie that only we can read or write.

Its secret number is what forms have to bring along (against CSRF); a login gets a new one, so
that a cookie somebody planted before it is worth nothing after. Who is signed in is looked up at
every use: suspending, a new password and logging out end a visit as they end tokens.
"""

import base64
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from starlette.requests import Request
from starlette.responses import Response

from app.auth.derived_keys import derived_key
from app.auth.user import User
from app.auth.user_store import find_user
from app.errors import NotAllowed
from app.infra.postgres import Pool

#: A working day.
TTL_S = 12 * 3600
#: Longer cookies are not ours, and browsers do not send them.
_MAX_CHARS = 4096


class FormExpired(NotAllowed):
    """This form is too old or not from here; go back to the application and begin again."""

    code = "form_expired"


@dataclass(frozen=True, slots=True)
class Visit:
    """A browser between its first page and its last."""

    number: str
    user: User | None = None
    #: The browser has the cookie already; it ends when it was to end, however often it is used.
    kept: bool = False

    def check_form(self, form: dict[str, str]) -> None:
        """See that a form was made for this visit.

        Raises:
            FormExpired: it was not.
        """
        if not hmac.compare_digest(form.get("visit", "").encode(), self.number.encode()):
            raise FormExpired


class Seal:
    """Texts that only we can read and write, for a time."""

    def __init__(self, secret: bytes, purpose: str) -> None:
        self._cipher = Fernet(base64.urlsafe_b64encode(derived_key(secret, purpose)))

    def closed(self, values: dict[str, Any]) -> str:
        """``values``, sealed."""
        return self._cipher.encrypt(json.dumps(values).encode()).decode()

    def opened(self, text: str, *, ttl_s: int) -> dict[str, Any] | None:
        """What was sealed at most ``ttl_s`` ago; None when it was not by us."""
        try:
            found: dict[str, Any] = json.loads(self._cipher.decrypt(text, ttl=ttl_s))
        except (InvalidToken, ValueError):
            return None
        return found


class Visits:
    """Reads and writes the cookie; DatabaseUnavailable when users cannot be looked up."""

    def __init__(self, pool: Pool, secret: bytes, issuer: str) -> None:
        self._pool = pool
        self._seal = Seal(secret, "visits")
        self._https = issuer.startswith("https:")
        # The prefix: no other host of the domain can have set it.
        self._cookie = "__Host-docent_visit" if self._https else "docent_visit"

    async def of(self, request: Request) -> Visit:
        """Who sends ``request``; a visit that has just begun if nobody known."""
        text = request.cookies.get(self._cookie, "")
        known = self._seal.opened(text, ttl_s=TTL_S) if 0 < len(text) <= _MAX_CHARS else None
        if known is None:
            return Visit(_number())
        user = await find_user(self._pool, user_id=known["user_id"]) if known["user_id"] else None
        if user and (user.suspended or user.tokens_since.isoformat() != known["tokens_since"]):
            user = None
        return Visit(known["number"], user, kept=True)

    def begin(self, user: User | None) -> Visit:
        """A new visit, of whoever has just signed in, or signed out."""
        return Visit(_number(), user)

    def keep(self, visit: Visit, response: Response) -> None:
        """Let the browser bring ``visit`` along from now on, until :data:`TTL_S` after it began."""
        if visit.kept:
            return
        user = visit.user
        sealed = self._seal.closed(
            {
                "number": visit.number,
                "user_id": user and user.id,
                "tokens_since": user and user.tokens_since.isoformat(),
            }
        )
        response.set_cookie(
            self._cookie, sealed, path="/", secure=self._https, httponly=True, samesite="lax"
        )


def _number() -> str:
    return secrets.token_urlsafe(32)
