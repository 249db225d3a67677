"""The pages where people sign in and consent, in hostile hands."""

import re
from urllib.parse import quote, urlencode

import httpx
import pytest

from tests.acceptance.oauth_parts import CALLBACK, App, Browser, Page, register, told
from tests.acceptance.test_people import PASSWORD, USERS, Firm

XSS = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}"


def check_page(page: Page, status: int) -> None:
    """A page, that nobody frames, keeps or runs scripts in."""
    reply = page.reply
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(
        part.strip().split(" ", 1) for part in reply.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert reply.headers["x-frame-options"] == "DENY"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "script" not in page.tags
    assert '<html lang="en">' in reply.text
    assert "width=device-width" in reply.text
    assert page.labels == page.ids, "every field has a label"


# Nobody is sent where no client belongs


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://evil.example/",
        f"{CALLBACK}/",
        f"{CALLBACK}?x",
        f"{CALLBACK}#x",
        f"{CALLBACK}@evil.example",
        "https://app.example.com.evil.example/callback",
        "https://app.example.com@evil.example/callback",
        "//evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        f"{CALLBACK}\r\nX-Evil: 1",
        f"{CALLBACK}%0d%0aX: 1",
        "HTTPS://app.example.com/callback",
        f"{CALLBACK}\\@evil.example",
        f" {CALLBACK}",
        "\0",
        "é",
        "",
        None,
        "http://app.example.com/callback",
        "x" * 4000,
        XSS,
    ],
)
def test_an_unknown_redirect_is_a_page(
    app: App, browser: Browser, redirect_uri: str | None
) -> None:
    page = browser.open("/oauth/authorize", **app.asks(redirect_uri=redirect_uri))
    check_page(page, 400)
    assert "location" not in page.reply.headers
    assert "evil" not in page.text


@pytest.mark.parametrize("client_id", ["cli_unknown", XSS, "' OR '1'='1", "\0", "", None])
def test_an_unknown_client_is_a_page(app: App, browser: Browser, client_id: str | None) -> None:
    check_page(browser.open("/oauth/authorize", **app.asks(client_id=client_id)), 400)


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_two_clients_or_redirects_are_a_page(app: App, browser: Browser, name: str) -> None:
    twice = f"{urlencode(app.asks())}&{name}={quote(app.asks()[name])}"
    check_page(browser.open(f"/oauth/authorize?{twice}"), 400)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "x"}, "invalid_request"),
        ({"code_challenge": "x" * 44}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"scope": "chat root"}, "invalid_scope"),
        ({"scope": "admin"}, "invalid_scope"),
    ],
)
def test_other_faults_go_back_to_the_client(
    app: App, browser: Browser, changes: dict[str, str | None], error: str
) -> None:
    reply = browser.open("/oauth/authorize", **app.asks(state=XSS, **changes)).reply
    assert reply.status_code == 303
    assert reply.headers["location"].startswith(f"{CALLBACK}?")
    fields = told(reply.headers["location"])
    assert (fields["error"], fields["state"], fields["iss"]) == (error, XSS, app.url)
    assert reply.headers["cache-control"] == "no-store"


def test_a_parameter_that_stands_there_twice_goes_back(app: App, browser: Browser) -> None:
    reply = browser.open(f"/oauth/authorize?{urlencode(app.asks())}&state=other").reply
    fields = told(reply.headers["location"])
    assert fields["error"] == "invalid_request"
    assert "state" not in fields


# The pages


@pytest.mark.parametrize("state", [XSS, "é☃", "a b+c%20d&e=f", "x" * 2000, "\r\nX-Evil: 1"])
def test_a_state_comes_back_as_it_is_and_is_written_nowhere(
    firm: Firm, app: App, browser: Browser, state: str
) -> None:
    login = browser.open("/oauth/authorize", **app.asks(state=state))
    check_page(login, 200)
    consent = browser.sign_in(login, firm.join()["email"])
    check_page(consent, 200)
    assert "alert(1)" not in login.text + consent.text
    assert browser.allow(consent)["state"] == state


def test_a_clients_name_is_a_name(firm: Firm, browser: Browser) -> None:
    app = register(firm, name=XSS)
    login = browser.open("/oauth/authorize", **app.asks())
    check_page(login, 200)
    assert XSS in login.text
    consent = browser.sign_in(login, firm.join()["email"])
    check_page(consent, 200)
    assert XSS in consent.text
    assert {"img", "script"}.isdisjoint(consent.tags)


def test_a_wrong_password_says_so_and_keeps_the_address(app: App, browser: Browser) -> None:
    login = browser.open("/oauth/authorize", **app.asks())
    again = Page(browser.send(login, email=XSS, password="wrong"))
    check_page(again, 401)
    assert again.fields["email"] == XSS
    assert again.fields["password"] == ""
    assert 'role="alert"' in again.reply.text


def test_too_many_wrong_passwords_are_a_429(app: App, browser: Browser) -> None:
    login = browser.open("/oauth/authorize", **app.asks())
    replies = [browser.send(login, email="a@b.c", password="wrong") for _ in range(12)]
    check_page(Page(replies[-1]), 429)
    assert int(replies[-1].headers["retry-after"]) > 0


def test_refusing_is_told(firm: Firm, app: App, browser: Browser) -> None:
    consent = browser.sign_in(browser.open("/oauth/authorize", **app.asks()), firm.join()["email"])
    fields = browser.allow(consent, "deny")
    assert (fields["error"], fields["state"], fields["iss"]) == ("access_denied", "st", app.url)
    assert "code" not in fields


def test_a_page_allows_its_form_to_lead_to_the_client(firm: Firm, browser: Browser) -> None:
    app = register(
        firm, public=True, redirect_uris=["http://127.0.0.1:1/cb", "com.example.app:/cb"]
    )
    for redirect_uri, origin in (
        ("http://127.0.0.1:4711/cb", "http://127.0.0.1:4711"),
        ("com.example.app:/cb", "com.example.app:"),
    ):
        page = browser.open("/oauth/authorize", **app.asks(redirect_uri=redirect_uri))
        policy = page.reply.headers["content-security-policy"]
        assert f"form-action 'self' {origin};" in policy


# Whose form, whose visit


@pytest.mark.parametrize("visit", ["", "x", None])
def test_a_form_from_elsewhere_is_refused(
    firm: Firm, app: App, browser: Browser, visit: str | None
) -> None:
    login = browser.open("/oauth/authorize", **app.asks())
    page = Page(browser.send(login, email="a@b.c", password="x", visit=visit or "é"))
    check_page(page, 403)
    consent = browser.sign_in(login, firm.join()["email"])
    page = Page(browser.send(consent, decision="allow", visit=visit or login.fields["visit"]))
    check_page(page, 403)
    assert "location" not in page.reply.headers


def test_another_browsers_form_is_refused(firm: Firm, app: App, url: str) -> None:
    mine, theirs = Browser(url), Browser(url)
    page = mine.open("/oauth/authorize", **app.asks())
    theirs.open("/oauth/authorize", **app.asks())
    email = firm.join()["email"]
    assert theirs.send(page, email=email, password=PASSWORD).status_code == 403
    assert Browser(url).send(page, email=email, password=PASSWORD).status_code == 403


def test_a_cookie_planted_before_the_login_is_worth_nothing_after(
    firm: Firm, app: App, url: str
) -> None:
    victim, thief = Browser(url), Browser(url)
    login = thief.open("/oauth/authorize", **app.asks())
    victim.http.cookies = httpx.Cookies(thief.http.cookies)
    consent = victim.sign_in(login, firm.join()["email"])
    assert consent.fields["visit"] != login.fields["visit"]
    assert "password" in thief.open("/oauth/authorize", **app.asks()).fields


@pytest.mark.parametrize("change", ["flip", "cut", "empty", "long"])
def test_a_cookie_that_is_not_ours_is_nobodys(
    firm: Firm, app: App, browser: Browser, change: str
) -> None:
    browser.sign_in(browser.open("/oauth/authorize", **app.asks()), firm.join()["email"])
    [(name, value)] = browser.http.cookies.items()
    changed = {
        "flip": value[:40] + "AAAA" + value[44:],
        "cut": value[:-8],
        "empty": "",
        "long": value * 20,
    }
    browser.http.cookies.clear()
    browser.http.cookies.set(name, changed[change])
    assert "password" in browser.open("/oauth/authorize", **app.asks()).fields


def test_whoever_is_suspended_meanwhile_consents_to_nothing(
    firm: Firm, app: App, browser: Browser
) -> None:
    user = firm.join()
    consent = browser.sign_in(browser.open("/oauth/authorize", **app.asks()), user["email"])
    firm.boss.patch(f"{USERS}/{user['id']}", json={"suspended": True}).raise_for_status()
    reply = browser.send(consent, decision="allow")
    assert reply.headers["location"].startswith("/oauth/authorize?")
    assert "password" in browser.open(reply.headers["location"]).fields


def test_somebody_of_another_tenant_gets_no_further(
    other: Firm, app: App, browser: Browser
) -> None:
    login = browser.open("/oauth/authorize", **app.asks())
    refused = Page(browser.send(login, email=other.join()["email"], password=PASSWORD))
    check_page(refused, 403)
    assert "password" in refused.fields


def test_the_account_can_be_changed(firm: Firm, app: App, browser: Browser) -> None:
    consent = browser.sign_in(browser.open("/oauth/authorize", **app.asks()), firm.join()["email"])
    back = browser.send(consent, decision="switch").headers["location"]
    second = firm.join()["email"]
    assert second in browser.sign_in(browser.open(back), second).text


def test_a_viewer_gives_no_more_than_they_may(firm: Firm, app: App, browser: Browser) -> None:
    asked = app.asks(scope="docs:write")
    login = browser.open("/oauth/authorize", **asked)
    reply = browser.send(login, email=firm.join("viewer")["email"], password=PASSWORD)
    sent = browser.open(reply.headers["location"]).reply
    assert told(sent.headers["location"])["error"] == "access_denied"
    code = app.code_for(firm.join("viewer")["email"], scope="chat docs:write")
    assert app.redeem(code).json()["scope"] == "chat"


def test_pages_hold_no_secret_and_load_nothing(app: App, browser: Browser) -> None:
    page = browser.open("/oauth/authorize", **app.asks())
    assert not re.search(r"(src|href|@import|url\()", page.reply.text)
    cookie = page.reply.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert page.fields["visit"] not in cookie
