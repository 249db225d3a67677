"""Pure ASGI middleware behind the gate: counts requests, and says what is left.

Of a stranger, who comes no further than the open paths, it counts by the address what is posted,
all of ``/oauth``, and each WebSocket; what is said there is counted where it is heard.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from starlette.types import ASGIApp, Receive, Scope, Send

from app.auth.caller import Caller
from app.http.problems import problem_response
from app.limits.addresses import Network, client_ip
from app.limits.crowd import Crowd
from app.limits.rates import RateLimited, RateLimiter, RouteClass, Subject, Use

#: Looking at the limits costs none of them (design: contract, Chat).
STATUS_PATH = "/api/v1/rate-limit/status"
_ASKING = frozenset({"/api/v1/chat", "/api/v1/retrieve", "/v1/chat/completions"})
_UPLOADS = "/api/v1/docs"
#: A close code of WebSockets (IANA's registry for RFC 6455).
_TRY_LATER = 1013


class RateLimits:
    """Refuses with 429 what is over a limit, before the body is read."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limiter: Callable[[Scope], RateLimiter],
        crowd: Callable[[Scope], Crowd],
        trusted_proxies: Sequence[Network],
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._crowd = crowd
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count one request of a caller, or a stranger's that does something; others pass.

        The headers are handed up, so that they are on every response, the last wall's included;
        the address is left in the state for whoever writes it down.
        """
        caller: Caller | None = scope.get("state", {}).get("caller")
        if scope["type"] == "lifespan" or (caller is None and not _counts(scope)):
            await self._app(scope, receive, send)
            return
        ip = client_ip(scope, self._trusted_proxies)
        scope.setdefault("state", {})["ip"] = ip
        subject = Subject(ip)
        if caller is not None:
            subject = subject_of(caller, ip, _route_class(scope["method"], scope["path"]))
        verdict = await self._limiter(scope).take(subject, counted=scope["path"] != STATUS_PATH)
        if scope["type"] == "websocket" and verdict.refused_by is not None:
            await send({"type": "websocket.close", "code": _TRY_LATER})
            return
        scope["state"]["verdict"] = verdict
        if shown := verdict.refused_by or verdict.tightest:
            scope["state"]["headers"] = _headers(shown)
        if verdict.refused_by is not None:
            refused = refusal(verdict.refused_by)
            await problem_response(refused, scope)(scope, receive, send)
        elif subject.tenant_id and subject.route_class == "chat":
            await self._in_turn(subject.tenant_id, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _in_turn(self, tenant_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a question while the tenant has a place for it."""
        crowd = self._crowd(scope)
        try:
            place = await crowd.enter(tenant_id)
        except RateLimited as refused:
            await problem_response(refused, scope)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            crowd.leave(place)


def _counts(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["type"] == "websocket" or scope["method"] == "POST" or path.startswith("/oauth/")


def _headers(shown: Use) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-ratelimit-limit", b"%d" % shown.limit.requests),
        (b"x-ratelimit-remaining", b"%d" % shown.remaining),
        (b"x-ratelimit-reset", b"%d" % math.ceil(shown.reset_s)),
    ]


def subject_of(caller: Caller, ip: str, route_class: RouteClass = "other") -> Subject:
    """Whom and what a request is counted as."""
    return Subject(
        ip,
        caller.id,
        caller.tenant_id,
        route_class,
        caller.user_id,
        caller.requests_per_minute,
    )


def _route_class(method: str, path: str) -> RouteClass:
    if method == "POST" and path in _ASKING:
        return "chat"
    if path.startswith(_UPLOADS) and method in ("POST", "PUT"):
        return "upload"
    return "other"


def refusal(use: Use) -> RateLimited:
    """What a caller is told whose limit is used up."""
    after_s = max(math.ceil(use.reset_s), 1)
    resets = datetime.now(UTC) + timedelta(seconds=after_s)
    error = RateLimited(
        f"More than {use.limit.requests} requests in {use.limit.window_s} s for this "
        f"{use.limit.per}; the limit resets in {after_s} s.",
        limit=use.limit.name,
        reset_at=resets.isoformat(timespec="seconds").replace("+00:00", "Z"),
    )
    error.retry_after_s = after_s
    return error
