"""What the API refuses, and how: the contract's problem each time, never a 500, never a leak."""

import json
import socket
from urllib.parse import quote, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.acceptance.conftest import CANARY, Api

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "trace_id", "retryable"}
POSTS = ["/api/v1/chat", "/api/v1/retrieve"]
ROUTES = [*(("POST", path) for path in POSTS), ("GET", "/api/v1/models"), ("GET", "/api/v1/docs"),
          ("GET", "/api/v1/docs/doc_x"), ("GET", "/api/v1/docs/doc_x/pages/1")]  # fmt: skip
HOSTILE = ["x' OR '1'='1", "O'Brien", "--", "; DROP TABLE chunks", "\0", "%00", "\ufeff",
"${7*7}", "{{7*7}}", "%s",
           "\u202e", "字" * 100, "😀", "../../etc/passwd", "1e999", "-1", "NaN",
           "' || pg_sleep(9) --", "\\", '"']  # fmt: skip


def check_problem(reply: httpx.Response, status: int, code: str) -> dict:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert set(body) >= MEMBERS
    assert (body["status"], body["code"]) == (status, code)
    assert body["trace_id"] == reply.headers["x-request-id"]
    assert body["type"] == f"urn:docent:problem:{code}"
    for leak in ("Traceback", "psycopg", "SELECT", "pydantic", "/app/", ".py"):
        assert leak not in reply.text
    return body


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [{}, {"X-API-Key": "dk_wrong"}, {"Authorization": "Bearer dk_wrong"},
     {"Authorization": "Basic eDp5"},
     {"X-API-Key": "x' OR '1'='1"}, {"X-API-Key": "k" * 5000}, {"Cookie": "key=x"}],
    ids=["none", "wrong", "wrong bearer", "basic", "sql", "long", "cookie"],
)  # fmt: skip
def test_without_a_good_key_there_is_nothing(
    stranger: httpx.Client, method: str, path: str, headers: dict[str, str]
) -> None:
    reply = stranger.request(
        method, path, headers=headers, json={"question": "x"} if method == "POST" else None
    )
    check_problem(reply, 401, "not_authenticated")
    assert reply.headers["www-authenticate"] == 'Bearer realm="docent"'


def test_both_headers_open_the_same_doors(api: Api) -> None:
    for scopes, may in (
        (("chat",), {"/api/v1/chat", "/api/v1/retrieve", "/api/v1/models"}),
        (("docs:read",), {"/api/v1/docs", "/api/v1/docs/doc_x", "/api/v1/docs/doc_x/pages/1"}),
        (("docs:write", "admin"), set()),
    ):
        key = api.mint(*scopes)
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
            with api.client("", **headers) as client:
                for method, path in ROUTES:
                    body = {"question": "file"} if method == "POST" else None
                    reply = client.request(method, path, json=body)
                    if path in may:
                        assert reply.status_code in (200, 404), (scopes, path)
                    else:
                        problem = check_problem(reply, 403, "not_allowed")
                        assert problem["required_scope"] in ("chat", "docs:read")


def test_a_strangers_body_is_not_waited_for(api: Api) -> None:
    """The answer comes while the body is still being promised: nobody reads it."""
    place = urlsplit(api.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as wire:
        wire.sendall(
            b"POST /api/v1/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"que\r\n'
        )
        assert wire.recv(100).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("path", POSTS)
def test_a_large_body_is_refused_announced_or_not(client: httpx.Client, path: str) -> None:
    large = b'{"question": "' + b"x" * 1_100_000 + b'"}'
    headers = {"Content-Type": "application/json"}

    def pieces():
        for start in range(0, len(large), 65_536):
            yield large[start : start + 65_536]

    for content in (large, pieces()):
        problem = check_problem(
            client.post(path, content=content, headers=headers), 413, "too_large"
        )
        assert problem["limit_bytes"] == 1_048_576


@pytest.mark.parametrize(("method", "path"), [("PUT", "/api/v1/chat"), ("GET", "/api/v1/chat"),
                                              ("PUT", "/api/v1/models"), ("POST",
                                              "/livez")])  # fmt: skip
def test_a_wrong_method_is_a_405(client: httpx.Client, method: str, path: str) -> None:
    check_problem(client.request(method, path), 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/api/v1/docs/doc_x", "DELETE, GET, PATCH, PUT"), ("/api/v1/docs/tags", "GET"),
     ("/api/v1/docs/tags/x", "DELETE, PATCH"), ("/api/v1/webhooks", "GET, POST")],
)  # fmt: skip
def test_a_405_names_every_method_of_the_path(
    client: httpx.Client, path: str, methods: str
) -> None:
    assert client.request("TRACE", path).headers["allow"] == methods


@pytest.mark.parametrize("path", ["/", "/api/v1", "/api/v1/chat/x", "/v2/models", "/admin",
"/api/v1/docs/a/b",
                                  "/api/v1/docs/doc_x", "/api/v1/docs/doc_x/pages/1",
                                  "/..%2f..%2fetc/passwd",
                                  "/api/v1/docs/%00", "/api/v1/docs/%ff%fe",
                                  "/api/v1/docs/doc_%00/pages/1",
                                  *(f"/api/v1/docs/{quote(value, safe='')}" for value in HOSTILE
                                    if "/" not in value and len(value) <= 64)])  # fmt: skip
def test_what_is_not_there_is_a_404(client: httpx.Client, path: str) -> None:
    reply = client.get(path)
    check_problem(reply, 404, reply.json()["code"])


@pytest.mark.parametrize(
    ("path", "field"),
    [("/api/v1/docs/doc_x/pages/0", "page"), ("/api/v1/docs/doc_x/pages/x", "page"),
     (f"/api/v1/docs/doc_x/pages/{'9' * 30}", "page"), ("/api/v1/docs/doc_x/pages/1?version=0",
     "version"),
     ("/api/v1/docs/doc_x/pages/1?version=99999999999", "version"), ("/api/v1/docs?limit=0",
     "limit"),
     ("/api/v1/docs?limit=101", "limit"), ("/api/v1/docs?status=lost", "status"),
     ("/api/v1/docs?q=%00", "q"),
     ("/api/v1/docs?order=x", "order"), (f"/api/v1/docs/{'x' * 65}", "document_id"),
     ("/api/v1/docs/doc_x/pages/1?verison=1", "verison")],
)  # fmt: skip
def test_a_wrong_parameter_is_named(client: httpx.Client, path: str, field: str) -> None:
    problem = check_problem(client.get(path), 422, "invalid_request")
    assert field in {item["field"] for item in problem["errors"]}


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "question"), ({"question": ""}, "question"), ({"question": "   "}, "question"),
     ({"question": "x" * 5000}, "question"), ({"question": 7}, "question"), ({"question": None},
     "question"),
     ({"question": "a\0b"}, "question"), ({"question": "x", "api_base": "http://evil"}, "api_base"),
     ({"question": "x", "top_k": 10**30}, "top_k"), ({"question": "x", "top_k": "5; --"}, "top_k"),
     ({"question": "x", "filters": {"tenant_id": "ten_x"}}, "filters.tenant_id"),
     ({"question": "x", "filters": {"tags": [1]}}, "filters.tags.0"),
     ({"question": "x", "filters": {"tags": [["x"]]}}, "filters.tags.0"),
     ({"question": "x", "as_of": "2026-01-01"}, "as_of"), ({"question": "\ud800"}, "question"),
     ({"question": "x", "\ud800": 1}, None), ([], None), ("x", None), (None, None), (7, None)],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_a_wrong_body_is_named(
    client: httpx.Client, path: str, body: object, field: str | None
) -> None:
    reply = client.post(
        path, content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    problem = check_problem(reply, 422, "invalid_request")
    assert field is None or field in {item["field"] for item in problem["errors"]}
    assert "x" * 500 not in reply.text, "the value is not sent back"


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b'{"question": "\xff"}', b"[" * 200_000, b'{"a":' * 100_000, b"nul",
     b"{}{}",
     b'{"question": ' + b"9" * 5000 + b"}", b"\0" * 100, b'{"question": "x", "top_k": NaN}'],
    ids=lambda content: repr(content[:16]),
)  # fmt: skip
def test_a_body_that_is_not_json_is_a_422(client: httpx.Client, path: str, content: bytes) -> None:
    reply = client.post(path, content=content, headers={"Content-Type": "application/json"})
    check_problem(reply, 422, "invalid_request")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "application/xml", "json", ""]
)
def test_a_body_of_another_type_is_a_415(client: httpx.Client, path: str, kind: str) -> None:
    reply = client.post(
        path, content=b'{"question": "x"}', headers={"Content-Type": kind} if kind else {}
    )
    check_problem(reply, 415, "unsupported_media_type")


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_are_values(client: httpx.Client, value: str) -> None:
    """Each is searched for, filtered by, or refused by name; none changes what is asked."""
    for body in (
        {"question": value},
        {"question": "file", "filters": {"tags": [value]}},
        {"question": "file", "filters": {"document_ids": [value]}},
        {"question": "file", "session_id": value, "model": value},
    ):
        for path in POSTS:
            reply = client.post(path, json=body)
            assert reply.status_code in (200, 422), (path, body, reply.text)
            assert CANARY not in reply.text
            if "filters" in body and reply.status_code == 200:
                assert not reply.json().get("passages", reply.json().get("citations"))
    for name in ("tag", "q", "after", "status"):
        reply = client.get("/api/v1/docs", params={name: value})
        assert reply.status_code in ((409, 422) if name == "after" else (200, 422))
        assert reply.status_code != 200 or reply.json()["items"] == []


def test_another_tenants_text_is_in_no_answer(api: Api, client: httpx.Client) -> None:
    questions = [CANARY, f"What is {CANARY}?",
    "What is the code word of the data storage file table?",
                 "Which file does the scheduler open at each major frame?"]  # fmt: skip
    for question in questions:
        for more in (
            {}, {"top_k": 50}, {"filters": {"document_ids": [api.other_document_id]}},
            {"as_of": "2030-01-01T00:00:00Z", "top_k": 50},
        ):  # fmt: skip
            for path in POSTS:
                reply = client.post(path, json={"question": question, **more})
                assert reply.status_code == 200
                assert CANARY not in reply.text
                assert api.other_document_id not in reply.text
    for params in ({}, {"q": CANARY}, {"after": api.other_document_id}, {"include_deleted": True}):
        reply = client.get("/api/v1/docs", params=params)
        assert reply.status_code == (409 if "after" in params else 200)
        assert CANARY not in reply.text
        assert api.other_document_id not in reply.text


def test_other_origins_are_told_nothing(client: httpx.Client) -> None:
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for reply in (
        client.get("/api/v1/docs", headers=origin),
        client.options("/api/v1/chat", headers=origin),
    ):
        assert not [name for name in reply.headers if name.startswith("access-control")]


def test_answers_tell_browsers_to_be_careful(client: httpx.Client) -> None:
    for path in ("/livez", "/api/v1/docs", "/nothing"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(HOSTILE),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)


OF_TYPE = {
    "string": st.text(max_size=50) | st.just("2026-11-21T00:00:00Z"),
    "integer": st.integers(-5, 60),
    "number": st.floats(-1, 3),
    "boolean": st.booleans(),
    "null": st.none(),
}


def from_schema(schema: dict, root: dict) -> st.SearchStrategy:
    """Values that a JSON schema allows, more or less; what it says exactly the API must check."""
    if "$ref" in schema:
        return from_schema(root["components"]["schemas"][schema["$ref"].rpartition("/")[2]], root)
    for several in ("anyOf", "allOf"):
        if several in schema:
            return st.one_of(*(from_schema(one, root) for one in schema[several]))
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    kind = schema.get("type")
    if kind == "array":
        return st.lists(from_schema(schema["items"], root), max_size=3)
    return OF_TYPE[kind] if kind in OF_TYPE else an_object(schema, root)


def an_object(schema: dict, root: dict) -> st.SearchStrategy:
    fields = {
        name: from_schema(field, root) | anything
        for name, field in schema.get("properties", {}).items()
    }
    required = {name: fields.pop(name) for name in schema.get("required", [])}
    return st.fixed_dictionaries(required, optional=fields)


@pytest.mark.parametrize("path", POSTS)
def test_any_body_is_answered_or_refused(client: httpx.Client, path: str) -> None:
    schema = client.get("/openapi.json").json()
    body = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]

    @settings(max_examples=60)
    @given(from_schema(body, schema) | anything)
    def post(value: object) -> None:
        reply = client.post(
            path, content=json.dumps(value), headers={"Content-Type": "application/json"}
        )
        assert reply.status_code in (200, 422), reply.text
        if reply.status_code == 422:
            check_problem(reply, 422, reply.json()["code"])

    post()
