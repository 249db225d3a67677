"""Pure ASGI middleware (the other kind costs 250 µs a request and hides disconnects).

:class:`RequestContext` is the outermost. :class:`BodyLimit` stands behind the credential check of
``app/auth/gate.py``: an unauthenticated body is never read, and a stranger is told nothing but 401.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import AppError, TooLarge
from app.http.departure import ClientLeft
from app.http.problems import problem_response
from app.http.traced import begin_request, end_request
from app.infra.ids import new_id
from app.infra.tracing import Tracer

log = structlog.get_logger("app.access")
#: Told of each request at its end: scope, status (499: the client left before one), seconds.
Observe = Callable[[Scope, int, float], None]
CLIENT_LEFT = 499
#: Bytes a second that are waited for.
_SLOWEST_BYTES_S = 40_000
_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
Headers = list[tuple[bytes, bytes]]
_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
#: Of an API that is reached over TLS (RFC 6797): a year, for its own name only.
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")
_UNLESS_SAID = [
    # Whatever is sent is no page: nothing in it runs, loads, or is framed.
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    # It is one caller's: a shared cache knows Authorization, but not X-API-Key.
    (b"cache-control", b"no-store"),
]


class RequestContext:
    """Gives every request an id, an access-log line, and an answer even when code fails.

    Headers that a middleware within puts into ``scope["state"]["headers"]``, as ASGI has them, are
    on every response.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        observe: Observe | None = None,
        tracer: Callable[[Scope], Tracer] | None = None,
        tls: bool = False,
    ) -> None:
        """``tls`` says that callers reach us by https, and are to come back so."""
        self._app = app
        untraced = Tracer()
        self._tracer = tracer or (lambda _: untraced)
        self._observe = observe or (lambda *_: None)
        self._always = [*_SECURITY_HEADERS, STRICT_TRANSPORT] if tls else _SECURITY_HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap one request; lifespan and WebSocket events pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        span = begin_request(self._tracer(scope), scope)
        state = scope.setdefault("state", {})
        state["request_id"], state["trace_id"] = request_id, span.trace_id or request_id
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                ours = [(b"x-request-id", request_id.encode()), *scope["state"].get("headers", ())]
                message["headers"] = _with(ours + self._always, message.get("headers", ()))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id, **span.logged), span:
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception as error:
                # The last wall: whatever no handler knew is logged here and answered with a 500.
                log.exception("unhandled_error", path=scope["path"])
                if status:
                    raise  # a response has begun; only cutting the connection tells the client
                known = error if isinstance(error, AppError) else AppError()
                await problem_response(known, scope)(scope, receive, send_with_headers)
            finally:
                end_request(span, scope, status or CLIENT_LEFT)
                self._tell(scope, status, time.perf_counter() - started)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        self._observe(scope, status or CLIENT_LEFT, seconds)
        log.info(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=status,
            ms=round(seconds * 1000, 2),
        )


def _with(ours: Headers, theirs: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers of a response: ours go before its own, but for what it says better itself."""
    names = {name for name, _ in ours}
    kept = [pair for pair in theirs if pair[0] not in names]
    said = {name for name, _ in kept}
    return kept + ours + [pair for pair in _UNLESS_SAID if pair[0] not in said]


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return str(value.decode("ascii"))
    return new_id("ans").removeprefix("ans_")


class TooSlow(AppError):
    """The request body took too long to arrive."""

    status, code, retryable = 408, "request_timeout", True


class BodyLimit:
    """Refuses bodies over a limit with 413, by their announced and by their real size.

    The limit is ``upload_bytes`` for multipart requests that may carry a file. How long a body may
    take follows from its limit; one that takes longer is refused with 408.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit_bytes: int,
        upload_bytes: int,
        is_upload: Callable[[str, str], bool],
        grace_s: float = 10.0,
    ) -> None:
        """``grace_s`` is what a body may take beside the time for its bytes."""
        self._app = app
        self._grace_s = grace_s
        self._limit_bytes = limit_bytes
        self._upload_bytes = upload_bytes
        self._is_upload = is_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what the application reads."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit_bytes = self._limit(scope)
        announced = _header(scope, b"content-length") or b"0"
        # The length first: int() of thousands of digits is an error of its own.
        if not announced.isdigit() or len(announced) > 18 or int(announced) > limit_bytes:  # noqa: PLR2004
            await problem_response(_too_large(limit_bytes), scope)(scope, receive, send)
            return
        bodily = announced != b"0" or _header(scope, b"transfer-encoding") is not None
        seen, whole = 0, False
        late_at = asyncio.get_running_loop().time() + self._grace_s + limit_bytes / _SLOWEST_BYTES_S

        async def counted() -> Message:
            nonlocal seen, whole
            if whole:  # what is waited for now is that the client leaves
                return await receive()
            try:
                async with asyncio.timeout_at(late_at):
                    message = await receive()
            except TimeoutError:
                raise TooSlow from None
            if message["type"] == "http.disconnect" and bodily:
                raise ClientLeft  # an everyday event, and not whatever its reader makes of it
            whole = not message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > limit_bytes:
                raise _too_large(limit_bytes)
            return message

        await self._app(scope, counted, send)

    def _limit(self, scope: Scope) -> int:
        multipart = (_header(scope, b"content-type") or b"").startswith(b"multipart/form-data")
        if multipart and self._is_upload(scope["method"], scope["path"]):
            return self._upload_bytes
        return self._limit_bytes


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(
        f"The request body is larger than {limit_bytes} bytes.", limit_bytes=limit_bytes
    )


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for known, value in scope["headers"] if known == name), None)
