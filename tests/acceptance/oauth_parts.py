"""A browser without scripts, for the pages where people sign in and consent."""

import uuid
from dataclasses import dataclass, field
from html.parser import HTMLParser
from ipaddress import IPv6Address
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.acceptance.test_people import PASSWORD, Firm

CLIENTS = "/api/v1/admin/oauth-clients"
CALLBACK = "https://app.example.com/callback"
#: RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@dataclass
class Page(HTMLParser):
    """What a page says, as far as one can act on it."""

    reply: httpx.Response
    action: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.reply.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if tag == "form":
            self.action = found["action"]
        if tag == "input":
            self.fields[found["name"]] = found.get("value", "")
            if found.get("type") != "hidden":
                self.ids.add(found["id"])
        if tag == "label":
            self.labels.add(found["for"])
        if tag == "a":
            self.links.append(found["href"])

    def handle_data(self, data: str) -> None:
        self.text += data


class Browser:
    """Keeps cookies, follows nothing by itself."""

    def __init__(self, url: str) -> None:
        # From an address of its own: Redis, which counts failures, is shared by all tests.
        address = str(IPv6Address(uuid.uuid4().int))
        self.http = httpx.Client(
            base_url=url,
            headers={"X-Forwarded-For": address},
            timeout=60,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def open(self, url: str, **query: str) -> Page:
        return Page(self.http.get(url, params=query or None))

    def send(self, page: Page, **fields: str) -> httpx.Response:
        return self.http.post(page.action, data={**page.fields, **fields})

    def sign_in(self, page: Page, email: str, password: str = PASSWORD) -> Page:
        """From the login page to the one after it."""
        reply = self.send(page, email=email, password=password)
        assert reply.status_code == 303, reply.text
        return self.open(reply.headers["location"])

    def allow(self, page: Page, decision: str = "allow") -> dict[str, str]:
        """What the client is told."""
        reply = self.send(page, decision=decision)
        assert reply.status_code == 303, reply.text
        return told(reply.headers["location"])


def told(location: str) -> dict[str, str]:
    """The query of the address somebody is sent to."""
    return {name: value for name, [value] in parse_qs(urlsplit(location).query).items()}


@dataclass
class App:
    """A client that was registered for a tenant."""

    firm: Firm
    id: str
    secret: str | None

    @property
    def url(self) -> str:
        return self.firm.api.url

    def asks(self, **changes: str | None) -> dict[str, str]:
        """The query of an authorization request."""
        query = {
            "client_id": self.id, "redirect_uri": CALLBACK, "response_type": "code",
            "code_challenge": CHALLENGE, "code_challenge_method": "S256", "state": "st",
            "scope": "chat docs:read", **changes,
        }  # fmt: skip
        return {name: value for name, value in query.items() if value is not None}

    def code_for(self, email: str, **changes: str | None) -> str:
        """A code of a user who signs in and consents."""
        browser = Browser(self.url)
        page = browser.sign_in(browser.open("/oauth/authorize", **self.asks(**changes)), email)
        return browser.allow(page)["code"]

    def token(self, **form: str | None) -> httpx.Response:
        whole = {"client_id": self.id, "client_secret": self.secret, **form}
        known = {name: value for name, value in whole.items() if value is not None}
        return httpx.post(f"{self.url}/oauth/token", data=known, timeout=60)

    def redeem(self, code: str, **changes: str | None) -> httpx.Response:
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER, **changes,
        }  # fmt: skip
        return self.token(**form)

    def tokens(self, email: str) -> dict:
        reply = self.redeem(self.code_for(email))
        assert reply.status_code == 200, reply.text
        found: dict = reply.json()
        return found

    def refresh(self, refresh_token: str, **changes: str | None) -> httpx.Response:
        return self.token(grant_type="refresh_token", refresh_token=refresh_token, **changes)

    def me(self, token: str, header: str = "Authorization") -> httpx.Response:
        value = f"Bearer {token}" if header == "Authorization" else token
        return httpx.get(f"{self.url}/api/v1/me", headers={header: value}, timeout=60)


def register(firm: Firm, **changes) -> App:
    body = {
        "name": "The app", "redirect_uris": [CALLBACK],
        "scopes": ["chat", "docs:read", "docs:write"], **changes,
    }  # fmt: skip
    made = firm.boss.post(CLIENTS, json=body)
    assert made.status_code == 201, made.text
    return App(firm, made.json()["id"], made.json()["secret"])
