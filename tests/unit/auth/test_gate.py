"""Nobody passes without a valid key, and a stranger's body is never read."""

from types import SimpleNamespace

import pytest
from fastapi import Depends, FastAPI, Request
from starlette.types import Message, Receive, Scope, Send

from app.auth.audit import Origin
from app.auth.caller import Caller
from app.auth.gate import OPEN_PATHS, Gate, require
from app.errors import NotAllowed, NotAuthenticated
from app.http.middleware import BodyLimit, RequestContext
from app.infra.postgres import DatabaseUnavailable
from tests.asgi import Reply, call
from tests.fakes import Audit

ADA = Caller("ten_1", "key_1", frozenset({"chat"}))


class Ring:
    """Knows one key."""

    async def caller(self, key: str) -> Caller:
        if key == "down":
            raise DatabaseUnavailable
        if key != "good":
            raise NotAuthenticated
        return ADA


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    caller = scope["state"].get("caller")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send(
        {
            "type": "http.response.body",
            "body": b"nobody" if caller is None else caller.id.encode(),
        }
    )


async def knock(*headers: tuple[str, str], path: str = "/api/v1/chat", **more) -> Reply:
    gate = Gate(inside, credentials=lambda _: Ring())
    app = RequestContext(
        BodyLimit(gate, limit_bytes=1000, upload_bytes=1000, is_upload=lambda *_: False)
    )
    return await call(app, path=path, headers=headers, **more)


@pytest.mark.parametrize(
    "header",
    [
        ("X-API-Key", "good"),
        ("X-API-Key", "  good "),
        ("Authorization", "Bearer good"),
        ("Authorization", "bearer good"),
        ("AUTHORIZATION", "BEARER  good "),
    ],
)
async def test_a_good_key_passes_by_either_header(header: tuple[str, str]) -> None:
    reply = await knock(header)
    assert (reply.status, reply.body) == (200, b"key_1")


async def test_the_same_key_in_both_headers_is_one() -> None:
    reply = await knock(("X-API-Key", "good"), ("Authorization", "Bearer good"))
    assert reply.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-API-Key", "")],
        [("X-API-Key", "bad")],
        [("Authorization", "good")],
        [("Authorization", "Basic good")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", "Bearer bad")],
        [("Authorization", "")],
        [("X-API-Key", "gööd")],
        [("Cookie", "api_key=good")],
        [("X-API-Key", "bad"), ("Authorization", "Bearer good")],
        [("Authorization", "Bearer good"), ("X-API-Key", "bad")],
        [("X-API-Key", "good"), ("X-API-Key", "bad")],
        [("Authorization", "Bearer good"), ("Authorization", "Bearer bad")],
    ],
)
async def test_anything_else_is_a_401_and_the_body_is_not_read(
    headers: list[tuple[str, str]],
) -> None:
    reply = await knock(*headers, body=[b"x" * 10] * 9)
    assert (reply.status, reply.json()["code"]) == (401, "not_authenticated")
    assert reply.header("www-authenticate") == 'Bearer realm="docent"'
    assert reply.header("x-request-id") == reply.json()["trace_id"]
    assert reply.chunks_read == 0


async def test_an_unreachable_database_lets_nobody_in() -> None:
    reply = await knock(("X-API-Key", "down"))
    assert (reply.status, reply.json()["code"]) == (503, "database_unavailable")
    assert reply.header("retry-after") == "2"
    assert reply.chunks_read == 0


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
async def test_open_paths_ask_for_nothing(path: str) -> None:
    assert (await knock(path=path)).body == b"nobody"


@pytest.mark.parametrize(
    "path",
    ["/", "/livez/", "//livez", "/livez/../api/v1/docs", "/LIVEZ", "/docs/x", "/openapi.json/",
     "/health%00", "/livez;x", "/api/v1/docs", "/nothing"],
)  # fmt: skip
async def test_only_the_exact_open_paths_are_open(path: str) -> None:
    assert (await knock(path=path)).status == 401


@pytest.mark.parametrize(("kind", "path"), [("lifespan", ""), ("websocket", "/ws")])
async def test_other_events_pass_without_a_caller(kind: str, path: str) -> None:
    assert (await knock(kind=kind, path=path)).body == b"nobody"


@pytest.mark.parametrize("path", ["/", "/ws/", "/ws/info", "/WS", "//ws", "/api/v1/chat", "/livez"])
async def test_other_websockets_are_closed_whoever_knocks(path: str) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    scope = {"type": "websocket", "path": path, "headers": [(b"x-api-key", b"good")], "state": {}}
    await Gate(inside, credentials=lambda _: Ring())(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_what_only_administrators_may_is_written_down_when_others_try() -> None:
    audit = Audit()
    scope = {
        "type": "http",
        "state": {"caller": ADA, "ip": "192.0.2.7", "request_id": "r1"},
        "path_params": {"user_id": "usr_\0" + "x" * 500},
        "route": SimpleNamespace(operation_id="edit_user"),
        "app": SimpleNamespace(state=SimpleNamespace(house=SimpleNamespace(audit=audit))),
    }
    with pytest.raises(NotAllowed):
        await require("admin")(Request(scope))  # type: ignore[misc]
    [event] = audit.events
    assert (event.tenant_id, event.action, event.outcome) == ("ten_1", "admin", "refused")
    assert event.by == Origin("key_1", None, "192.0.2.7", "r1")
    assert event.details == {"operation": "edit_user"}


async def test_a_scope_is_required() -> None:
    request = SimpleNamespace(scope={"state": {"caller": ADA}})
    assert await require("chat")(request) is ADA  # type: ignore[misc,arg-type]
    with pytest.raises(NotAllowed) as caught:
        await require("docs:read")(request)  # type: ignore[misc,arg-type]
    assert caught.value.extras == {"required_scope": "docs:read"}


async def test_without_a_gate_in_front_a_route_that_needs_a_caller_fails() -> None:
    """Forgetting the middleware must not open a door."""
    app = FastAPI()

    @app.get("/x")
    async def route(request: Request, caller: Caller = Depends(require("chat"))) -> None: ...  # noqa: B008, FAST002

    app.add_middleware(RequestContext)
    reply = await call(app, method="GET", path="/x")
    assert (reply.status, reply.json()["code"]) == (500, "internal_error")
