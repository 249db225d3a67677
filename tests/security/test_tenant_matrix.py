"""Every route, with every kind of credential, against another tenant's ids: from OpenAPI.

A new route is tried without being listed here, and fails the suite when it does not declare its
scope, when it brings an id parameter nobody has a value for, or when it answers a stranger.
"""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import psycopg
import pytest
import websockets

from app.auth.caller import ALL_SCOPES
from app.auth.keys import create_key
from tests.acceptance.conftest import CANARY, Api, api, worker  # noqa: F401 - fixtures
from tests.conftest import SECRET
from tests.integration.workshop import write_book

#: Words and names that are everybody's: no tenant owns them.
NOT_IDS = {"tag", "model"}
#: What each kind of body is made of when the schema's own examples will not do.
BODIES: dict[str, dict[str, Any]] = {
    "upload_document": {"files": {"file": ("a.txt", b"A text of the stranger's own.")}},
    "replace_document": {"files": {"file": ("a.txt", b"A text of the stranger's own.")}},
    "create_webhook": {"json": {"url": "https://example.com/hook", "events": ["document.ready"]}},
}


@dataclass(frozen=True)
class Operation:
    """One route and method, as OpenAPI tells it."""

    method: str
    path: str
    said: dict[str, Any] = field(repr=False)
    schema: dict[str, Any] = field(repr=False)

    @property
    def scopes(self) -> list[str] | None:
        """What it asks for; None when it is open."""
        security = self.said["security"]
        return security[0]["ApiKey"] if security else None

    @property
    def ids(self) -> list[str]:
        """The path's parameters that name something of a tenant's."""
        names = [p["name"] for p in self.said.get("parameters", ()) if p["in"] == "path"]
        return [name for name in names if name not in NOT_IDS]

    def body(self) -> dict[str, Any]:
        """A body that is not refused for its shape."""
        if (name := self.said["operationId"]) in BODIES:
            return BODIES[name]
        content = self.said.get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            return {}
        return {"json": self._example(content["application/json"]["schema"])}

    def queries(self, values: dict[str, str]) -> list[str]:
        """No query, and each parameter of it that the route knows and we have a value for."""
        names = [p["name"] for p in self.said.get("parameters", ()) if p["in"] == "query"]
        return ["", *(f"?{name}={values[name]}" for name in names if name in values)]

    def known_fields(self) -> set[str]:
        """The fields of its JSON body."""
        body = self.said["requestBody"]["content"]["application/json"]["schema"]
        return set(self._resolved(body)["properties"])

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self.schema["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def _example(self, schema: dict[str, Any]) -> Any:
        """The least that fits the schema."""
        schema = self._resolved(schema)
        for options in ("anyOf", "oneOf", "allOf"):
            if options in schema:
                return self._example(schema[options][0])
        for given in ("examples", "enum"):
            if given in schema:
                return schema[given][0]
        return LEAST[schema.get("type", "null")](self._example, schema)


def least_object(example: Any, schema: dict[str, Any]) -> dict[str, Any]:
    known = schema.get("properties", {})
    return {name: example(known[name]) for name in schema.get("required") or list(known)[:1]}


LEAST: dict[str, Any] = {
    "null": lambda _, schema: schema.get("const"),
    "object": least_object,
    "array": lambda example, schema: [example(schema["items"])] if "minItems" in schema else [],
    "integer": lambda _, schema: schema.get("minimum", 1),
    "number": lambda _, schema: schema.get("minimum", 1),
    "boolean": lambda _, __: True,
    "string": lambda _, schema: schema.get("const") or "x" * max(schema.get("minLength", 1), 1),
}


@dataclass(frozen=True)
class Victim:
    """A tenant whose every object has a canary in it, and what its ids are."""

    ids: dict[str, str]
    key: str
    #: May chat and read, by its scopes or by its user's role.
    viewer_key: str
    viewer_token: str

    def fill(self, path: str) -> str:
        """The path with the victim's ids in it."""
        for name, value in self.ids.items():
            path = path.replace("{" + name + "}", value)
        assert "{" not in path, f"say in this test what to put into {path}"
        return path


@pytest.fixture(scope="module")
def operations(api: Api) -> list[Operation]:  # noqa: F811
    schema = httpx.get(f"{api.url}/openapi.json").json()
    return [
        Operation(method, path, said, schema)
        for path, methods in schema["paths"].items()
        for method, said in methods.items()
    ]


@pytest.fixture(scope="module")
def victim(api: Api) -> Victim:  # noqa: F811
    with api.client(api.other_key) as owner:
        job_id = owner.get("/api/v1/jobs").json()["items"][0]["id"]
        hook = {"url": f"https://example.com/{CANARY}", "events": ["document.ready"]}
        webhook_id = owner.post("/api/v1/webhooks", json=hook).json()["id"]
        question = {"question": "The code word?", "session_id": f"ses_{CANARY}", "stream": True}
        asked = owner.post("/api/v1/chat", json=question)
        answer_id = orjson.loads(asked.text.split("data: ", 2)[1].split("\n")[0])["answer_id"]
        document = f"/api/v1/docs/{api.other_document_id}"
        owner.patch(document, json={"tags": [CANARY], "author": CANARY}).raise_for_status()
        wanted = {"role": "viewer", "email": f"{CANARY}@example.com"}
        invited = owner.post("/api/v1/admin/invitations", json=wanted).raise_for_status().json()
        another = owner.post("/api/v1/admin/invitations", json=wanted).raise_for_status().json()
        user = (
            owner.post(
                "/api/v1/auth/register",
                json={
                    "email": f"{CANARY}@example.com",
                    "name": CANARY,
                    "password": another["code"],
                    "invitation": another["code"],
                },
            )
            .raise_for_status()
            .json()
        )
        key_id = owner.get("/api/v1/me").json()["id"]
        client = owner.post("/api/v1/admin/oauth-clients", json={
            "name": CANARY, "redirect_uris": ["https://example.com/back"], "scopes": ["chat"],
        }).raise_for_status().json()  # fmt: skip
        workspace = owner.post("/api/v1/workspaces", json={"name": CANARY}).json()
        member = f"/api/v1/workspaces/{workspace['id']}/members/{user['id']}"
        owner.put(member, json={"manager": True}).raise_for_status()
    with psycopg.connect(api.database.database_url, autocommit=True) as database:
        database.execute(
            "INSERT INTO webhook_deliveries (id, tenant_id, webhook_id, event, payload, status)"
            " SELECT 'dlv_canary', tenant_id, id, 'document.ready', %s, 'dead' FROM webhooks"
            " WHERE id = %s",
            (f'{{"title": "{CANARY}"}}', webhook_id),
        )
    return Victim(
        {
            "document_id": api.other_document_id, "page": "1", "version": "1", "job_id": job_id,
            "webhook_id": webhook_id, "delivery_id": "dlv_canary", "answer_id": answer_id,
            "tag": CANARY, "model": "extractive", "session_id": f"ses_{CANARY}",
            "key_id": key_id, "user_id": user["id"], "invitation_id": invited["id"],
            "client_id": client["id"], "workspace_id": workspace["id"],
        },
        api.other_key,
        key_of(api, "viewer", ["chat", "docs:read"]),
        signed_in(api, "viewer", CANARY, "viewer")["access_token"],
    )  # fmt: skip


def key_of(api: Api, name: str, scopes: list[str], tenant: str = CANARY) -> str:  # noqa: F811
    return create_key(
        api.database.database_url, SECRET.encode(), tenant=tenant, name=name, scopes=scopes
    )


def spoil(api: Api, name: str, change: str) -> str:  # noqa: F811
    """A key of the victim's that was good once."""
    key = key_of(api, name, list(ALL_SCOPES))
    with psycopg.connect(api.database.database_url, autocommit=True) as database:
        changed = database.execute(f"UPDATE api_keys SET {change} WHERE name = %s", (name,))
        assert changed.rowcount == 1
    return key


def signed_in(api: Api, name: str, tenant: str, role: str) -> dict[str, str]:  # noqa: F811
    """The tokens of a user who was just invited, and their id."""
    email, password = f"{name}@{tenant}.example.com", f"the password of {name}"
    with api.client(api.other_key if tenant == CANARY else api.key) as owner:
        wanted = {"role": role, "email": email}
        code = (
            owner.post("/api/v1/admin/invitations", json=wanted).raise_for_status().json()["code"]
        )
    with api.client("") as nobody:
        user = {"email": email, "name": name, "password": password, "invitation": code}
        made = nobody.post("/api/v1/auth/register", json=user).raise_for_status().json()
        entered = {"email": email, "password": password}
        tokens = nobody.post("/api/v1/auth/login", json=entered).raise_for_status().json()
    return {**tokens, "user_id": made["id"]}


@pytest.fixture(scope="module")
def stranger_token(api: Api) -> str:  # noqa: F811
    """An access token of an owner of the stranger's tenant."""
    return signed_in(api, "stranger", "default", "owner")["access_token"]


@pytest.fixture(scope="module")
def dead_credentials(api: Api) -> dict[str, str]:  # noqa: F811
    left, gone = (signed_in(api, name, CANARY, "owner") for name in ("left", "gone"))
    refreshing = signed_in(api, "refreshing", CANARY, "owner")["refresh_token"]
    with api.client("", Authorization=f"Bearer {left['access_token']}") as user:
        assert user.get("/api/v1/me").status_code == 200
        user.post("/api/v1/auth/logout").raise_for_status()
    with api.client(api.other_key) as owner:
        owner.patch(
            f"/api/v1/admin/users/{gone['user_id']}", json={"suspended": True}
        ).raise_for_status()
    return {
        "signed out": left["access_token"],
        "suspended": gone["access_token"],
        "a refresh token": refreshing,
        "a token cut short": left["access_token"][:-5],
        "none": "",
        "never issued": "dk_" + "x" * 43,
        "an id": "key_ks2v7m4q6x3y5z7a2b4c6d8e9f",
        "cut short": api.other_key[:-1],
        "too long": api.other_key + "x",
        "sql": "x' OR '1'='1",
        "revoked": spoil(api, "revoked", "revoked_at = now()"),
        "expired": spoil(api, "expired", "expires_at = now() - interval '1 s'"),
    }


def everywhere(*credentials: str) -> Iterator[dict[str, str]]:
    """The ways in which a credential may be sent."""
    for credential in credentials:
        if credential:
            yield {"X-API-Key": credential}
            yield {"Authorization": f"Bearer {credential}"}
        else:
            yield {}


def state_of(api: Api) -> Any:  # noqa: F811
    """What the victim has, as it sees it itself."""
    lists = ("/api/v1/docs?include_deleted=true", "/api/v1/jobs", "/api/v1/webhooks",
             "/api/v1/docs/tags", "/api/v1/workspaces",
             f"/api/v1/docs/{api.other_document_id}/versions")  # fmt: skip
    with api.client(api.other_key) as owner:
        return [owner.get(path).raise_for_status().json() for path in lists]


def test_every_closed_route_declares_what_it_asks_for(operations: list[Operation]) -> None:
    """Building the document fails when one does not; here is what they say."""
    for operation in operations:
        closed = operation.path.startswith(("/api/", "/v1/", "/ws/"))
        if not closed:
            assert operation.scopes is None, operation
            continue
        assert set(operation.scopes or ()) <= set(ALL_SCOPES), operation
        writes = operation.method != "get" and "/docs" in operation.path
        assert not writes or operation.scopes == ["docs:write"], operation
        assert "/admin/" not in operation.path or operation.scopes == ["admin"], operation


def test_a_dead_credential_opens_nothing(
    api: Api,  # noqa: F811
    operations: list[Operation],
    victim: Victim,
    dead_credentials: dict[str, str],
) -> None:
    before = state_of(api)
    with api.client("") as client:
        for operation, (kind, credential) in itertools.product(
            operations, dead_credentials.items()
        ):
            if operation.scopes is None:
                continue
            for headers in everywhere(credential):
                path = victim.fill(operation.path)
                body = operation.body()
                reply = client.request(operation.method, path, headers=headers, **body)
                assert reply.status_code == 401, (operation, kind)
                assert CANARY not in without_path(reply), (operation, kind)
    assert state_of(api) == before


def test_another_tenants_ids_do_not_exist(
    api: Api,  # noqa: F811
    operations: list[Operation],
    victim: Victim,
    stranger_token: str,
) -> None:
    before, answer_id, tried = state_of(api), victim.ids["answer_id"], 0
    for operation in operations:
        if not operation.ids:
            continue
        for headers in everywhere(api.key, stranger_token):
            with api.client("", **headers) as stranger:
                for query in operation.queries({"version": "1", "highlight": answer_id}):
                    path = victim.fill(operation.path) + query
                    reply = stranger.request(operation.method, path, **operation.body())
                    assert reply.status_code == 404, (operation, reply.text)
                    assert reply.json()["code"].endswith("_not_found"), operation
                    assert CANARY not in without_path(reply), operation
        tried += 1
    assert tried >= 23
    assert state_of(api) == before


def test_the_victim_itself_finds_what_the_stranger_did_not(
    api: Api,  # noqa: F811
    operations: list[Operation],
    victim: Victim,
) -> None:
    """Or the 404 above would prove nothing."""
    with api.client(api.other_key) as owner:
        for operation in operations:
            if operation.ids and operation.method == "get":
                reply = owner.get(victim.fill(operation.path))
                assert reply.status_code == 200, operation


def test_what_a_stranger_may_ask_holds_no_canary(
    api: Api,  # noqa: F811
    operations: list[Operation],
    victim: Victim,
) -> None:
    """Lists, statistics, answers: everything without an id in its path."""
    before = state_of(api)
    # A tenant of its own: analytics and exports of the samples' tenant hold what tests asked there.
    key = key_of(api, "asks", list(ALL_SCOPES), tenant="asks")
    with api.client(key) as stranger:
        # Tags last: what the stranger did with one stands in its own audit log.
        for operation in sorted(operations, key=lambda operation: "{tag}" in operation.path):
            if not operation.ids and not operation.path.startswith("/metrics"):
                path = victim.fill(operation.path)
                reply = stranger.request(operation.method, path, **operation.body())
                assert reply.status_code < 500, (operation, reply.text)
                assert CANARY not in without_path(reply), operation
    with api.client() as stranger:
        for stream in (False, True):
            body = {
                "question": f"What is the code word {CANARY} of the data storage file table?",
                "stream": stream,
                "filters": {"document_ids": [api.other_document_id], "tags": [CANARY]},
            }
            reply = stranger.post("/api/v1/chat", json=body)
            assert "abstained" in reply.text
            assert "code word of the data storage" not in reply.text
    assert state_of(api) == before


def test_a_lower_role_is_refused_what_it_may_not_do(
    api: Api,  # noqa: F811
    operations: list[Operation],
    victim: Victim,
) -> None:
    before = state_of(api)
    for headers in everywhere(victim.viewer_key, victim.viewer_token):
        with api.client("", **headers) as viewer:
            for operation in operations:
                if not set(operation.scopes or ()) - {"chat", "docs:read"}:
                    continue
                path = victim.fill(operation.path)
                reply = viewer.request(operation.method, path, **operation.body())
                assert reply.status_code == 403, (operation, reply.text)
    assert state_of(api) == before


#: In the title, the text and the file name of a document that one user of a tenant keeps private.
PRIVATE = "quokka5519"


@dataclass(frozen=True)
class Colleagues:
    """Two editors of the victim's tenant; the one's objects, and the other's credentials."""

    ids: dict[str, str]
    owner: dict[str, str]
    others: list[dict[str, str]]


@pytest.fixture(scope="module")
def colleagues(
    api: Api,  # noqa: F811
    victim: Victim,
    worker: None,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Colleagues:
    ann, bob = (signed_in(api, name, CANARY, "editor") for name in ("ann", "bob"))
    headers = [{"Authorization": f"Bearer {who['access_token']}"} for who in (ann, bob)]
    text = f"The {PRIVATE} drinks at the pond of the data storage file table."
    book = write_book(tmp_path_factory.mktemp("ann") / f"{PRIVATE}.pdf", [["The pond", text]])
    with api.client("", **headers[0]) as owner:
        sent = owner.post(
            "/api/v1/docs",
            files={"file": (book.name, book.read_bytes())},
            data={"title": PRIVATE, "tags": PRIVATE, "visibility": "private"},
        )
        location = sent.raise_for_status().headers["Location"]
        with owner.stream("GET", f"{location}/events", timeout=120) as events:
            assert any('"succeeded"' in line for line in events.iter_lines())
        question = f"Where does the {PRIVATE} drink?"
        asked = {"question": question, "session_id": "ses_pond", "stream": True}
        answer = owner.post("/api/v1/chat", json=asked)
        assert "drinks at the pond" in answer.text
        answer_id = orjson.loads(answer.text.split("data: ", 2)[1].split("\n")[0])["answer_id"]
        workspace = owner.post("/api/v1/workspaces", json={"name": PRIVATE}).json()
    with api.client("", **headers[1]) as other:
        wanted = {"name": "k", "scopes": ["chat", "docs:read", "docs:write"]}
        key = other.post("/api/v1/keys", json=wanted).raise_for_status().json()["key"]
    nobodys = key_of(api, "nobody's", ["chat", "docs:read", "docs:write"])
    return Colleagues(
        {
            "document_id": sent.json()["document"]["id"], "job_id": sent.json()["job"]["id"],
            "answer_id": answer_id, "workspace_id": workspace["id"],
            "session_id": "ses_pond", "page": "1", "version": "1", "user_id": ann["user_id"],
        },
        headers[0],
        [headers[1], {"X-API-Key": key}, {"X-API-Key": nobodys}],
    )  # fmt: skip


def theirs(operations: list[Operation], colleagues: Colleagues) -> Iterator[Operation]:
    """The routes whose path names something of the one colleague's, and that no role forbids."""
    for operation in operations:
        named = operation.ids and set(operation.ids) <= set(colleagues.ids)
        if named and "admin" not in (operation.scopes or ()):
            yield operation


def test_a_colleagues_private_ids_do_not_exist(
    api: Api,  # noqa: F811
    operations: list[Operation],
    colleagues: Colleagues,
) -> None:
    tried = 0
    for operation in theirs(operations, colleagues):
        path = operation.path
        for name, value in colleagues.ids.items():
            path = path.replace("{" + name + "}", value)
        for headers in colleagues.others:
            with api.client("", **headers) as other:
                for query in operation.queries({"version": "1"}):
                    reply = other.request(operation.method, path + query, **operation.body())
                    assert reply.status_code == 404, (operation, reply.text)
                    assert reply.json()["code"].endswith("_not_found"), operation
                    assert PRIVATE not in without_path(reply), operation
        if operation.method == "get":
            with api.client("", **colleagues.owner) as owner:
                assert owner.get(path).status_code == 200, operation
        tried += 1
    assert tried >= 20


def test_what_a_colleague_may_ask_holds_nothing_private(
    api: Api,  # noqa: F811
    operations: list[Operation],
    colleagues: Colleagues,
) -> None:
    document_id = colleagues.ids["document_id"]
    question = f"Where does the {PRIVATE} drink?"
    for headers in colleagues.others:
        with api.client("", **headers) as other:
            for operation in operations:
                if not operation.ids and "{tag}" not in operation.path and operation.scopes:
                    path = operation.path.replace("{model}", "extractive")
                    reply = other.request(operation.method, path, **operation.body())
                    assert reply.status_code < 500, (operation, reply.text)
                    assert PRIVATE not in reply.text, operation
                    assert document_id not in reply.text, operation
            for body in (
                {"question": question},
                {"question": question, "stream": True},
                {"question": question, "filters": {"document_ids": [document_id]}},
                {"question": question, "filters": {"tags": [PRIVATE]}},
                {"question": question, "filters": {"as_of": "2099-01-01T00:00:00Z"}},
            ):
                reply = other.post("/api/v1/chat", json=body)
                assert reply.status_code in (200, 422), reply.text
                assert "drinks at the pond" not in reply.text, body
            reply = other.post("/api/v1/retrieve", json={"question": question})
            assert reply.status_code == 200, reply.text
            assert "drinks at the pond" not in reply.text
            said = [{"role": "user", "content": question}]
            asked = {"model": "docent", "messages": said}
            reply = other.post("/v1/chat/completions", json=asked)
            assert reply.status_code == 200, reply.text
            assert "drinks at the pond" not in reply.text


async def test_the_websocket_keeps_colleagues_apart(
    api: Api,  # noqa: F811
    colleagues: Colleagues,
) -> None:
    address = api.url.replace("http", "ws") + "/ws"
    asked = {"action": "subscribe", "document_id": colleagues.ids["document_id"]}
    for headers, kind in (
        (colleagues.owner, "processing_update"),
        *((other, "error") for other in colleagues.others),
    ):
        async with websockets.connect(address, additional_headers=headers) as socket:
            await socket.send(orjson.dumps(asked).decode())
            said = orjson.loads(await asyncio.wait_for(socket.recv(), 20))
            assert said["type"] == kind


async def test_the_websocket_keeps_tenants_apart(
    api: Api,  # noqa: F811
    victim: Victim,
    dead_credentials: dict[str, str],
) -> None:
    address = api.url.replace("http", "ws") + "/ws"
    for kind, credential in dead_credentials.items():
        hello = {"action": "authenticate", "token": credential}
        async with websockets.connect(address) as socket:
            await socket.send(orjson.dumps(hello).decode())
            said = []
            with suppress(websockets.ConnectionClosedError):
                async for message in socket:
                    said.append(message)
        assert CANARY not in str(said), kind
        assert socket.close_code == 4401, kind
    async with websockets.connect(address, additional_headers={"X-API-Key": api.key}) as socket:
        for action in ("subscribe", "status", "unsubscribe"):
            asked = {"action": action, "document_id": victim.ids["document_id"]}
            await socket.send(orjson.dumps(asked).decode())
        await socket.send(orjson.dumps({"action": "ping"}).decode())
        said = []
        while not said or said[-1]["type"] != "pong":
            said.append(orjson.loads(await asyncio.wait_for(socket.recv(), 20)))
        assert [message["type"] for message in said] == ["error", "error", "pong"]
        assert all(m["code"] == "document_not_found" for m in said[:-1])
        assert CANARY not in str(said)
        question = {
            "action": "chat",
            "question": "What is the code word of the data storage file table?",
            "session_id": victim.ids["session_id"],
            "filters": {"document_ids": [victim.ids["document_id"]]},
        }
        await socket.send(orjson.dumps(question).decode())
        answered = orjson.loads(await asyncio.wait_for(socket.recv(), 60))
        assert answered["type"] == "query_response"
        assert answered["answer"]["status"] == "abstained"
        assert CANARY not in str(answered["answer"]["answer"])


def without_path(reply: httpx.Response) -> str:
    """The reply without the path a problem repeats, which the caller knows: a tag may be in it."""
    return reply.text.replace(reply.request.url.path, "")
