"""People over HTTP: who registers, invites, makes keys and is shut out, and what is refused."""

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from app.auth.keys import create_key
from tests import forks
from tests.acceptance.conftest import Api, serving
from tests.acceptance.test_refusals import HOSTILE, check_problem
from tests.conftest import SECRET, environment
from tests.integration.workshop import owner_rows

PASSWORD = "a quiet river runs"
KEYS, USERS = "/api/v1/keys", "/api/v1/admin/users"
INVITATIONS, AUDIT = "/api/v1/admin/invitations", "/api/v1/admin/audit"
REGISTER = "/api/v1/auth/register"


#: Redis is shared by all tests: what counts addresses is tried from an address of its own.
BEHIND_A_PROXY = {"TRUSTED_PROXIES": "127.0.0.0/8"}


def somewhere(url: str) -> httpx.Client:
    """A client with an address nobody has counted yet."""
    address = str(IPv6Address(uuid.uuid4().int))
    return httpx.Client(base_url=url, headers={"X-Forwarded-For": address}, timeout=180)


class Firm:
    """A tenant of its own, seen with an operator's key."""

    def __init__(self, api: Api, name: str | None = None) -> None:
        self.api = api
        self.name = name or uuid.uuid4().hex
        self.key = create_key(
            api.database.database_url, SECRET.encode(), tenant=self.name, name="operator"
        )
        self.boss = api.client(self.key)

    def invite(self, role: str = "editor", **more) -> str:
        made = self.boss.post(INVITATIONS, json={"role": role, **more})
        assert made.status_code == 201, made.text
        code: str = made.json()["code"]
        return code

    def join(self, role: str = "editor") -> dict:
        """A new user."""
        body = registrant(invitation=self.invite(role))
        with self.api.client("") as stranger:
            made = stranger.post(REGISTER, json=body)
        assert made.status_code == 201, made.text
        user: dict = made.json()
        return user

    def key_of(self, user: dict, *scopes: str) -> tuple[str, str]:
        """A key of a user's, as if they had made it: (id, key)."""
        made = self.boss.post(KEYS, json={"name": "k", "scopes": scopes or ["chat", "docs:read"]})
        owner_rows(
            self.api.database.database_url,
            "UPDATE api_keys SET user_id = %s WHERE id = %s",
            user["id"],
            made.json()["id"],
        )
        return made.json()["id"], made.json()["key"]

    def events(self, **query: str) -> list[dict]:
        found: list[dict] = self.boss.get(AUDIT, params=query).json()["items"]
        return found


def registrant(**changes) -> dict:
    email = f"{uuid.uuid4().hex}@example.com"
    return {"email": email, "password": PASSWORD, "name": "Ann", **changes}


@pytest.fixture
def firm(api: Api) -> Iterator[Firm]:
    firm = Firm(api)
    with firm.boss:
        yield firm


def test_an_invitation_makes_a_user(firm: Firm, stranger: httpx.Client) -> None:
    body = registrant(invitation=firm.invite("viewer"))
    made = stranger.post(REGISTER, json={**body, "email": body["email"].upper()})
    assert made.status_code == 201
    user = made.json()
    assert user.items() >= {
        "email": body["email"], "name": "Ann", "role": "viewer", "suspended": False,
        "last_login_at": None,
    }.items()  # fmt: skip
    assert user["id"].startswith("usr_")
    assert PASSWORD not in made.text
    check_problem(stranger.post(REGISTER, json=registrant(invitation=body["invitation"])),
                  403, "invitation_invalid")  # fmt: skip
    again = {**body, "invitation": firm.invite()}
    check_problem(stranger.post(REGISTER, json=again), 409, "email_taken")
    check_problem(stranger.post(REGISTER, json={**body, "invitation": None}),
                  403, "invitation_invalid")  # fmt: skip
    [listed] = firm.boss.get(USERS).json()["items"]
    assert listed == user
    used = firm.boss.get(INVITATIONS).json()["items"][-1]
    assert (used["used_by"], used["email"]) == (user["id"], None)
    assert body["invitation"] not in firm.boss.get(INVITATIONS).text


@pytest.mark.parametrize("value", [*HOSTILE, "", " ", "a" * 300, "\ud800", "a\nb", "\x7f"])
def test_hostile_values_never_break_anything(
    firm: Firm, stranger: httpx.Client, value: str
) -> None:
    code = firm.invite()
    for field in ("email", "name", "password", "invitation"):
        body = registrant(invitation=code, **{field: value} if field != "invitation" else {})
        body[field] = value
        reply = post(stranger, REGISTER, body)
        assert reply.status_code in (201, 403, 422), (field, reply.text)
        if reply.status_code == 201:
            assert field in ("name", "password")
            code = firm.invite()
        if "\0" in value and field in ("email", "name"):
            check_problem(reply, 422, "invalid_request")
    user = firm.join()
    for method, path, body in (
        ("PATCH", f"{USERS}/{user['id']}", {"name": value}),
        ("PATCH", f"{USERS}/{user['id']}", {"role": value}),
        ("POST", INVITATIONS, {"email": value, "role": "viewer"}),
        ("POST", KEYS, {"name": value, "scopes": ["chat"]}),
        ("POST", KEYS, {"name": "k", "scopes": [value]}),
        ("POST", KEYS, {"name": "k", "scopes": ["chat"], "expires_at": value}),
        ("PATCH", "/api/v1/me", {"name": value}),
        ("POST", "/api/v1/auth/password", {"old_password": value, "new_password": value}),
    ):
        reply = post(firm.boss, path, body, method)
        assert reply.status_code in (200, 201, 403, 422), (path, body, reply.text)
    for path, name in ((USERS, "q"), (USERS, "role"), (USERS, "after"), (KEYS, "after"),
                       (AUDIT, "actor"), (AUDIT, "action"), (AUDIT, "target"),
                       (AUDIT, "since"), (AUDIT, "after"), (INVITATIONS, "after")):  # fmt: skip
        reply = firm.boss.get(path, params={name: value.encode("utf-8", "replace").decode()})
        assert reply.status_code in (200, 422), (path, name, reply.text)


def post(client: httpx.Client, path: str, body: dict, method: str = "POST") -> httpx.Response:
    headers = {"Content-Type": "application/json"}
    return client.request(method, path, content=json.dumps(body), headers=headers)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"password": "short"}, "password"), ({"password": "x" * 129}, "password"),
     ({"email": "ann"}, "email"), ({"role": "owner"}, "role"),
     ({"tenant_id": "ten_1"}, "tenant_id"),
     ({"email": None}, "email"), ({"name": "a\0b"}, "name"), ({"invitation": 7}, "invitation")],
)  # fmt: skip
def test_a_wrong_field_is_named(stranger: httpx.Client, changes: dict, field: str) -> None:
    problem = check_problem(
        stranger.post(REGISTER, json=registrant(**changes)), 422, "invalid_request"
    )
    assert {item["field"] for item in problem["errors"]} == {field}


def test_a_password_that_is_tried_first_is_refused(firm: Firm, stranger: httpx.Client) -> None:
    code = firm.invite()
    for password in ("password1234", "aaaaaaaaaaaaaa"):
        body = registrant(invitation=code, password=password)
        check_problem(stranger.post(REGISTER, json=body), 422, "weak_password")


def test_the_open_paths_read_no_large_bodies_and_count_by_address(api: Api, tmp_path: Path) -> None:
    settings = {"IP_REQUESTS_PER_MINUTE": "3", "REGISTRATION": "off", **BEHIND_A_PROXY}
    with serving(api.database, tmp_path, **settings) as (url, _), somewhere(url) as client:
        large = client.post(REGISTER, content=b"x" * 2_000_000)
        check_problem(large, 413, "too_large")
        for _ in range(2):
            reply = client.post(REGISTER, json=registrant())
            check_problem(reply, 403, "registration_off")
            assert reply.headers["x-ratelimit-limit"] == "3"
        problem = check_problem(client.post(REGISTER, json=registrant()), 429, "rate_limited")
        assert problem["limit"] == "ip_per_minute"
        assert client.get("/livez").status_code == 200


def test_who_fails_too_often_has_to_wait(api: Api, tmp_path: Path) -> None:
    settings = {"LOGIN_FAILURES_PER_MINUTE_PER_IP": "3", **BEHIND_A_PROXY}
    with serving(api.database, tmp_path, **settings) as (url, _), somewhere(url) as client:
        for _ in range(3):
            wrong = registrant(invitation="a guess")
            check_problem(client.post(REGISTER, json=wrong), 403, "invitation_invalid")
        refused = client.post(REGISTER, json=registrant(invitation="a guess"))
        problem = check_problem(refused, 429, "rate_limited")
        assert refused.headers["retry-after"] == str(problem["retry_after_s"])
        with somewhere(url) as elsewhere:
            reply = elsewhere.post(REGISTER, json=registrant(invitation="a guess"))
            check_problem(reply, 403, "invitation_invalid")


def test_without_redis_nobody_registers_and_keys_go_on(api: Api, tmp_path: Path) -> None:
    nowhere = {"REDIS_URL": f"unix://{tmp_path}/no.sock"}
    with serving(api.database, tmp_path, **nowhere) as (url, _), somewhere(url) as client:
        refused = client.post(REGISTER, json=registrant(invitation="a guess"))
        check_problem(refused, 503, "logins_unavailable")
        assert refused.headers["retry-after"] == "2"
        assert client.get("/api/v1/me", headers={"X-API-Key": api.key}).status_code == 200


def test_open_registration_gives_a_tenant_of_ones_own(api: Api, tmp_path: Path) -> None:
    with (
        serving(api.database, tmp_path, REGISTRATION="open") as (url, _),
        somewhere(url) as client,
    ):
        made = [client.post(REGISTER, json=registrant()) for _ in range(2)]
    assert [reply.status_code for reply in made] == [201, 201]
    assert {reply.json()["role"] for reply in made} == {"owner"}
    rows = owner_rows(
        api.database.database_url,
        "SELECT tenant_id FROM users WHERE id = ANY (%s)",
        [reply.json()["id"] for reply in made],
    )
    assert len({row["tenant_id"] for row in rows}) == 2


def test_who_am_i(firm: Firm) -> None:
    me = firm.boss.get("/api/v1/me").json()
    assert (me["kind"], me["user"], me["role"]) == ("key", None, None)
    assert me["tenant"]["name"] == firm.name
    assert me["scopes"] == ["admin", "chat", "docs:read", "docs:write"]
    assert me["key"]["id"] == me["id"]
    check_problem(firm.boss.patch("/api/v1/me", json={"name": "x"}), 403, "no_user")
    check_problem(firm.boss.post("/api/v1/auth/logout"), 403, "no_user")
    user = firm.join("viewer")
    key_id, key = firm.key_of(user)
    with firm.api.client(key) as client:
        me = client.get("/api/v1/me").json()
        assert (me["id"], me["kind"], me["user"], me["role"]) == (key_id, "key", user, "viewer")
        renamed = client.patch("/api/v1/me", json={"name": "Eve"}).json()
        assert renamed["user"]["name"] == "Eve"
        check_problem(client.patch("/api/v1/me", json={"role": "owner"}), 422, "invalid_request")
        assert client.post("/api/v1/auth/logout").status_code == 204
        assert client.get("/api/v1/me").status_code == 200, "keys stay"


def test_a_password_is_changed_with_the_old_one(firm: Firm) -> None:
    _, key = firm.key_of(firm.join())
    path = "/api/v1/auth/password"
    with firm.api.client(key) as client:
        wrong = {"old_password": "wrong", "new_password": "another good one"}
        check_problem(client.post(path, json=wrong), 403, "wrong_password")
        weak = {"old_password": PASSWORD, "new_password": "password1234"}
        check_problem(client.post(path, json=weak), 422, "weak_password")
        good = {"old_password": PASSWORD, "new_password": "another good one"}
        assert client.post(path, json=good).status_code == 204
        check_problem(client.post(path, json=good), 403, "wrong_password")


def test_keys_are_made_listed_and_revoked(firm: Firm) -> None:
    user = firm.join("editor")
    _, first = firm.key_of(user, "chat", "docs:read")
    with firm.api.client(first) as client:
        body = {"name": "laptop", "scopes": ["chat"], "expires_in_days": 1,
                "requests_per_minute": 2}  # fmt: skip
        made = client.post(KEYS, json=body)
        assert made.status_code == 201
        assert made.json()["user_id"] == user["id"]
        key_id, key = made.json()["id"], made.json().pop("key")
        shown = client.get(f"{KEYS}/{key_id}")
        assert key not in shown.text
        assert shown.json() == {name: made.json()[name] for name in shown.json()}
        assert key_id in {one["id"] for one in client.get(KEYS).json()["items"]}
        for escalation in (["admin"], ["docs:write"], ["chat", "admin"]):
            wanted = {"name": "x", "scopes": escalation}
            check_problem(client.post(KEYS, json=wanted), 403, "scope_not_held")
        problem = check_problem(
            client.post(KEYS, json={**body, "budget_usd": 1}), 403, "not_allowed"
        )
        assert problem["required_scope"] == "admin"
        check_problem(client.get(KEYS, params={"all": True}), 403, "not_allowed")
        with firm.api.client(key) as holder:
            replies = [holder.get("/api/v1/me") for _ in range(3)]
            assert [reply.status_code for reply in replies] == [200, 200, 429]
            assert replies[0].headers["x-ratelimit-limit"] == "2"
        assert client.delete(f"{KEYS}/{key_id}").status_code == 204
        with firm.api.client(key) as holder:
            check_problem(holder.get("/api/v1/me"), 401, "not_authenticated")
        assert client.get(f"{KEYS}/{key_id}").json()["revoked_at"] is not None
    made = firm.boss.post(KEYS, json={"name": "b", "scopes": ["chat"], "budget_usd": 2.5})
    assert made.json()["budget_usd"] == 2.5
    everybodys = firm.boss.get(KEYS, params={"all": True}).json()["items"]
    assert {key_id, made.json()["id"]} <= {one["id"] for one in everybodys}


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"scopes": []}, "scopes"), ({"scopes": ["root"]}, "scopes.0"), ({"name": " "}, "name"),
     ({"expires_in_days": 0}, "expires_in_days"), ({"expires_in_days": 10**9}, "expires_in_days"),
     ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"), ({"expires_at": "2030-01-01"},
     "expires_at"), ({"expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
     ({"expires_at": "0001-01-01T00:00:00+23:59"}, "expires_at"),
     ({"requests_per_minute": 0}, "requests_per_minute"), ({"budget_usd": -1}, "budget_usd"),
     ({"user_id": "usr_1"}, "user_id"), ({"key": "dk_mine"}, "key")],
)  # fmt: skip
def test_a_wrong_key_is_named(firm: Firm, changes: dict, field: str) -> None:
    body = {"name": "k", "scopes": ["chat"], **changes}
    problem = check_problem(firm.boss.post(KEYS, json=body), 422, "invalid_request")
    assert {item["field"] for item in problem["errors"]} == {field}


def test_two_ends_are_one_too_many(firm: Firm) -> None:
    both = {"expires_in_days": 1, "expires_at": "2035-01-01T00:00:00Z"}
    body = {"name": "k", "scopes": ["chat"], **both}
    check_problem(firm.boss.post(KEYS, json=body), 422, "invalid_request")


def test_ids_of_others_do_not_exist(firm: Firm, api: Api) -> None:
    user = firm.join()
    key_id, _ = firm.key_of(user)
    firm.invite()
    invitation = firm.boss.get(INVITATIONS).json()["items"][0]["id"]
    with api.client(api.other_key) as other:
        for method, path, body in (
            ("GET", f"{KEYS}/{key_id}", None), ("DELETE", f"{KEYS}/{key_id}", None),
            ("GET", f"{USERS}/{user['id']}", None),
            ("PATCH", f"{USERS}/{user['id']}", {"name": "x"}),
            ("POST", f"{USERS}/{user['id']}/password-reset", None),
            ("DELETE", f"{INVITATIONS}/{invitation}", None),
        ):  # fmt: skip
            reply = other.request(method, path, json=body)
            check_problem(reply, 404, reply.json()["code"])
        assert user["email"] not in other.get(USERS, params={"limit": 100}).text
        assert key_id not in other.get(KEYS, params={"all": True, "limit": 100}).text
        assert other.get(AUDIT, params={"target": user["id"]}).json()["items"] == []
        assert user["id"] not in other.get(AUDIT, params={"format": "ndjson"}).text
    _, key = firm.key_of(firm.join())
    with api.client(key) as colleague:
        check_problem(colleague.get(f"{KEYS}/{key_id}"), 404, "key_not_found")
        check_problem(colleague.delete(f"{KEYS}/{key_id}"), 404, "key_not_found")


def test_the_last_owner_cannot_be_deposed_by_two_at_once(firm: Firm) -> None:
    owners = [firm.join("owner") for _ in range(2)]

    def depose(owner: dict) -> int:
        with firm.api.client(firm.key) as boss:
            return boss.patch(f"{USERS}/{owner['id']}", json={"role": "editor"}).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(depose, owners)) == [200, 409]
    [left] = firm.boss.get(USERS, params={"role": "owner"}).json()["items"]
    reply = firm.boss.patch(f"{USERS}/{left['id']}", json={"suspended": True})
    check_problem(reply, 409, "last_owner")


def test_a_suspended_users_key_is_void_at_once(firm: Firm) -> None:
    user = firm.join("editor")
    _, key = firm.key_of(user, "chat", "docs:write")
    path = f"{USERS}/{user['id']}"
    with firm.api.client(key) as client:
        upload = {"files": {"file": ("a.txt", b"some text")}}
        assert client.post("/api/v1/docs", **upload).status_code == 202
        assert firm.boss.patch(path, json={"role": "viewer"}).json()["role"] == "viewer"
        check_problem(client.post("/api/v1/docs", **upload), 403, "not_allowed")
        assert firm.boss.patch(path, json={"suspended": True}).json()["suspended"] is True
        check_problem(client.get("/api/v1/me"), 401, "not_authenticated")
        assert firm.boss.patch(path, json={"suspended": False}).json()["suspended"] is False
        assert client.get("/api/v1/me").status_code == 200


@pytest.mark.parametrize(
    ("change", "code", "close_code"),
    [({"suspended": True}, "not_authenticated", 4401),
     ({"role": "viewer"}, "rights_changed", 4403)],
)  # fmt: skip
def test_open_streams_and_sockets_end_within_five_seconds(
    firm: Firm, change: dict, code: str, close_code: int
) -> None:
    user = firm.join("editor")
    _, key = firm.key_of(user, "docs:read", "docs:write")
    with firm.api.client(key) as client:
        document = client.post("/api/v1/docs", files={"file": ("a.txt", b"no worker reads it")})
        events = f"{document.headers['location']}/events"
        address = firm.api.url.replace("http", "ws") + "/ws"
        with (
            client.stream("GET", events) as stream,
            connect(address, additional_headers={"X-API-Key": key}) as socket,
        ):
            lines = stream.iter_lines()
            assert next(lines).startswith("id:")
            socket.send(json.dumps({"action": "ping"}))
            assert json.loads(socket.recv(timeout=10)) == {"type": "pong"}
            assert firm.boss.patch(f"{USERS}/{user['id']}", json=change).status_code == 200
            began = time.monotonic()
            rest = []
            for line in lines:  # a ping comes every quarter of a minute
                rest.append(line)
                assert time.monotonic() - began < 10, "the stream goes on"
            assert "event: error" in rest
            assert json.loads(rest[rest.index("event: error") + 1][6:])["code"] == code
            assert json.loads(socket.recv(timeout=10))["code"] == code
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == close_code
            assert time.monotonic() - began < 5


def test_what_is_done_is_in_the_audit_log(firm: Firm) -> None:
    user = firm.join("editor")
    key_id, key = firm.key_of(user)
    with firm.api.client(key, **{"X-Request-ID": "from-the-test"}) as client:
        for path in (USERS, AUDIT, f"{USERS}/{user['id']}"):
            check_problem(client.get(path), 403, "not_allowed")
    refused = firm.events(outcome="refused")
    assert [event["details"]["operation"] for event in refused] == [
        "get_user", "audit", "list_users",
    ]  # fmt: skip
    assert refused[0].items() >= {
        "action": "admin", "actor": key_id, "user_id": user["id"], "target": user["id"],
        "ip": "127.0.0.1", "request_id": "from-the-test",
    }.items()  # fmt: skip
    assert firm.events(actor=user["id"], outcome="refused") == refused
    reset = firm.boss.post(f"{USERS}/{user['id']}/password-reset").json()
    for index in range(3):
        firm.boss.patch(f"{USERS}/{user['id']}", json={"name": f"Eve {index}"})
    everything = firm.boss.get(AUDIT, params={"limit": 100}).json()
    assert not everything["has_more"]
    actions = [event["action"] for event in everything["items"]]
    # The last is the operator's, who made the tenant.
    assert actions[-4:] == ["key.create", "user.register", "invitation.create", "key.create"]
    assert everything["items"][-1]["actor"] is None
    assert actions[:4] == ["user.rename"] * 3 + ["password.reset"]
    for secret in (PASSWORD, reset["password"], key, firm.key):
        assert secret not in json.dumps(everything)
    first = firm.boss.get(AUDIT, params={"limit": 2}).json()
    rest = firm.boss.get(AUDIT, params={"limit": 100, "after": first["next"]}).json()
    assert [*first["items"], *rest["items"]] == everything["items"]
    exported = firm.boss.get(AUDIT, params={"format": "ndjson", "limit": 1})
    assert exported.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in exported.text.splitlines()] == everything["items"]
    narrowed = firm.boss.get(AUDIT, params={"format": "ndjson", "action": "password.reset"})
    assert len(narrowed.text.splitlines()) == 1
    assert firm.events(since=everything["items"][2]["at"][:-1] + "Z")[0] == first["items"][0]
    assert firm.events(until="2020-01-01T00:00:00Z") == []


def test_what_administrators_do_is_in_the_audit_log(firm: Firm) -> None:
    asked = {"url": "https://example.com/a-secret-path", "events": ["document.ready"]}
    hook = firm.boss.post("/api/v1/webhooks", json=asked).raise_for_status().json()
    firm.boss.delete(f"/api/v1/webhooks/{hook['id']}").raise_for_status()
    firm.boss.delete("/api/v1/admin/cache").raise_for_status()
    firm.boss.post("/ws/broadcast", json={"message": "not to be written down"}).raise_for_status()
    assert firm.boss.delete("/api/v1/webhooks/whk_missing").status_code == 404
    written = firm.events()[:4]
    assert [(event["action"], event["target"]) for event in written] == [
        ("broadcast", None), ("cache.clear", None),
        ("webhook.delete", hook["id"]), ("webhook.create", hook["id"]),
    ]  # fmt: skip
    assert written[3]["details"] == {"host": "example.com", "events": ["document.ready"]}
    assert {event["ip"] for event in written} == {"127.0.0.1"}
    for secret in ("a-secret-path", hook["secret"], "not to be written down"):
        assert secret not in json.dumps(written)


def test_an_operator_makes_a_user(api: Api, tmp_path: Path) -> None:
    tenant, email = uuid.uuid4().hex, f"{uuid.uuid4().hex}@example.com"
    command = ("scripts.create_user", "--tenant", tenant, "--email", email)

    def run(*more: str) -> "subprocess.CompletedProcess[str]":
        return forks.run(*command, *more, env=environment(api.database, tmp_path))

    made = run("--role", "owner")
    assert (made.returncode, made.stderr) == (0, "")
    password = made.stdout.splitlines()[-1]
    [row] = owner_rows(
        api.database.database_url,
        "SELECT u.*, t.name AS tenant FROM users u JOIN tenants t ON t.id = u.tenant_id"
        " WHERE email = %s",
        email,
    )
    assert (row["tenant"], row["role"]) == (tenant, "owner")
    assert row["password_until"] is not None
    assert password not in str(row)
    again = run()
    assert (again.returncode, again.stdout, "Traceback" in again.stderr) == (1, "", False)
    assert run("--email", "nobody").returncode == 1
    assert run("--role", "king").returncode == 2


LOGIN = "/api/v1/auth/login"


def sign_in(client: httpx.Client, user: dict, password: str = PASSWORD) -> httpx.Response:
    return client.post(LOGIN, json={"email": user["email"], "password": password})


def bearer(api: Api, reply: httpx.Response) -> httpx.Client:
    assert reply.status_code == 200, reply.text
    return api.client("", Authorization=f"Bearer {reply.json()['access_token']}")


def test_signing_in_gives_tokens_that_are_the_user(firm: Firm, stranger: httpx.Client) -> None:
    user = firm.join("editor")
    reply = sign_in(stranger, {"email": user["email"].upper()})
    assert reply.headers["cache-control"] == "no-store"
    body = reply.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert (body["token_type"], body["scope"]) == ("Bearer", "chat docs:read docs:write")
    for headers in ({"X-API-Key": body["access_token"]},
                    {"Authorization": f"Bearer {body['access_token']}"}):  # fmt: skip
        me = stranger.get("/api/v1/me", headers=headers).json()
        assert (me["id"], me["kind"], me["role"]) == (user["id"], "user", "editor")
        assert me["key"] is None
        assert me["user"]["last_login_at"] is not None
    with bearer(firm.api, reply) as ann:
        made = ann.post(KEYS, json={"name": "mine", "scopes": ["chat"]}).json()
        assert made["user_id"] == user["id"]
        check_problem(ann.post(KEYS, json={"name": "x", "scopes": ["admin"]}), 403,
                      "scope_not_held")  # fmt: skip
    [event] = firm.events(action="login")
    assert (event["outcome"], event["target"], event["ip"]) == ("ok", user["id"], "127.0.0.1")


def test_whatever_is_wrong_with_a_login_looks_the_same(firm: Firm, stranger: httpx.Client) -> None:
    user, shut_out = firm.join(), firm.join()
    firm.boss.patch(f"{USERS}/{shut_out['id']}", json={"suspended": True})
    told = set()
    for who, password in (
        (user, "a wrong password"), (shut_out, PASSWORD), ({"email": "a\0b@example.com"}, PASSWORD),
        ({"email": f"{uuid.uuid4().hex}@example.com"}, PASSWORD), ({"email": "' OR true --"}, "x"),
    ):  # fmt: skip
        reply = sign_in(stranger, who, password)
        problem = check_problem(reply, 401, "login_failed")
        told.add((problem["detail"], problem["title"], reply.headers["www-authenticate"]))
    assert len(told) == 1
    reasons = {event["target"]: event["details"] for event in firm.events(action="login")}
    assert reasons == {user["id"]: {"reason": "password"}, shut_out["id"]: {"reason": "suspended"}}


@pytest.mark.parametrize(
    "body",
    [{}, {"email": "a@b.de"}, {"email": "a@b.de", "password": ""}, {"email": 7, "password": "x"},
     {"email": "a@b.de", "password": "x" * 1025}, {"email": "x" * 321, "password": "x"},
     {"email": "a@b.de", "password": "x", "scope": "admin"}, {"email": "\ud800", "password": "x"}],
)  # fmt: skip
def test_a_login_that_is_none_is_a_422(stranger: httpx.Client, body: dict) -> None:
    check_problem(post(stranger, LOGIN, body), 422, "invalid_request")


def test_tokens_follow_their_user_at_once(firm: Firm, stranger: httpx.Client) -> None:
    user = firm.join("editor")
    path = f"{USERS}/{user['id']}"
    upload = {"files": {"file": ("a.txt", b"some text of somebody")}}
    with bearer(firm.api, sign_in(stranger, user)) as ann:
        assert ann.post("/api/v1/docs", **upload).status_code == 202
        firm.boss.patch(path, json={"role": "viewer"})
        check_problem(ann.post("/api/v1/docs", **upload), 403, "not_allowed")
        firm.boss.patch(path, json={"suspended": True})
        check_problem(ann.get("/api/v1/me"), 401, "not_authenticated")
        firm.boss.patch(path, json={"suspended": False})
        check_problem(ann.get("/api/v1/me"), 401, "not_authenticated")
    with bearer(firm.api, sign_in(stranger, user)) as ann:
        assert ann.get("/api/v1/me").status_code == 200
        assert ann.post("/api/v1/auth/logout").status_code == 204
        check_problem(ann.get("/api/v1/me"), 401, "not_authenticated")
    with bearer(firm.api, sign_in(stranger, user)) as ann:
        change = {"old_password": PASSWORD, "new_password": "another good one"}
        assert ann.post("/api/v1/auth/password", json=change).status_code == 204
        check_problem(ann.get("/api/v1/me"), 401, "not_authenticated")
    check_problem(sign_in(stranger, user), 401, "login_failed")
    with bearer(firm.api, sign_in(stranger, user, "another good one")) as ann:
        temporary = firm.boss.post(f"{path}/password-reset").json()["password"]
        check_problem(ann.get("/api/v1/me"), 401, "not_authenticated")
    with bearer(firm.api, sign_in(stranger, user, temporary)) as ann:
        assert ann.get("/api/v1/me").json()["user"]["id"] == user["id"]


def test_a_users_keys_and_tokens_have_one_limit(api: Api, firm: Firm, tmp_path: Path) -> None:
    user = firm.join()
    _, key = firm.key_of(user)
    settings = {"USER_REQUESTS_PER_MINUTE": "3"}
    with serving(api.database, tmp_path, **settings) as (url, _), somewhere(url) as client:
        token = sign_in(client, user).raise_for_status().json()["access_token"]
        credentials = [{"X-API-Key": key}, {"Authorization": f"Bearer {token}"}] * 2
        replies = [client.get("/api/v1/me", headers=headers) for headers in credentials]
        assert [reply.status_code for reply in replies] == [200, 200, 200, 429]
        assert replies[-1].json()["limit"] == "user_per_minute"


def test_an_operators_user_signs_in_with_the_temporary_password(
    api: Api, stranger: httpx.Client, tmp_path: Path
) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    command = ("scripts.create_user", "--tenant", uuid.uuid4().hex, "--email", email)
    made = forks.run(*command, env=environment(api.database, tmp_path))
    with bearer(api, sign_in(stranger, {"email": email}, made.stdout.splitlines()[-1])) as ann:
        assert ann.get("/api/v1/me").json()["role"] == "owner"
        assert ann.get(USERS).json()["items"][0]["email"] == email
