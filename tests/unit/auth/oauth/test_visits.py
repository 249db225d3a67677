"""The cookie of a browser: ours alone, and not for ever."""

import pytest
from cryptography.fernet import Fernet
from starlette.requests import Request
from starlette.responses import Response

from app.auth.oauth.visits import FormExpired, Seal, Visit, Visits


def test_what_was_sealed_is_opened_by_the_same_secret_and_purpose_only() -> None:
    sealed = Seal(b"secret", "visits").closed({"number": "n"})
    assert Seal(b"secret", "visits").opened(sealed, ttl_s=60) == {"number": "n"}
    assert Seal(b"secret", "other").opened(sealed, ttl_s=60) is None
    assert Seal(b"other", "visits").opened(sealed, ttl_s=60) is None
    assert Seal(b"secret", "visits").opened(sealed, ttl_s=-1) is None
    for text in (
        "",
        "x",
        sealed[:-4],
        sealed[1:],
        "é",
        "\0",
        Fernet(Fernet.generate_key()).encrypt(b"{}").decode(),
    ):
        assert Seal(b"secret", "visits").opened(text, ttl_s=60) is None


def test_a_form_is_for_its_visit() -> None:
    Visit("number").check_form({"visit": "number"})
    for form in ({}, {"visit": ""}, {"visit": "numbeR"}, {"visit": "é"}):
        with pytest.raises(FormExpired):
            Visit("number").check_form(form)


@pytest.mark.parametrize(
    ("issuer", "starts", "secure"),
    [
        ("https://docent.example", "__Host-docent_visit=", True),
        ("http://127.0.0.1:8000", "docent_visit=", False),
    ],
)
async def test_the_cookie_is_for_this_host_and_no_script(
    issuer: str, starts: str, *, secure: bool
) -> None:
    visits = Visits(None, b"secret", issuer)  # type: ignore[arg-type]
    response, visit = Response(), visits.begin(None)
    visits.keep(visit, response)
    cookie = response.headers["set-cookie"]
    assert cookie.startswith(starts)
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert ("Secure" in cookie) is secure
    assert "Domain" not in cookie
    assert visit.number not in cookie
    scope = {"type": "http", "headers": [(b"cookie", cookie.partition(";")[0].encode())]}
    again = await visits.of(Request(scope))
    assert (again.number, again.user) == (visit.number, None)
    untouched = Response()
    visits.keep(again, untouched)
    assert "set-cookie" not in untouched.headers, "using it makes it no longer"
    assert (await visits.of(Request({"type": "http", "headers": []}))).number != visit.number
