"""A client: a program that acts for users, or for itself, and where users may be sent back to."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

Grant = Literal["authorization_code", "refresh_token", "client_credentials"]
MAX_REDIRECT_CHARS = 1000

#: Plain characters only: no fragment, userinfo, wildcard, quote, blank or backslash.
_REST = r"(?:[/?][A-Za-z0-9._~!$&()+,;=:%/?-]*)?"
_WEB = re.compile(
    r"https://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?" + _REST
)
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|\[::1\]|localhost)(?::\d{1,5})?(" + _REST + ")")
#: A scheme of an app is a domain name turned round (RFC 8252, 7.1).
_APP = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+:/[A-Za-z0-9._~!$&()+,;=:%/?-]*")


@dataclass(frozen=True, slots=True)
class Client:
    """A client that is not disabled."""

    id: str
    tenant_id: str
    name: str
    #: None: a public client, which cannot keep a secret.
    secret_hash: bytes | None
    redirect_uris: tuple[str, ...]
    #: The most that its tokens may do.
    scopes: frozenset[str]
    grants: frozenset[str]

    def accepts(self, redirect_uri: str) -> bool:
        """Whether users may be sent back to ``redirect_uri``: one of its own, to the letter.

        An app on the user's machine listens at whatever port it gets: of a public client at a
        loopback address the port is not compared (RFC 8252, 7.3).
        """
        if redirect_uri in self.redirect_uris:
            return True
        anywhere = _without_port(redirect_uri)
        return (
            self.secret_hash is None
            and anywhere is not None
            and any(_without_port(uri) == anywhere for uri in self.redirect_uris)
        )


@dataclass(frozen=True, slots=True)
class ListedClient:
    """A client as its tenant's administrators see it."""

    id: str
    name: str
    public: bool
    redirect_uris: list[str]
    scopes: list[str]
    grants: list[str]
    created_at: datetime
    disabled_at: datetime | None


def may_be_redirected_to(uri: str) -> bool:
    """Whether a client may have ``uri``: https, http on loopback, or an app's own scheme."""
    return len(uri) <= MAX_REDIRECT_CHARS and any(
        kind.fullmatch(uri) for kind in (_WEB, _LOOPBACK, _APP)
    )


def form_action(redirect_uri: str) -> str:
    """What a form's Content-Security-Policy has to allow, for its answer to lead there."""
    parts = urlsplit(redirect_uri)
    # An IPv6 address cannot be written into a policy.
    plain = parts.scheme in ("https", "http") and "[" not in parts.netloc
    return f"{parts.scheme}://{parts.netloc}" if plain else f"{parts.scheme}:"


def _without_port(uri: str) -> str | None:
    found = _LOOPBACK.fullmatch(uri)
    return found.expand(r"http://\1\2") if found else None
