"""The application as it is assembled: its routes are its OpenAPI document, and its walls stand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.routing import Route

from app.auth.caller import ALL_SCOPES, Caller
from app.auth.gate import OPEN_PATHS, WEBSOCKET_PATH
from app.chat.pipeline import ChatPipeline
from app.chat.record import Record
from app.errors import AppError, ConfigurationError, NotAuthenticated
from app.factory import create_app
from app.infra.metrics import Metrics
from app.infra.metrics_prometheus import PrometheusBackend
from app.infra.postgres import DatabaseUnavailable
from app.infra.tracing import Tracer
from app.limits.crowd import Crowd
from app.limits.rates import Limit, Subject, Use, Verdict
from app.llm.completion import Completion
from app.settings import Settings
from tests.fakes import NO_CACHE, Audit, FixedRetriever, Kept, KeptSpans, ScriptedProvider, passage

KEY = {"X-API-Key": "good"}


class Ring:
    async def caller(self, key: str) -> Caller:
        if key != "good":
            raise NotAuthenticated
        return Caller("ten_1", "key_1", frozenset(ALL_SCOPES))


class Unlimited:
    async def take(self, subject: Subject, *, counted: bool = True) -> Verdict:
        return Verdict((), None)


class Counting(Unlimited):
    """One request of five is used, and looking uses none."""

    async def take(self, subject: Subject, *, counted: bool = True) -> Verdict:
        return Verdict((Use(Limit("key", "key", 5, 60), int(counted), 30.5),), None)


class Full(Unlimited):
    async def take(self, subject: Subject, *, counted: bool = True) -> Verdict:
        used = Use(Limit("key", "key", 5, 60), 5, 30.5)
        return Verdict((used,), used)


class BrokenArchive:
    """Fails in the way it was told to."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def get(self, tenant_id: str, document_id: str) -> None:
        raise self.error


def made(*, missing: Exception | None = None, **changes: Any) -> FastAPI:
    settings = Settings(_env_file=None, **changes.pop("settings", {}))  # type: ignore[call-arg]
    provider = ScriptedProvider(Completion("The limit is 10 MB [1].", "scripted", "m"))

    async def checks() -> dict[str, bool]:
        return {"postgres": True, "redis": False}

    house = SimpleNamespace(**{
        "metrics": Metrics(), "tracer": Tracer(),
        "credentials": Ring(), "provider": provider, "checks": checks,
        "chat": ChatPipeline(FixedRetriever(passage()), provider, Kept(), NO_CACHE),  # type: ignore[arg-type]
        "recordings": None, "audit": Audit(), "limiter": Unlimited(),
        "crowd": Crowd(None, at_once=0, workers=1),  # type: ignore[arg-type] - which is not asked
        **changes,
    })  # fmt: skip

    @asynccontextmanager
    async def open_house(given: Settings) -> AsyncIterator[Any]:
        assert given is settings
        if missing:
            raise missing
        yield house

    return create_app(settings, open_house=open_house)


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client,
    ):
        yield client


def test_the_routes_are_the_openapi_document() -> None:
    app = made()
    served = {
        (path, method.lower())
        for path, method in all_routes(app)
        if path != "/openapi.json" and not path.startswith("/docs")
    }
    documented = {
        (path, method) for path, methods in app.openapi()["paths"].items() for method in methods
    }
    assert served == documented
    assert len(served) == 91
    assert app.openapi() is app.openapi()


def test_clients_can_be_generated_from_the_openapi_document() -> None:
    """Such clients leave out an answer without a schema, and one named by two of our modules."""
    document = made().openapi()
    assert [name for name in document["components"]["schemas"] if "__" in name] == []
    bare = [
        (path, method, kind)
        for path, methods in document["paths"].items()
        if not path.startswith("/oauth/")  # pages for people
        for method, operation in methods.items()
        for reply in operation["responses"].values()
        for kind, content in reply.get("content", {}).items()
        if not content.get("schema") and kind != "text/event-stream"  # no schema says what that is
    ]
    assert bare == []


def test_what_can_be_sent_again_says_so_in_the_openapi_document() -> None:
    keyed = {
        operation["operationId"]
        for methods in made().openapi()["paths"].values()
        for operation in methods.values()
        if any(told["name"] == "Idempotency-Key" for told in operation.get("parameters", []))
    }
    assert keyed == {"chat", "create_chat_completion", "replace_document", "upload_document"}


def test_annotations_are_told_apart_in_the_openapi_document() -> None:
    """Clients that are generated from it have to know which of the two classes to read into."""
    document = made().openapi()
    operation = document["paths"]["/v1/chat/completions"]["post"]
    [kind] = [told for told in operation["parameters"] if told["name"] == "X-Docent-Annotations"]
    assert (kind["in"], kind["required"]) == ("header", False)
    schemas = document["components"]["schemas"]
    told_by = schemas["MessageOut"]["properties"]["annotations"]["items"]["discriminator"]
    assert told_by["propertyName"] == "type"
    assert sorted(told_by["mapping"]) == sorted(kind["schema"]["enum"])
    for value, name in told_by["mapping"].items():
        assert schemas[name.rpartition("/")[2]]["properties"]["type"]["const"] == value


def all_routes(app: FastAPI) -> set[tuple[str, str]]:
    """Every path and method that answers, however deep its router was included."""
    found = set()
    pending = list(app.routes)
    while pending:
        route = pending.pop()
        if isinstance(route, APIWebSocketRoute):
            assert route.path == WEBSOCKET_PATH, "the gate closes all others"
        elif isinstance(route, APIRoute | Route):
            found |= {
                (route.path_format, method)
                for method in route.methods or ()
                if method != "HEAD" or isinstance(route, APIRoute)  # Starlette adds it by itself
            }
        else:
            original = getattr(route, "original_router", None)
            assert original is not None, f"what is {route!r}?"
            pending += original.routes
    return found


def test_every_route_is_closed_but_those_that_are_named() -> None:
    paths = {path for path, _ in all_routes(made())}
    assert paths >= OPEN_PATHS
    for path, methods in made().openapi()["paths"].items():
        for operation in methods.values():
            kinds = [list(one) for one in operation["security"]]
            assert kinds == ([] if path in OPEN_PATHS else [["ApiKey"], ["Bearer"]])


def test_a_route_that_does_not_say_what_it_asks_for_is_found() -> None:
    app = made()
    app.get("/api/v1/new")(lambda: None)
    with pytest.raises(ConfigurationError, match="get /api/v1/new does not say"):
        app.openapi()


async def test_a_question_goes_all_the_way_through() -> None:
    async with client_of(made()) as client:
        reply = await client.post("/api/v1/chat", json={"question": "How large?"}, headers=KEY)
        assert reply.json()["citations"][0]["quote"] == "The limit is 10 MB"
        passages = await client.post(
            "/api/v1/retrieve", json={"question": "How large?"}, headers=KEY
        )
        assert passages.json()["passages"][0]["page"] == 12
        models = (await client.get("/api/v1/models", headers=KEY)).json()["items"]
        assert [model["id"] for model in models] == ["scripted"]
        health = (await client.get("/health")).json()
        assert health["checks"] == {"postgres": "ok", "redis": "failed", "providers": "ok"}
        assert (await client.get("/readyz")).status_code == 503


async def test_before_the_database_is_there() -> None:
    async with client_of(made(missing=DatabaseUnavailable())) as client:
        for method in ("GET", "HEAD"):
            assert (await client.request(method, "/livez")).status_code == 200
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.headers["retry-after"]) == (503, "2")
        assert ready.json() == {"status": "unavailable", "checks": {"postgres": "failed"}}
        health = await client.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
        for path in ("/api/v1/chat", "/v1/chat/completions", "/nowhere", "/metrics"):
            refused = await client.post(path, json={}, headers=KEY | {"X-Request-ID": "r1"})
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
            assert refused.headers["x-request-id"] == "r1"
            assert refused.headers["x-content-type-options"] == "nosniff"
            said = refused.json()
            assert said.get("error", said)["code"] == "database_unavailable"


class Judged:
    """Knows one answer, and takes every opinion of it."""

    def __init__(self, **facts: Any) -> None:
        self.record = Record("ten_1", "key_1", "ans_1", facts)

    async def judge(
        self, caller: Caller, answer_id: str, *, score: int, comment: str | None
    ) -> Record:
        return self.record


@pytest.mark.parametrize(
    ("facts", "trace_ids"), [({"trace_id": "0a"}, ["0a"]), ({"trace_id": None}, []), ({}, [])]
)
async def test_feedback_is_a_score_of_a_trace_that_was_kept(
    facts: dict[str, Any], trace_ids: list[str]
) -> None:
    spans = KeptSpans()
    async with client_of(made(tracer=Tracer([spans]), answers=Judged(**facts))) as client:
        said = {"score": -1, "comment": "Wrong."}
        for _ in range(2):
            reply = await client.post("/api/v1/answers/ans_1/feedback", json=said, headers=KEY)
            assert reply.status_code == 204
    assert [score.trace_id for score in spans.scores] == 2 * trace_ids
    assert {(score.id, score.value, score.comment) for score in spans.scores} <= {
        ("ans_1-key_1", -1, None)
    }


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(ValueError("SELECT hunter2"), 500, "internal_error"), (AppError("Sorry."), 500,
     "internal_error"),
     (DatabaseUnavailable(), 503, "database_unavailable")],
)  # fmt: skip
async def test_whatever_breaks_is_a_problem(error: Exception, status: int, code: str) -> None:
    async with client_of(made(archive=BrokenArchive(error))) as client:
        reply = await client.get("/api/v1/docs/doc_x", headers={**KEY, "X-Request-ID": "r1"})
    assert (reply.status_code, reply.json()["code"], reply.json()["trace_id"]) == (
        status,
        code,
        "r1",
    )
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["x-request-id"] == "r1"
    assert "hunter2" not in reply.text


@pytest.mark.parametrize(
    ("method", "path", "status", "left"),
    [("GET", "/api/v1/docs/doc_x", 500, 4), ("GET", "/nothing", 404, 4),
     ("DELETE", "/api/v1/chat", 405, 4), ("POST", "/api/v1/chat", 413, 4),
     ("POST", "/v1/chat/completions", 413, 4), ("GET", "/api/v1/rate-limit/status", 200, 5)],
)  # fmt: skip
async def test_whatever_happens_to_a_caller_is_told_what_is_left(
    method: str, path: str, status: int, left: int
) -> None:
    house = {"limiter": Counting(), "archive": BrokenArchive(ValueError())}
    body = b"x" * 1100 if method == "POST" else b""
    async with client_of(made(settings={"max_body_bytes": 1024}, **house)) as client:
        reply = await client.request(method, path, content=body, headers=KEY)
        stranger = await client.request(method, path, content=body)
    assert reply.status_code == status
    told = [reply.headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "reset")]
    assert told == ["5", str(left), "31"]
    assert stranger.status_code == 401
    assert "x-ratelimit-limit" not in stranger.headers


@pytest.mark.parametrize("path", ["/api/v1/chat", "/v1/chat/completions"])
async def test_who_is_over_a_limit_is_refused_in_the_shape_of_the_dialect(path: str) -> None:
    async with client_of(made(limiter=Full())) as client:
        reply = await client.post(path, json={}, headers=KEY)
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "31")
    assert reply.headers["x-ratelimit-remaining"] == "0"
    if path.startswith("/v1/"):
        error = reply.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limited")
    else:
        assert (reply.json()["code"], reply.json()["retry_after_s"]) == ("rate_limited", 31)


@pytest.mark.parametrize("url", ["https://docs.example.com", "http://docs.example.com", None])
async def test_browsers_stay_with_https_where_it_is_the_public_url(url: str | None) -> None:
    async with client_of(made(settings={"public_url": url})) as client:
        for path in ("/livez", "/api/v1/docs", "/docs"):
            told = "strict-transport-security" in (await client.get(path)).headers
            assert told is bool(url and url.startswith("https:"))


async def test_a_body_over_the_limit_of_the_settings() -> None:
    async with client_of(made(settings={"max_body_bytes": 1024})) as client:
        reply = await client.post("/api/v1/chat", json={"question": "x" * 1100}, headers=KEY)
    assert (reply.status_code, reply.json()["limit_bytes"]) == (413, 1024)


async def test_requests_are_counted_by_route_and_never_by_path() -> None:
    async with client_of(made(metrics=Metrics(PrometheusBackend()))) as client:
        for path in ("/api/v1/docs/doc_canary", "/api/v1/docs/doc_canary2", "/livez"):
            await client.get(path, headers=KEY)
        await client.get("/canary", headers=KEY)
        await client.get("/api/v1/docs/doc_canary")  # without a credential no route is looked for
        await client.put("/livez", headers=KEY)
        page = await client.get("/metrics")
        again = await client.get("/metrics")
    assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = [line for line in page.text.splitlines() if line.startswith("http_requests_total{")]
    route = 'handler="/api/v1/docs/{document_id}",method="GET"'
    assert sorted(lines) == [
        f'http_requests_total{{{route},status="500"}} 2.0',
        'http_requests_total{handler="/livez",method="GET",status="200"} 1.0',
        'http_requests_total{handler="/livez",method="PUT",status="405"} 1.0',
        'http_requests_total{handler="none",method="GET",status="401"} 1.0',
        'http_requests_total{handler="none",method="GET",status="404"} 1.0',
    ]
    assert f"http_request_duration_seconds_count{{{route}}} 2.0" in page.text
    assert 'docent_processes{role="api"} 1.0' in page.text
    assert "canary" not in page.text
    assert 'http_requests_total{handler="/metrics",method="GET",status="200"} 1.0' in again.text


async def test_metrics_that_go_elsewhere_are_not_found_here() -> None:
    async with client_of(made()) as client:
        reply = await client.get("/metrics")
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")


PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}


async def test_a_named_origin_may_ask_without_a_key_what_it_may_do() -> None:
    async with client_of(made(settings={"allow_origins": ["https://a.example"]})) as client:
        allowed = await client.options(
            "/api/v1/chat", headers={**PREFLIGHT, "Origin": "https://a.example"}
        )
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (
            200,
            "https://a.example",
        )
        assert "access-control-allow-credentials" not in allowed.headers
        asked = await client.get("/api/v1/models", headers={**KEY, "Origin": "https://a.example"})
        assert asked.headers["access-control-allow-origin"] == "https://a.example"
        refused = await client.get("/api/v1/models", headers={"Origin": "https://a.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://a.example", (
            "so that it can be read"
        )
        for origin in ("https://a.example.evil", "http://a.example", "null", "https://A.example"):
            other = await client.options("/api/v1/chat", headers={**PREFLIGHT, "Origin": origin})
            assert "access-control-allow-origin" not in other.headers


async def test_by_default_no_origin_is_told_anything() -> None:
    async with client_of(made()) as client:
        reply = await client.options(
            "/api/v1/chat", headers={**PREFLIGHT, "Origin": "https://a.example"}
        )
        assert reply.status_code == 401
        assert not [name for name in reply.headers if name.startswith("access-control")]
