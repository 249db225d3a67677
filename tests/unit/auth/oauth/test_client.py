"""Where users may be sent back to: what is registered, to the letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.auth.oauth.client import Client, form_action, may_be_redirected_to

LOOPBACK = "http://127.0.0.1:5000/callback"


def client(*uris: str, public: bool = False) -> Client:
    secret = None if public else b"hash"
    return Client("cli_1", "ten_1", "App", secret, uris, frozenset(), frozenset())


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example.com/callback", "https://app.example.com", "https://app.example.com?a=b",
        "https://app.example.com:8443/a/b?c=d&e=%20", "https://[2001:db8::1]/x", "https://localhost/x",
        LOOPBACK, "http://localhost:3000/", "http://[::1]/x", "com.example.app:/oauth",
        "com.example.app://oauth/back",
    ],
)  # fmt: skip
def test_these_may_be_registered(uri: str) -> None:
    assert may_be_redirected_to(uri)
    assert client(uri).accepts(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "", "https://", "https:///x", "http://app.example.com/", "http://127.0.0.2/", "http://127.1/",
        "http://127.0.0.1.evil.example/", "http://localhost.evil.example/", "HTTPS://app.example.com/",
        "https://app.example.com/#fragment", "https://app.example.com/#", "https://a@b.example/",
        "https://a:b@c.example/", "http://127.0.0.1@evil.example/", "https://*.example.com/",
        "https://app.example.com/*", "https://a.example/\r\nX: y", "https://a.example/ b",
        "https://a.example\\@b.example/", "https://a.example/\\b", "https://a.example/<x>", "https://ä.example/",
        'https://a.example/"', "https://a.example/'", "https://a.example;frame-ancestors */",
        "https://a.example, https://b.example", "javascript:alert(1)", "javascript://a.example/%0aalert(1)",
        "data:text/html,x", "data.x:text/html,x", "myapp:/x", "file:///etc/passwd", "ftp://a.example/",
        "//a.example/", "/callback", "a.example", "https://a.example:999999/", "https://a.example:x/",
        "https://a.example/\0", "https://.example/", "https://example./" + "x" * 1000, " https://a.example/",
        "https://a.example/\n",
    ],
)  # fmt: skip
def test_these_may_not(uri: str) -> None:
    assert not may_be_redirected_to(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example.com/callback/", "https://app.example.com/callback?x=1", "https://app.example.com",
        "https://app.example.com/callbac", "https://app.example.com/CALLBACK", "https://APP.example.com/callback",
        "https://app.example.com:443/callback", "http://app.example.com/callback",
        "https://app.example.com/x/../callback", "https://app.example.com/callback#", "https://app.example.com/%63allback",
        "https://app.example.com.evil.example/callback", "https://evil.example/callback",
        "https://app.example.com@evil.example/callback", "https://evil.example?https://app.example.com/callback",
        "", "\0", "https://app.example.com/callback\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("public", [True, False])
def test_nothing_but_the_letter_is_accepted(uri: str, *, public: bool) -> None:
    assert not client("https://app.example.com/callback", LOOPBACK, public=public).accepts(uri)


def test_the_port_is_free_for_public_clients_on_loopback_only() -> None:
    for uri in ("http://127.0.0.1:49152/callback", "http://127.0.0.1/callback"):
        assert client(LOOPBACK, public=True).accepts(uri)
        assert not client(LOOPBACK).accepts(uri)
    for uri in (
        "http://localhost:5000/callback", "http://127.0.0.1:5000/other", "https://127.0.0.1:5000/callback",
        "http://127.0.0.1:5000@evil.example/callback", "http://127.0.0.1:5000.evil.example/callback",
    ):  # fmt: skip
        assert not client(LOOPBACK, public=True).accepts(uri)
    assert not client("https://a.example:1/x", public=True).accepts("https://a.example:2/x")


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    if may_be_redirected_to(text):
        assert not set(form_action(text)) & set(" ;,'\"*")
    assert client(LOOPBACK, public=True).accepts(text) in (True, False)


@pytest.mark.parametrize(
    ("uri", "action"),
    [
        ("https://a.example:8/x?y", "https://a.example:8"), (LOOPBACK, "http://127.0.0.1:5000"),
        ("http://[::1]:5/x", "http:"), ("com.example.app:/x", "com.example.app:"),
    ],
)  # fmt: skip
def test_a_form_may_lead_there(uri: str, action: str) -> None:
    assert form_action(uri) == action
