"""Signing in by OAuth: authorization code with PKCE (RFC 7636), for a public client.

The browser leaves for the API's own page and comes back in a new Streamlit session, which knows
nothing of the old one. What has to survive meanwhile, the verifier, waits in this process under
the unguessable ``state``, for ten minutes and for one use. It is bound to the browser by a cookie
of Streamlit's own: a link that somebody else began signs nobody in.
"""

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
import streamlit as st

from docent_client.problems import ApiProblem, from_transport
from streamlit_app.config import Config
from streamlit_app.session import ACCESS_TOKEN, start_over

SCOPES = "chat docs:read docs:write admin"
#: How long somebody may take over signing in.
WAITING_S = 600.0
MAX_WAITING = 1000
_COOKIE = "_streamlit_xsrf"
_LINK = "sign_in_link"


@dataclass(frozen=True)
class Begun:
    """A way to the sign-in page that somebody may come back from."""

    verifier: str
    browser: str
    begun_at: float


class Waiting:
    """The ways begun by all visitors of this process, by their ``state``."""

    def __init__(self) -> None:
        self._begun: dict[str, Begun] = {}

    def begin(self, browser: str) -> tuple[str, str]:
        """Notes a new way, in place of the oldest of too many; its state and its verifier."""
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        if len(self._begun) >= MAX_WAITING:
            del self._begun[next(iter(self._begun))]
        self._begun[state] = Begun(verifier, browser, time.monotonic())
        return state, verifier

    def redeem(self, state: str, browser: str) -> str | None:
        """The verifier of a way begun in this browser a moment ago; it can be had once."""
        begun = self._begun.pop(state, None)
        if begun is None or time.monotonic() - begun.begun_at > WAITING_S:
            return None
        same = secrets.compare_digest(begun.browser.encode(), browser.encode())
        return begun.verifier if same else None


@st.cache_resource(show_spinner=False)
def _waiting() -> Waiting:
    return Waiting()


def authorize_url(config: Config, state: str, verifier: str) -> str:
    """Where the browser goes to sign in."""
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": config.oauth_client_id,
        "redirect_uri": config.demo_url,
        "scope": SCOPES,
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    return f"{config.api_url}/oauth/authorize?{urlencode(query)}"


def show_sign_in(config: Config) -> None:
    """The link to the sign-in page, if the demo was told which client it is."""
    if not config.oauth_client_id:
        return
    if _LINK not in st.session_state:
        st.session_state[_LINK] = authorize_url(config, *_waiting().begin(_browser()))
    st.link_button("Sign in", st.session_state[_LINK], icon=":material/login:", width="stretch")


def come_back(config: Config) -> ApiProblem | None:
    """Exchanges the code that the sign-in page sent the browser back with, if it did.

    The address is cleaned first, so that neither a reload nor a copied link carries the code.
    """
    query = st.query_params.to_dict()
    if not config.oauth_client_id or "state" not in query:
        return None
    st.query_params.clear()
    verifier = _waiting().redeem(query["state"], _browser())
    if verifier is None or "code" not in query:
        return ApiProblem("You are not signed in", "Please try once more from the sidebar.")
    try:
        token = _exchange(config, query["code"], verifier)
    except ApiProblem as problem:
        return problem
    start_over()
    st.session_state[ACCESS_TOKEN] = token
    return None


def _exchange(config: Config, code: str, verifier: str) -> str:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": config.demo_url,
        "client_id": config.oauth_client_id,
        "code_verifier": verifier,
    }
    try:
        response = httpx.post(f"{config.api_url}/oauth/token", data=form, timeout=10)
        body = response.json()
    except httpx.HTTPError as error:
        raise from_transport(error, config.api_url) from error
    except ValueError:
        body = {}
    token = body.get("access_token") if isinstance(body, dict) else None
    if not token:
        raise ApiProblem("You are not signed in", "The API did not accept it; please try again.")
    return str(token)


def _browser() -> str:
    return token_of(str(st.context.cookies.get(_COOKIE, "")))


def token_of(cookie: str) -> str:
    """What stays the same of Streamlit's cookie, which is masked anew with every answer.

    It reads ``2|mask|masked token|time``; of anything else, nothing.
    """
    try:
        _, mask, masked, _ = cookie.strip("\"'").split("|")
        key, token = bytes.fromhex(mask), bytes.fromhex(masked)
        return bytes(byte ^ key[n % len(key)] for n, byte in enumerate(token)).hex()
    except (ValueError, ZeroDivisionError):
        return ""
