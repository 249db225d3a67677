"""The authorization server over HTTP: a stock client gets in, and whoever confuses it does not."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import jwt
import pytest
from authlib.integrations.httpx_client import OAuth2Client

from tests.acceptance.oauth_parts import (
    CALLBACK,
    CHALLENGE,
    CLIENTS,
    VERIFIER,
    App,
    Browser,
    register,
    told,
)
from tests.acceptance.test_people import INVITATIONS, KEYS, PASSWORD, USERS, Firm
from tests.acceptance.test_refusals import check_problem
from tests.integration.workshop import owner_rows

BASIC = 'Basic realm="docent"'


def check_refused(reply: httpx.Response, status: int, error: str) -> None:
    assert (reply.status_code, reply.json()["error"]) == (status, error), reply.text
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers.get("www-authenticate") == (BASIC if status == 401 else None)


# A stock client


def test_a_stock_client_goes_all_the_way(firm: Firm, url: str, browser: Browser) -> None:
    user = firm.join()
    app = register(firm)
    known = httpx.get(f"{url}/.well-known/oauth-authorization-server").json()
    with OAuth2Client(
        app.id, app.secret, scope="chat docs:read", redirect_uri=CALLBACK,
        code_challenge_method="S256", token_endpoint=known["token_endpoint"],
    ) as client:  # fmt: skip
        asked, state = client.create_authorization_url(
            known["authorization_endpoint"], code_verifier=VERIFIER
        )
        login = browser.open(asked)
        consent = browser.sign_in(login, user["email"])
        assert "The app" in consent.text
        assert "app.example.com" in consent.text
        sent = browser.send(consent, decision="allow").headers["location"]
        assert sent.startswith(f"{CALLBACK}?")
        assert told(sent)["iss"] == known["issuer"] == url
        tokens = client.fetch_token(
            authorization_response=sent, state=state, code_verifier=VERIFIER
        )
        assert tokens["scope"] == "chat docs:read"
        me = client.get(f"{url}/api/v1/me").json()
        assert (me["user"]["id"], me["kind"], me["scopes"]) == (
            user["id"], "user", ["chat", "docs:read"],
        )  # fmt: skip
        fresh = client.refresh_token(known["token_endpoint"])
        assert fresh["refresh_token"] != tokens["refresh_token"]
        assert client.get(f"{url}/api/v1/docs").status_code == 200
        assert client.post(f"{url}/api/v1/docs", json={"url": "x"}).status_code == 403
        client.revoke_token(known["revocation_endpoint"], fresh["refresh_token"])
        assert client.get(f"{url}/api/v1/me").status_code == 401
    assert {"login", "client.consent", "client.create"} <= {e["action"] for e in firm.events()}


def test_the_metadata_is_that_of_this_server(url: str) -> None:
    known = httpx.get(
        f"{url}/.well-known/oauth-authorization-server", headers={"Host": "evil.example"}
    )
    assert known.json().items() >= {
        "issuer": url, "authorization_endpoint": f"{url}/oauth/authorize",
        "code_challenge_methods_supported": ["S256"], "response_types_supported": ["code"],
        "authorization_response_iss_parameter_supported": True,
    }.items()  # fmt: skip
    assert "evil" not in known.text
    keys = httpx.get(known.json()["jwks_uri"]).json()["keys"]
    assert keys
    for key in keys:
        assert (key["kty"], key["alg"], key["use"]) == ("EC", "ES256", "sig")
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_token_opens_by_either_header_what_its_scopes_allow(
    firm: Firm, app: App, header: str
) -> None:
    tokens = app.tokens(firm.join()["email"])
    assert app.me(tokens["access_token"], header).status_code == 200
    check_problem(app.me(tokens["refresh_token"], header), 401, "not_authenticated")
    check_problem(app.me(tokens["access_token"][:-6], header), 401, "not_authenticated")
    value = tokens["access_token"]
    headers = {header: f"Bearer {value}" if header == "Authorization" else value}
    asked = httpx.post(
        f"{app.url}/api/v1/retrieve", json={"question": "x"}, headers=headers, timeout=60
    )
    assert asked.status_code == 200
    check_problem(httpx.get(f"{app.url}{USERS}", headers=headers), 403, "not_allowed")


def test_a_client_makes_nothing_that_would_outlive_its_consent(firm: Firm) -> None:
    app = register(firm, scopes=["chat", "admin"])
    reply = app.redeem(app.code_for(firm.join("owner")["email"], scope="chat admin"))
    headers = {"Authorization": f"Bearer {reply.json()['access_token']}"}
    assert httpx.get(f"{app.url}{CLIENTS}", headers=headers).status_code == 200
    for path, body in (
        (KEYS, {"name": "k", "scopes": ["chat"]}),
        (CLIENTS, {"name": "n", "scopes": ["chat"], "redirect_uris": [CALLBACK]}),
        (INVITATIONS, {"role": "owner"}),
        (f"{USERS}/{firm.join('owner')['id']}/password-reset", None),
    ):
        made = httpx.post(f"{app.url}{path}", json=body, headers=headers)
        check_problem(made, 403, "not_allowed")


def test_a_client_leaves_its_users_account_alone(firm: Firm, app: App) -> None:
    """Its user consented to scopes, and their keys, name and password are in none."""
    user = firm.join()
    key_id, key = firm.key_of(user)
    headers = {"Authorization": f"Bearer {app.tokens(user['email'])['access_token']}"}
    with httpx.Client(base_url=app.url, headers=headers, timeout=60) as client:
        change = {"old_password": PASSWORD, "new_password": PASSWORD[::-1]}
        for reply in (
            client.get(KEYS),
            client.get(f"{KEYS}/{key_id}"),
            client.delete(f"{KEYS}/{key_id}"),
            client.patch("/api/v1/me", json={"name": "Mallory"}),
            client.post("/api/v1/auth/password", json=change),
        ):
            check_problem(reply, 403, "not_allowed")
        assert client.get("/api/v1/me").json()["user"]["name"] == user["name"]
    assert app.me(key, "X-API-Key").status_code == 200


# What ends a token


@pytest.mark.parametrize("how", ["suspended", "client disabled", "logged out"])
def test_it_is_over_with_the_next_request(firm: Firm, app: App, how: str) -> None:
    user = firm.join()
    tokens = app.tokens(user["email"])
    token = tokens["access_token"]
    assert app.me(token).status_code == 200
    match how:
        case "suspended":
            firm.boss.patch(f"{USERS}/{user['id']}", json={"suspended": True}).raise_for_status()
        case "client disabled":
            assert firm.boss.delete(f"{CLIENTS}/{app.id}").status_code == 204
        case _:
            headers = {"Authorization": f"Bearer {token}"}
            out = httpx.post(f"{app.url}/api/v1/auth/logout", headers=headers)
            assert out.status_code == 204
    check_problem(app.me(token), 401, "not_authenticated")
    disabled = how == "client disabled"
    check_refused(
        app.refresh(tokens["refresh_token"]),
        401 if disabled else 400,
        "invalid_client" if disabled else "invalid_grant",
    )


def test_fifty_redemptions_at_once_are_one(firm: Firm, app: App) -> None:
    code = app.code_for(firm.join()["email"])
    with ThreadPoolExecutor(50) as threads:
        replies = list(threads.map(lambda _: app.redeem(code), range(50)))
    [served] = [reply for reply in replies if reply.status_code == 200]
    for reply in replies:
        if reply is not served:
            check_refused(reply, 400, "invalid_grant")
    # The others were replays, and end what the first got.
    assert app.me(served.json()["access_token"]).status_code == 401
    check_refused(app.refresh(served.json()["refresh_token"]), 400, "invalid_grant")


def test_a_refresh_token_that_is_replayed_ends_its_family(firm: Firm, app: App) -> None:
    email = firm.join()["email"]
    first, other = app.tokens(email), app.tokens(email)
    second = app.refresh(first["refresh_token"]).json()
    check_refused(app.refresh(first["refresh_token"]), 400, "invalid_grant")
    check_refused(app.refresh(second["refresh_token"]), 400, "invalid_grant")
    assert app.me(second["access_token"]).status_code == 401
    assert app.me(other["access_token"]).status_code == 200


def test_revoking_is_200_for_what_nobody_knows(firm: Firm, app: App) -> None:
    tokens = app.tokens(firm.join()["email"])
    other = register(firm)

    def revoke(app: App, token: str) -> int:
        form = {"client_id": app.id, "client_secret": app.secret, "token": token}
        return httpx.post(f"{app.url}/oauth/revoke", data=form).status_code

    for token in ("unknown", "dr_x", "a.b.c", "x" * 5000):
        assert revoke(app, token) == 200
    assert revoke(other, tokens["access_token"]) == 200
    assert app.me(tokens["access_token"]).status_code == 200, "another client's"
    assert revoke(app, tokens["access_token"]) == 200
    assert app.me(tokens["access_token"]).status_code == 401
    check_refused(app.refresh(tokens["refresh_token"]), 400, "invalid_grant")


# The code is bound


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": VERIFIER[:-1] + "l"}, {"code_verifier": CHALLENGE},
        {"redirect_uri": f"{CALLBACK}/"}, {"redirect_uri": "https://evil.example/"},
        {"code": "unknown"}, {"code": "é"}, {"code": "x" * 5000},
    ],
)  # fmt: skip
def test_a_code_is_for_its_redirect_and_challenge(
    firm: Firm, app: App, changes: dict[str, str]
) -> None:
    code = app.code_for(firm.join()["email"])
    check_refused(app.redeem(**{"code": code, **changes}), 400, "invalid_grant")
    assert app.redeem(code).status_code == 200, "and it is not used up by whoever gets it wrong"


def test_a_code_is_for_its_client(firm: Firm, other: Firm, app: App) -> None:
    code = app.code_for(firm.join()["email"])
    check_refused(register(firm).redeem(code), 400, "invalid_grant")
    check_refused(register(other).redeem(code), 400, "invalid_grant")
    assert app.redeem(code).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE authorization_codes SET expires_at = now() WHERE user_id = %s",
        "UPDATE users SET suspended_at = now() WHERE id = %s",
        "UPDATE users SET tokens_since = now() WHERE id = %s",
    ],
)
def test_a_code_lapses_by_itself_and_with_its_user(firm: Firm, app: App, change: str) -> None:
    user = firm.join()
    code = app.code_for(user["email"])
    url = firm.api.database.database_url
    lasts = (
        "SELECT extract(epoch FROM expires_at - created_at) AS s FROM authorization_codes"
        " WHERE user_id = %s"
    )
    assert [row["s"] for row in owner_rows(url, lasts, user["id"])] == [60]
    owner_rows(url, change, user["id"])
    check_refused(app.redeem(code), 400, "invalid_grant")


@pytest.mark.parametrize("name", ["code", "redirect_uri", "code_verifier"])
def test_nothing_may_be_left_out(firm: Firm, app: App, name: str) -> None:
    code = app.code_for(firm.join()["email"])
    check_refused(app.redeem(**{"code": code, name: None}), 400, "invalid_request")


def test_a_client_proves_who_it_is(firm: Firm, app: App, url: str) -> None:
    public = register(firm, public=True)
    assert public.secret is None
    wrong = [
        {"client_secret": "wrong"}, {"client_secret": None}, {"client_id": "cli_unknown"},
        {"client_id": None}, {"client_id": public.id}, {"client_id": "' OR '1'='1"},
        {"client_secret": "é" * 200},
    ]  # fmt: skip
    for changes in wrong:
        check_refused(app.redeem("x", **changes), 401, "invalid_client")
    code = public.code_for(firm.join()["email"])
    check_refused(public.redeem(code, client_secret="x"), 401, "invalid_client")
    assert public.redeem(code).status_code == 200
    form = {"grant_type": "authorization_code", "code": "x", "redirect_uri": "x",
            "code_verifier": "x"}  # fmt: skip
    for pair, status, error in (
        ((app.id, app.secret), 400, "invalid_grant"), ((app.id, "wrong"), 401, "invalid_client"),
        (("", ""), 401, "invalid_client"), ((public.id, ""), 401, "invalid_client"),
    ):  # fmt: skip
        check_refused(httpx.post(f"{url}/oauth/token", data=form, auth=pair), status, error)
    for header in ("Bearer x", "Basic", "Basic x", "Basic !!!", "Basic eA==", "Digest x"):
        reply = httpx.post(f"{url}/oauth/token", data=form, headers={"Authorization": header})
        check_refused(reply, 401, "invalid_client")
    both = httpx.post(
        f"{url}/oauth/token", data={**form, "client_secret": app.secret}, auth=(app.id, app.secret)
    )
    check_refused(both, 400, "invalid_request")


def test_what_is_no_token_request_is_refused_in_oauths_words(app: App, url: str) -> None:
    check_refused(app.token(), 400, "invalid_request")
    check_refused(app.token(grant_type="password"), 400, "unsupported_grant_type")
    check_refused(app.token(grant_type="client_credentials"), 400, "unauthorized_client")
    check_refused(app.token(grant_type="refresh_token", scope="root"), 400, "invalid_scope")
    address = f"{url}/oauth/token"
    for kind, content in (
        ("application/json", b"{}"), ("application/x-www-form-urlencoded", b"a=%ff"),
        ("application/x-www-form-urlencoded", b"client_id=%00"),
        ("application/x-www-form-urlencoded", b"client_id=a&client_id=a"),
        ("application/x-www-form-urlencoded", b"a=b&" * 60), ("", b""),
    ):  # fmt: skip
        reply = httpx.post(address, content=content, headers={"Content-Type": kind})
        check_refused(reply, 400, "invalid_request")
    large = httpx.post(address, data={"client_id": "x" * 1_100_000})
    check_refused(large, 413, "invalid_request")


# Service accounts


def test_a_service_account_acts_for_itself(firm: Firm, url: str) -> None:
    app = register(firm, grants=["client_credentials"], redirect_uris=[], scopes=["chat", "admin"])
    reply = app.token(grant_type="client_credentials")
    assert set(reply.json()) == {"access_token", "token_type", "expires_in", "scope"}
    assert reply.headers["cache-control"] == "no-store"
    token = reply.json()["access_token"]
    me = app.me(token).json()
    assert (me["id"], me["kind"], me["user"], me["scopes"], me["tenant"]["name"]) == (
        app.id, "client", None, ["admin", "chat"], firm.name,
    )  # fmt: skip
    assert jwt.decode(token, options={"verify_signature": False})["sub"] == app.id
    less = app.token(grant_type="client_credentials", scope="chat").json()
    assert app.me(less["access_token"]).json()["scopes"] == ["chat"]
    check_refused(
        app.token(grant_type="client_credentials", scope="chat docs:write"), 400, "invalid_scope"
    )
    client = {"name": "n", "scopes": ["chat"], "grants": ["client_credentials"]}
    headers = {"Authorization": f"Bearer {token}"}
    check_problem(httpx.post(f"{url}{CLIENTS}", json=client, headers=headers), 403, "not_allowed")
    assert firm.boss.delete(f"{CLIENTS}/{app.id}").status_code == 204
    check_problem(app.me(token), 401, "not_authenticated")
    check_refused(app.token(grant_type="client_credentials"), 401, "invalid_client")


# Administrators


def test_administrators_make_list_and_disable_clients(firm: Firm, other: Firm) -> None:
    apps = [register(firm, name=f"App {number}") for number in range(3)]
    page = firm.boss.get(CLIENTS, params={"limit": 2}).json()
    rest = firm.boss.get(CLIENTS, params={"after": page["next"]}).json()
    listed = [client["id"] for client in page["items"] + rest["items"]]
    assert listed == [app.id for app in reversed(apps)]
    assert all(app.secret and app.secret not in str(page) + str(rest) for app in apps)
    assert firm.boss.delete(f"{CLIENTS}/{apps[0].id}").status_code == 204
    assert firm.boss.delete(f"{CLIENTS}/{apps[0].id}").status_code == 204
    assert firm.boss.get(CLIENTS).json()["items"][-1]["disabled_at"] is not None
    check_problem(other.boss.delete(f"{CLIENTS}/{apps[1].id}"), 404, "client_not_found")
    assert other.boss.get(CLIENTS).json()["items"] == []
    check_problem(firm.boss.delete(f"{CLIENTS}/%00"), 422, "invalid_request")
    weak = firm.api.mint("chat", "docs:read")
    with firm.api.client(weak) as client:
        check_problem(client.get(CLIENTS), 403, "not_allowed")


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uris": ["http://evil.example/"]}, {"redirect_uris": ["https://*.example/"]},
        {"redirect_uris": ["https://a.example/#x"]}, {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": []}, {"grants": ["client_credentials"]}, {"grants": ["password"]},
        {"grants": ["refresh_token"], "redirect_uris": []}, {"grants": []}, {"scopes": []},
        {"scopes": ["root"]}, {"name": ""}, {"name": "a\nb"}, {"tenant_id": "ten_other"},
        {"secret": "mine"}, {"redirect_uris": [CALLBACK] * 21}, {"redirect_uris": ["é"]},
        {"public": True, "grants": ["authorization_code", "client_credentials"]},
    ],
)  # fmt: skip
def test_what_is_no_client_is_not_made(firm: Firm, changes: dict) -> None:
    body = {"name": "n", "redirect_uris": [CALLBACK], "scopes": ["chat"], **changes}
    check_problem(firm.boss.post(CLIENTS, json=body), 422, "invalid_request")
    assert firm.boss.get(CLIENTS).json()["items"] == []


def test_a_client_may_do_no_more_than_its_maker(firm: Firm, url: str) -> None:
    _, key = firm.key_of(firm.join("admin"), "admin", "chat")
    body = {"name": "n", "redirect_uris": [CALLBACK], "scopes": ["chat", "docs:write"]}
    reply = httpx.post(f"{url}{CLIENTS}", json=body, headers={"X-API-Key": key})
    assert check_problem(reply, 403, "not_allowed")["missing_scopes"] == ["docs:write"]
    assert PASSWORD not in reply.text
