"""Any text, wherever the API takes one: never a 500, never another tenant's row.

The places are read from OpenAPI, so a new route is tried without being listed here.
"""

import itertools
import json
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from app.auth.keys import create_key
from tests.acceptance.conftest import CANARY, Api, api  # noqa: F401 - a fixture
from tests.conftest import SECRET
from tests.security.test_tenant_matrix import Operation, operations  # noqa: F401 - a fixture

NASTY = (
    "\0", "a\0b", "\n", "a\nb", "\r\nSet-Cookie: x=1", "\x1b[31m", "\x7f", "\u0085", "\u2028",
    "\u202eevil", "e\u0301\u0327" * 20, "\ufeff", "\u200d", "\ufffe", "\U0010ffff", "ß", "ﬁ", "İ",
    "'", "' OR '1'='1", "x'; DROP TABLE documents; --", '"', "\\", "%", "_", "%' OR 1=1 --",
    "\u2019",
    "../../etc/passwd", "%2e%2e%2f", "//", "/", "?", "#", "{{7*7}}", "{0.__class__}", "%(x)s",
    "${x}",
    "<script>alert(1)</script>", "null", "7", "007", "7.0", "-1", "NaN", "1e999", "9" * 40, "true",
    "*", "[", "]", "a*", ":", "\u0661", CANARY, "x" * 10_000, "\u0430\u0301" * 5_000,
)  # fmt: skip
#: All of Unicode but surrogates, which UTF-8 cannot hold.
texts = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.sampled_from(NASTY),
    st.tuples(st.sampled_from(NASTY), st.text(max_size=5)).map("".join),
)
#: Headers that are read anywhere, beside those in OpenAPI.
HEADERS = (
    "X-API-Key", "Authorization", "X-Request-ID", "Idempotency-Key", "Last-Event-ID", "Accept",
    "Content-Type", "Origin", "X-Forwarded-For", "X-Provider-Key-OpenAI", "If-None-Match", "Cookie",
)  # fmt: skip
#: Where a text is no text but a secret whose check is made slow on purpose: tried less often.
SLOW = {"login", "register", "change_password"}


@dataclass(frozen=True)
class Place:
    """One parameter of one route, or one text in its body."""

    operation: Operation = field(repr=False)
    kind: str
    name: tuple[str | int, ...]

    def __str__(self) -> str:
        route = f"{self.operation.method} {self.operation.path}"
        return f"{route} {self.kind} {'.'.join(map(str, self.name))}"

    def ask(self, client: httpx.Client, text: str) -> httpx.Response:
        """A request with the text here, and what will do everywhere else."""
        values = dict.fromkeys(path_names(self.operation), "x")
        if self.kind == "path":
            values[str(self.name[0])] = text
        path = self.operation.path
        for name, value in values.items():
            path = path.replace("{" + name + "}", quote(value, safe=""))
        more = self.operation.body()
        if self.kind == "query":
            path += f"?{self.name[0]}={quote(text, safe='')}"
        elif self.kind == "header":
            more["headers"] = {str(self.name[0]): as_header(text)}
        elif self.kind == "json":
            more = {"json": json.loads(json.dumps(more["json"]))}
            put(more["json"], self.name, text)
        return client.request(self.operation.method, path, **more)


def path_names(operation: Operation) -> list[str]:
    return [p["name"] for p in operation.said.get("parameters", ()) if p["in"] == "path"]


def as_header(text: str) -> bytes:
    """The bytes a client may send; HTTP itself refuses the others."""
    return "".join(c for c in text if c.isprintable())[:4000].strip().encode()


def leaves(body: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where texts stand in a body, and one field that is not known."""
    pairs = body.items() if isinstance(body, dict) else enumerate(body)
    for key, value in pairs:
        if isinstance(value, dict | list):
            yield from leaves(value, (*at, key))
        else:
            yield (*at, key)
    if isinstance(body, dict):
        yield (*at, "unknown")


def put(body: Any, at: tuple[str | int, ...], text: str) -> None:
    for key in at[:-1]:
        body = body[key]
    body[at[-1]] = text


def places_of(operation: Operation) -> Iterator[Place]:
    for parameter in operation.said.get("parameters", ()):
        yield Place(operation, parameter["in"], (parameter["name"],))
    body = operation.body()
    if "json" in body:
        yield from (Place(operation, "json", at) for at in leaves(body["json"]))


@pytest.fixture(scope="module")
def places(operations: list[Operation]) -> list[Place]:  # noqa: F811
    found = [place for operation in operations for place in places_of(operation)]
    listing = next(one for one in operations if one.said["operationId"] == "list_documents")
    return found + [Place(listing, "header", (name,)) for name in HEADERS]


@pytest.fixture(scope="module")
def client(api: Api) -> Iterator[httpx.Client]:  # noqa: F811
    """A tenant of its own, with every scope."""
    key = create_key(
        api.database.database_url, SECRET.encode(), tenant=uuid.uuid4().hex, name="test"
    )
    with api.client(key) as client:
        yield client


def check(reply: httpx.Response, what: object) -> None:
    assert reply.status_code < 500, (what, reply.text)
    shown = reply.text.replace(reply.request.url.path, "")
    assert "code word" not in shown, what
    assert "scheduler" not in shown, what
    if reply.status_code >= 400 and reply.headers["content-type"].startswith("application/"):
        assert reply.json()


def test_the_nastiest_texts_everywhere(client: httpx.Client, places: list[Place]) -> None:
    assert len(places) > 100
    for number, place in enumerate(places):
        few = place.operation.said["operationId"] in SLOW
        # Every place meets a part of them, and every one of them many places.
        for text in itertools.islice(NASTY, number % 7, None, 40 if few else 7):
            check(place.ask(client, text), (str(place), text[:50]))


def test_any_text_anywhere(client: httpx.Client, places: list[Place]) -> None:
    fast = [place for place in places if place.operation.said["operationId"] not in SLOW]

    @settings(max_examples=400)
    @given(st.sampled_from(fast), texts)
    def ask(place: Place, text: str) -> None:
        check(place.ask(client, text), (str(place), text[:50]))

    ask()


def test_what_is_stored_is_what_was_sent_and_is_found_again(client: httpx.Client) -> None:
    """Tags, facts and sessions: kept to the letter, or refused."""
    sent = client.post("/api/v1/docs", files={"file": ("a.txt", b"A text of our own.")})
    document = f"/api/v1/docs/{sent.raise_for_status().json()['document']['id']}"

    @settings(max_examples=60)
    @given(texts)
    @example("a/b\u2028c")
    def keep(text: str) -> None:
        edit = {"title": text, "tags": [text], "metadata": {text: text}}
        for name, value in edit.items():
            reply = client.patch(document, json={name: value})
            check(reply, (name, text[:50]))
            if reply.status_code == 200:
                kept = text.strip()
                fact = {"title": kept, "tags": [kept], "metadata": {kept: kept}}[name]
                assert reply.json()[name] == fact
                client.patch(document, json={"metadata": {kept: None}})
        tagged = client.patch(document, json={"tags": [text]})
        if tagged.status_code == 200:
            tag = text.strip()
            listed = client.get("/api/v1/docs", params={"tag": tag}).json()["items"]
            assert len(listed) == 1
            renamed = client.patch(
                f"/api/v1/docs/tags/{quote(tag, safe='')}", json={"name": "plain"}
            )
            assert renamed.json() == {"documents": 1}, repr(tag)

    keep()


def test_the_nastiest_texts_in_a_form(
    client: httpx.Client,
    operations: list[Operation],  # noqa: F811
) -> None:
    upload = next(one for one in operations if one.said["operationId"] == "upload_document")
    form = upload.said["requestBody"]["content"]["multipart/form-data"]["schema"]
    if "$ref" in form:
        form = upload.schema["components"]["schemas"][form["$ref"].rsplit("/", 1)[1]]
    names = sorted(set(form["properties"]) - {"file"})
    assert len(names) > 3
    for number, text in enumerate(NASTY):
        file = {"file": ("a.txt", f"Text {number}.".encode())}
        for name in (names[number % len(names)], "unknown"):
            check(client.post(upload.path, data={name: text}, files=file), (name, text[:50]))
        named = {"file": (text, f"Name {number}.".encode(), "text/plain")}
        check(client.post(upload.path, files=named), ("filename", text[:50]))


def test_the_nastiest_texts_over_a_websocket(api: Api, client: httpx.Client) -> None:  # noqa: F811
    """Answered with an error or by closing the connection; the next one is served."""
    headers = {"X-API-Key": client.headers["X-API-Key"]}
    for text in NASTY:
        known = json.dumps({"action": "subscribe", "document_id": text})
        for message in (text, known, json.dumps({"action": text}), text.encode()):
            with (
                connect(
                    f"{api.url.replace('http', 'ws')}/ws", additional_headers=headers
                ) as socket,
                suppress(ConnectionClosed),
            ):
                socket.send(message)
                said = json.loads(socket.recv(timeout=10))
                assert said["type"] == "error", said
                assert "code word" not in str(said)
            assert socket.close_code != 1011, repr(message[:50])
    assert client.get("/api/v1/docs").status_code == 200


@pytest.mark.parametrize("session", ["a\nb", "\n", "a/b", "/a", "a b", "%2F", "\u202ea", "a\r"])
def test_a_session_of_any_name_is_found_again(client: httpx.Client, session: str) -> None:
    asked = {"question": "What is our own text?", "session_id": session}
    assert (
        client.post("/api/v1/chat", json=asked).raise_for_status().json()["session_id"] == session
    )
    path = f"/api/v1/sessions/{quote(session, safe='')}"
    assert client.get(path).raise_for_status().json()["id"] == session
    assert client.delete(path).status_code == 204
    assert client.get(path).json()["code"] == "session_not_found"


def test_tenants_whose_names_are_one_number_stay_apart(api: Api) -> None:  # noqa: F811
    found = {}
    for tenant in ("7", "007", "7.0"):
        key = create_key(api.database.database_url, SECRET.encode(), tenant=tenant, name="test")
        with api.client(key) as owner:
            text = f"A text of the tenant {tenant}.".encode()
            owner.post("/api/v1/docs", files={"file": ("a.txt", text)}).raise_for_status()
            found[tenant] = [one["id"] for one in owner.get("/api/v1/docs").json()["items"]]
    assert [len(ids) for ids in found.values()] == [1, 1, 1]
    assert len({ids[0] for ids in found.values()}) == 3
