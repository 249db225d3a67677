"""Request ids, the last wall, and the limit of bodies, at the level of single ASGI events."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from app.errors import NotFound
from app.http.middleware import BodyLimit, RequestContext
from tests.asgi import Reply, call

SECRET = "hunter2-canary"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the whole body and send back its length."""
    size = 0
    while True:
        message = await receive()
        size += len(message["body"])
        if not message["more_body"]:
            break
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"x-request-id", b"mine")]}
    )
    await send({"type": "http.response.body", "body": str(size).encode()})


def failing(error: Exception, *, late: bool = False):
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if late:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    return app


@pytest.mark.parametrize("sane", ["a", "3f2c.A-b_9", "x" * 128])
async def test_a_sane_request_id_is_kept(sane: str) -> None:
    reply = await call(RequestContext(echo), headers=[("X-Request-ID", sane)])
    assert reply.header("x-request-id") == sane


@pytest.mark.parametrize(
    "insane", ["", "x" * 129, "a b", "a\nb", "a\r\nSet-Cookie: x", "é", "<x>", "a\n"]
)
async def test_an_insane_request_id_is_replaced(insane: str) -> None:
    first, second = [
        (await call(RequestContext(echo), headers=[("X-Request-ID", insane)])).header(
            "x-request-id"
        )
        for _ in range(2)
    ]
    assert first is not None
    assert first != second
    assert insane.strip() == "" or insane not in first
    assert len(first) == 26


async def test_every_answer_says_how_it_may_be_used() -> None:
    reply = await call(RequestContext(echo))
    assert reply.header("x-content-type-options") == "nosniff"
    assert reply.header("x-frame-options") == "DENY"
    assert reply.header("referrer-policy") == "no-referrer"
    assert reply.header("cross-origin-resource-policy") == "same-origin"
    policy = reply.header("content-security-policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert reply.header("cache-control") == "no-store"


async def test_callers_over_tls_are_to_come_back_so() -> None:
    assert (await call(RequestContext(echo))).header("strict-transport-security") is None
    reply = await call(RequestContext(echo, tls=True))
    assert reply.header("strict-transport-security") == "max-age=31536000"


async def test_a_page_has_a_policy_of_its_own() -> None:
    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-security-policy", b"default-src 'self'"), (b"x-frame-options", b"x")]
        headers.append((b"cache-control", b"public"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    reply = await call(RequestContext(page))
    assert reply.header("content-security-policy") == "default-src 'self'"
    assert reply.header("cache-control") == "public"
    assert reply.header("x-frame-options") == "DENY"


async def test_what_no_handler_knew_is_a_500_that_tells_nothing() -> None:
    with structlog.testing.capture_logs() as logs:
        reply = await call(
            RequestContext(failing(ValueError(f"SELECT {SECRET}"))),
            headers=[("X-Request-ID", "r1")],
        )
    assert (reply.status, reply.json()["code"], reply.json()["trace_id"]) == (
        500,
        "internal_error",
        "r1",
    )
    assert reply.header("x-request-id") == "r1"
    assert SECRET.encode() not in reply.body
    assert [line["event"] for line in logs] == ["unhandled_error", "request"]
    assert logs[1]["status"] == 500


async def test_an_error_of_ours_that_no_handler_saw_keeps_its_status() -> None:
    reply = await call(RequestContext(failing(NotFound())))
    assert (reply.status, reply.json()["code"]) == (404, "not_found")


async def test_an_error_after_the_answer_has_begun_cuts_the_connection() -> None:
    reply = Reply()
    with pytest.raises(ValueError, match="late"):
        await call(RequestContext(failing(ValueError("late"), late=True)), reply=reply)
    assert reply.status == 200


async def test_a_cancelled_request_is_logged_and_stays_cancelled() -> None:
    entered = asyncio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await asyncio.Event().wait()

    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(call(RequestContext(waiting)))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [(line["event"], line["status"]) for line in logs] == [("request", 0)]


def limited(app, limit_bytes: int = 100) -> BodyLimit:
    """Uploads, to /up, may have a thousand bytes."""
    return BodyLimit(
        app,
        limit_bytes=limit_bytes,
        upload_bytes=1000,
        is_upload=lambda method, path: path == "/up",
    )


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        ("/up", "multipart/form-data; boundary=x", 200),
        ("/up", "application/json", 413),
        ("/", "multipart/form-data; boundary=x", 413),
    ],
)
async def test_only_forms_that_carry_files_are_large(path: str, kind: str, status: int) -> None:
    headers = [("Content-Type", kind)]
    with structlog.testing.capture_logs():
        app = RequestContext(limited(echo))
        reply = await call(app, path=path, headers=headers, body=[b"x" * 900])
    assert reply.status == status


@pytest.mark.parametrize("wrap", [RequestContext, lambda app: limited(app, 1)])
@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_other_events_pass(wrap, kind: str) -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await call(wrap(app), kind=kind)
    assert seen == [kind]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8))
async def test_a_body_is_limited_by_its_real_size(sizes: list[int]) -> None:
    app = RequestContext(limited(echo))
    with structlog.testing.capture_logs():
        reply = await call(app, body=[b"x" * size for size in sizes])
    if sum(sizes) <= 100:
        assert (reply.status, reply.body) == (200, str(sum(sizes)).encode())
    else:
        assert (reply.status, reply.json()["code"], reply.json()["limit_bytes"]) == (
            413,
            "too_large",
            100,
        )


async def test_an_endless_body_is_not_read_on() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 60

    reply = await call(RequestContext(limited(echo)), body=endless())
    assert reply.status == 413
    assert reply.chunks_read == 2


@pytest.mark.parametrize("announced", ["101", "9" * 30, "9" * 5000, "-1", "1e1", "x", "²"])
async def test_an_announced_size_is_believed_without_reading(announced: str) -> None:
    app = RequestContext(limited(echo))
    reply = await call(app, headers=[("Content-Length", announced)], body=[b"x"])
    assert (reply.status, reply.chunks_read) == (413, 0)


async def test_a_slow_body_is_not_waited_for() -> None:
    """Each piece comes soon enough; it is the whole that does not."""

    async def dripping() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield b"x"

    app = BodyLimit(
        echo, limit_bytes=1000, upload_bytes=1000, is_upload=lambda *_: False, grace_s=0.05
    )
    reply = await call(RequestContext(app), body=dripping())
    assert (reply.status, reply.json()["code"]) == (408, "request_timeout")
    assert 0 < reply.chunks_read < 100


async def test_who_has_sent_the_whole_body_may_wait_for_the_answer() -> None:
    waited = []

    async def patient(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.2)  # for the client to leave
        waited.append(True)

    async def unheard(message: Message) -> None:
        raise AssertionError(message)

    app = BodyLimit(
        patient, limit_bytes=1000, upload_bytes=1000, is_upload=lambda *_: False, grace_s=0.05
    )
    said = iter([{"type": "http.request", "body": b"whole", "more_body": False}])

    async def receive() -> Message:
        if (message := next(said, None)) is None:
            await asyncio.Event().wait()
        return message

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    await app(scope, receive, unheard)
    assert waited == [True]


async def test_the_largest_body_is_let_in() -> None:
    app = limited(echo)
    reply = await call(app, headers=[("Content-Length", "100")], body=[b"x" * 60, b"x" * 40])
    assert (reply.status, reply.body) == (200, b"100")
