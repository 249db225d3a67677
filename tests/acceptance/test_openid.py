"""Signing in at another issuer over HTTP: whom it vouches for, and what is not believed of it."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from tests.acceptance.conftest import Api, serving
from tests.acceptance.oauth_parts import App, Browser, Page, register
from tests.acceptance.test_people import USERS, Firm
from tests.fake_issuer import CLIENT, KEYS, SECRET, FakeIssuer

TENANT = uuid.uuid4().hex
HOUR = timedelta(hours=1)
"""From now: a test's name must be the same in every process that collects it."""


@pytest.fixture(scope="module")
def served(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeIssuer, str]]:
    with FakeIssuer() as issuer:
        settings = {
            "OIDC_ISSUER": issuer.url, "OIDC_CLIENT_ID": CLIENT, "OIDC_CLIENT_SECRET": SECRET,
            "OIDC_TENANT": TENANT, "OIDC_ROLE": "editor", "TRUSTED_PROXIES": "127.0.0.0/8",
        }  # fmt: skip
        with serving(api.database, tmp_path_factory.mktemp("openid"), **settings) as (url, _):
            httpx.get(f"{url}/livez", timeout=180).raise_for_status()
            yield issuer, url


@pytest.fixture
def issuer(served: tuple[FakeIssuer, str]) -> FakeIssuer:
    served[0].behave(sub=uuid.uuid4().hex)
    return served[0]


@pytest.fixture
def firm(api: Api, served: tuple[FakeIssuer, str]) -> Iterator[Firm]:
    """The tenant of the issuer's users."""
    firm = Firm(Api(**{**vars(api), "url": served[1]}), TENANT)
    with firm.boss:
        yield firm


@pytest.fixture
def app(firm: Firm) -> App:
    return register(firm)


@pytest.fixture
def browser(served: tuple[FakeIssuer, str]) -> Browser:
    return Browser(served[1])


def leave(app: App, browser: Browser) -> str:
    """The link to the issuer is followed; where that leads back to."""
    [link] = browser.open("/oauth/authorize", **app.asks()).links
    reply = browser.open(link).reply
    assert reply.status_code == 303, reply.text
    return httpx.get(reply.headers["location"]).headers["location"]


def sign_in(app: App, browser: Browser) -> Page:
    return browser.open(browser.open(leave(app, browser)).reply.headers["location"])


def refused(app: App, browser: Browser, status: int) -> Page:
    page = browser.open(leave(app, browser))
    assert page.reply.status_code == status, page.reply.text
    assert "set-cookie" not in page.reply.headers
    assert "Traceback" not in page.reply.text
    return page


def test_a_new_user_is_made_once_and_gets_all_the_way(
    firm: Firm, app: App, browser: Browser, issuer: FakeIssuer
) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    issuer.claims |= {"email": email.upper(), "email_verified": True, "name": "Eve Éxample"}
    consent = sign_in(app, browser)
    assert email in consent.text
    tokens = app.redeem(browser.allow(consent)["code"]).json()
    me = app.me(tokens["access_token"]).json()["user"]
    assert (me["email"], me["name"], me["role"]) == (email, "Eve Éxample", "editor")
    again = sign_in(app, Browser(app.url))
    assert email in again.text
    users = firm.boss.get(USERS, params={"q": email}).json()["items"]
    assert [user["id"] for user in users] == [me["id"]]
    assert {"user.register", "login", "client.consent"} <= {
        event["action"] for event in firm.events(actor=me["id"])
    } | {event["action"] for event in firm.events(target=me["id"])}


@pytest.mark.parametrize("algorithm", KEYS)
def test_the_usual_algorithms_are_verified(
    app: App, browser: Browser, issuer: FakeIssuer, algorithm: str
) -> None:
    issuer.algorithm = algorithm
    assert "Allow access?" in sign_in(app, browser).text


def test_nobody_is_told_by_their_address(
    firm: Firm, app: App, browser: Browser, issuer: FakeIssuer
) -> None:
    there = firm.join("owner")["email"]
    issuer.claims |= {"email": there, "email_verified": True}
    assert "registered" in refused(app, browser, 409).text
    issuer.claims |= {"email_verified": "true"}
    assert there not in sign_in(app, browser).text, "not verified: not theirs"


def test_a_suspended_user_is_out(
    firm: Firm, app: App, browser: Browser, issuer: FakeIssuer
) -> None:
    consent = sign_in(app, browser)
    token = app.redeem(browser.allow(consent)["code"]).json()["access_token"]
    user_id = app.me(token).json()["id"]
    firm.boss.patch(f"{USERS}/{user_id}", json={"suspended": True}).raise_for_status()
    assert app.me(token).status_code == 401
    assert "suspended" in refused(app, browser, 403).text


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"}, {"nonce": None}, {"aud": "another"}, {"aud": [CLIENT, "another"]},
        {"aud": None}, {"iss": "https://evil.example"}, {"iss": None},
        {"exp": -HOUR}, {"exp": None},
        {"iat": HOUR}, {"iat": None}, {"sub": None}, {"sub": ""}, {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "a\0b"}, {"azp": "another"}, {"nbf": HOUR},
    ],
    ids=str,
)  # fmt: skip
def test_a_claim_that_is_not_right_lets_nobody_in(
    app: App, browser: Browser, issuer: FakeIssuer, claims: dict
) -> None:
    now = datetime.now(UTC)
    issuer.claims |= {
        name: int((now + value).timestamp()) if isinstance(value, timedelta) else value
        for name, value in claims.items()
    }
    refused(app, browser, 400)


def test_an_issuer_may_name_us_among_several(
    app: App, browser: Browser, issuer: FakeIssuer
) -> None:
    issuer.claims |= {"aud": [CLIENT, "another"], "azp": CLIENT}
    assert "Allow access?" in sign_in(app, browser).text


@pytest.mark.parametrize("how", ["stranger's key", "kid", "none", "HS256", "nothing", "long"])
def test_a_signature_that_is_not_right_lets_nobody_in(
    app: App, browser: Browser, issuer: FakeIssuer, how: str
) -> None:
    match how:
        case "stranger's key":
            issuer.key = generate_private_key(65537, 2048)
        case "kid":
            issuer.header = {"kid": "unknown"}
        case "nothing":
            issuer.id_token = "a.b.c"
        case "long":
            issuer.id_token = "x" * 70_000
        case _:
            issuer.id_token = forged(how)
    refused(app, browser, 400)


def forged(algorithm: str) -> str:
    """A token signed with what everybody knows."""

    def b64(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    now = int(time.time())
    claims = {"iss": "x", "aud": CLIENT, "sub": "s", "iat": now, "exp": now + 900, "nonce": "n"}
    body = ".".join(
        b64(json.dumps(part).encode()) for part in ({"alg": algorithm, "kid": "RS256"}, claims)
    )
    mac = hmac.new(b"", body.encode(), hashlib.sha256).digest() if algorithm == "HS256" else b""
    return f"{body}.{b64(mac)}"


def test_another_browser_does_not_come_back_for_us(
    app: App, browser: Browser, issuer: FakeIssuer, served: tuple[FakeIssuer, str]
) -> None:
    back = leave(app, browser)
    page = Browser(served[1]).open(back)
    assert page.reply.status_code == 400
    once = browser.open(back).reply
    assert once.status_code == 303
    assert once.headers["location"].startswith("/oauth/authorize?"), "and nowhere else"
    assert browser.open(back).reply.status_code == 400, "once"


@pytest.mark.parametrize(
    "query",
    ["", "code=x", "state=x&code=x", "error=access_denied", "state=%00&code=x", "code=a&code=b"],
)
def test_what_is_no_answer_of_the_issuer_is_a_page(
    app: App, browser: Browser, issuer: FakeIssuer, query: str
) -> None:
    leave(app, browser)
    page = browser.open(f"/oauth/oidc/callback?{query}")
    assert page.reply.status_code == 400
    assert "content-security-policy" in page.reply.headers


def test_an_answer_of_another_issuer_is_refused(
    app: App, browser: Browser, issuer: FakeIssuer
) -> None:
    back = leave(app, browser)
    assert browser.open(f"{back}&iss=https://evil.example").reply.status_code == 400


@pytest.mark.parametrize("what", ["discovery", "token", "keys"])
@pytest.mark.parametrize("status", [500, 302])
def test_an_issuer_that_is_down_is_a_503(
    app: App, browser: Browser, issuer: FakeIssuer, what: str, status: int
) -> None:
    back = leave(app, browser)
    issuer.status[what] = status
    page = browser.open(back)
    assert page.reply.status_code == 503
    assert int(page.reply.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    "discovery",
    [{"issuer": "https://evil.example"}, {"token_endpoint": None}, {"jwks_uri": "file:///etc"}],
)
def test_an_issuer_that_says_something_wrong_of_itself_is_not_believed(
    app: App, browser: Browser, issuer: FakeIssuer, discovery: dict
) -> None:
    issuer.discovery = discovery
    [link] = browser.open("/oauth/authorize", **app.asks()).links
    assert browser.open(link).reply.status_code == 503


def test_without_an_issuer_there_is_no_link(api: Api) -> None:
    firm = Firm(api)
    with firm.boss:
        app = register(firm)
        browser = Browser(api.url)
        page = browser.open("/oauth/authorize", **app.asks())
        assert page.links == []
        for path in ("start", "callback"):
            reply = browser.open(f"/oauth/oidc/{path}", **app.asks()).reply
            assert reply.status_code == 404
