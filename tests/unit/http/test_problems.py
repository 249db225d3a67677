"""Errors become RFC 9457 problems that tell the caller what it may know, and nothing else."""

import gzip
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from app.errors import AppError, NotAllowed, NotAuthenticated, NotFound, TooLarge, Unavailable
from app.http.problems import Problem, documented_problems, install_problems, problem_response

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "trace_id", "retryable"}
SECRET = "hunter2-canary"


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = Field(ge=1)
    name: str = "x"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    install_problems(app)

    @app.get("/raise/{kind}")
    async def fail(kind: str) -> None:
        cause = RuntimeError(f"SELECT * FROM {SECRET}")
        raise {
            "gone": NotFound,
            "no": NotAllowed("This needs 'admin'.", required_scope="admin"),
            "who": NotAuthenticated,
            "down": Unavailable,
            "broken": AppError("An honest sentence."),
        }[kind] from cause

    @app.post("/body", responses=documented_problems(422))
    async def body(body: Body) -> None: ...

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        yield client


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("gone", 404, "not_found"),
        ("no", 403, "not_allowed"),
        ("who", 401, "not_authenticated"),
        ("down", 503, "dependency_unavailable"),
        ("broken", 500, "internal_error"),
    ],
)
async def test_an_error_is_a_problem(
    client: httpx.AsyncClient, kind: str, status: int, code: str
) -> None:
    reply = await client.get(f"/raise/{kind}")
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["cache-control"] == "no-store"
    body = reply.json()
    assert body.keys() >= MEMBERS
    assert Problem(**body).code == code
    assert (body["status"], body["instance"]) == (status, f"/raise/{kind}")
    assert SECRET not in reply.text
    assert ("www-authenticate" in reply.headers) == (status == 401)
    assert ("retry-after" in reply.headers) == (status == 503) == ("retry_after_s" in body)
    assert body["retryable"] == (status == 503)


async def test_extras_are_members(client: httpx.AsyncClient) -> None:
    assert (await client.get("/raise/no")).json()["required_scope"] == "admin"


async def test_unknown_paths_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    gone = await client.get("/nothing")
    wrong = await client.put("/body")
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"


async def test_an_invalid_body_names_the_field_and_not_its_value(client: httpx.AsyncClient) -> None:
    reply = await client.post("/body", json={"size": 0, "name": [SECRET], "api_base": SECRET})
    body = reply.json()
    assert (reply.status_code, body["code"]) == (422, "invalid_request")
    assert {item["field"] for item in body["errors"]} == {"size", "name", "api_base"}
    assert all(item.keys() == {"field", "message", "type"} for item in body["errors"])
    assert "api_base" in body["detail"]
    assert SECRET not in reply.text


@pytest.mark.parametrize("name", ["query", "path", "body"])
async def test_an_unknown_field_is_named_whatever_it_is_called(
    client: httpx.AsyncClient, name: str
) -> None:
    reply = await client.post("/body", json={"size": 1, name: "x"})
    assert [item["field"] for item in reply.json()["errors"]] == [name]


async def test_a_compressed_body_is_said_to_be_one(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    reply = await client.post("/body", content=gzip.compress(b'{"size": 1}'), headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_media_type")
    assert "Content-Encoding" in reply.json()["detail"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'"text"', b"[]", b"null", b'{"size": 1, "\\ud800": 1}', b'{"size": "\\ud800"}',
     b"\xff\xfe\x00", b'{"size": 1' + b"0" * 5000 + b"}", b"[" * 100_000, b'{"a":' * 50_000,
     b'{"size": NaN}', b'{"size": 1e999}', b'{"size": 1, "size": "x"}'],
    ids=lambda content: repr(content[:24]),
)  # fmt: skip
async def test_an_unreadable_body_is_a_422(client: httpx.AsyncClient, content: bytes) -> None:
    reply = await client.post(
        "/body", content=content, headers={"content-type": "application/json"}
    )
    assert reply.status_code == 422
    assert Problem(**reply.json()).code == "invalid_request"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "x", None])
async def test_a_body_of_another_type_is_a_415(client: httpx.AsyncClient, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    reply = await client.post("/body", content=b'{"size": 1}', headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_media_type")


async def test_an_error_met_while_reading_the_body_stays_what_it_is(
    client: httpx.AsyncClient,
) -> None:
    """FastAPI turns whatever the body's stream raises into its own 400; the cause decides."""

    async def stream() -> AsyncIterator[bytes]:
        yield b'{"size": '
        raise TooLarge("Too much.", limit_bytes=9)

    reply = await client.post(
        "/body", content=stream(), headers={"content-type": "application/json"}
    )
    assert (reply.status_code, reply.json()["code"], reply.json()["limit_bytes"]) == (
        413, "too_large", 9,
    )  # fmt: skip


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
@example("\ud800", "\udfff")
def test_any_text_can_be_part_of_a_problem(detail: str, extra: str) -> None:
    """Lone surrogates come in by JSON escapes; they cannot be sent out as UTF-8."""
    reply = problem_response(NotFound(detail, extra=extra), {"path": extra})
    assert reply.status_code == 404
    bytes(reply.body).decode("utf-8")


def test_documented_problems_are_problem_json() -> None:
    assert set(documented_problems(404, 503)) == {404, 503}
