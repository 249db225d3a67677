"""The gate: no path but the open ones is reached without a valid credential.

Authentication is ASGI middleware and not a dependency, because FastAPI reads the body before it
resolves dependencies, and an unknown caller's body is not to be read. It denies by default: a new
route is closed until its exact path stands in :data:`OPEN_PATHS`.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.auth.audit import AuditEvent, AuditLog, Origin
from app.auth.caller import Caller, KeyScope
from app.auth.credentials import Credentials
from app.auth.watch import StreamWatch
from app.errors import AppError, NotAllowed, NotAuthenticated
from app.http.problems import problem_response
from app.infra.reach import reaching

OPEN_PATHS = frozenset(
    {
        "/livez",
        "/readyz",
        "/health",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
        "/api/v1/auth/register",
        "/api/v1/auth/login",
        "/oauth/authorize",
        "/oauth/login",
        "/oauth/consent",
        "/oauth/oidc/start",
        "/oauth/oidc/callback",
        "/oauth/token",
        "/oauth/revoke",
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
    }
)
#: The one WebSocket, which takes its credential as its first message too, and so checks it itself.
WEBSOCKET_PATH = "/ws"


class Gate:
    """Puts the caller into the request's state, and bounds what its queries see, or answers 401.

    When the database is down nobody can be authenticated, and the answer is 503. While a stream of
    events is sent, the credential is checked again, see :class:`StreamWatch`.
    """

    def __init__(self, app: ASGIApp, *, credentials: Callable[[Scope], Credentials]) -> None:
        self._app = app
        self._credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request; lifespan events pass, and the one WebSocket that checks for itself."""
        if scope["type"] == "websocket" and scope["path"] != WEBSOCKET_PATH:
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        known = self._credentials(scope)
        try:
            token = credential(scope)
            caller = await known.caller(token)
        except AppError as error:
            await problem_response(error, scope)(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        watch = StreamWatch(scope, send, caller, lambda: known.caller(token))
        try:
            with reaching(caller.reach):
                await self._app(scope, receive, watch.send)
        except asyncio.CancelledError:
            if not watch.took_back_its_cancellation():
                raise
        finally:
            watch.end()


def credential(scope: Scope) -> str:
    """The key or token a request carries, unchecked.

    Raises:
        NotAuthenticated: it carries none, or two: whoever let it pass may have looked at the other.
    """
    found = {token for name, value in scope["headers"] if (token := _token(name, value))}
    if len(found) > 1:
        raise NotAuthenticated("Two credentials were sent; send one.")
    if not found:
        raise NotAuthenticated
    return found.pop()


def _token(name: bytes, value: bytes) -> str:
    """The credential in one header, if any."""
    if name == b"x-api-key":
        return value.decode("latin-1").strip()
    if name == b"authorization":
        scheme, _, token = value.decode("latin-1").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""
    return ""


async def authenticated(request: Request) -> Caller:
    """A dependency that gives the caller, whatever it may do."""
    found: Caller = request.scope["state"]["caller"]
    return found


def required_scopes(dependencies: Iterable[Callable[..., Any] | None]) -> list[str] | None:
    """The scopes that a route with these dependencies asks for; None when it forgot to say."""
    found = [getattr(call, "required_scopes", None) for call in dependencies]
    said = [scopes for scopes in found if scopes is not None]
    return [scope for scopes in said for scope in scopes] if said else None


authenticated.required_scopes = ()  # type: ignore[attr-defined]


async def origin(request: Request) -> Origin:
    """A dependency that gives who acts and from where, for the audit log; also on open paths."""
    state = request.scope["state"]
    caller: Caller | None = state.get("caller")
    return Origin(
        actor=None if caller is None else caller.id,
        user_id=None if caller is None else caller.user_id,
        ip=state.get("ip"),  # of app/limits/middleware.py
        request_id=state.get("request_id"),
    )


def require(scope: KeyScope) -> Callable[[Request], Caller]:
    """A dependency that gives the caller, if it may do ``scope``.

    Raises:
        NotAllowed: when its key does not carry the scope; for ``admin`` the audit log says so.
    """

    async def caller(request: Request) -> Caller:
        found: Caller = request.scope["state"]["caller"]
        if scope not in found.scopes:
            if scope == "admin":
                await _record_refusal(request, found)
            raise NotAllowed(f"This needs the scope '{scope}'.", required_scope=scope)
        return found

    caller.required_scopes = (scope,)  # type: ignore[attr-defined]
    return caller  # type: ignore[return-value]  # FastAPI awaits it


async def _record_refusal(request: Request, caller: Caller) -> None:
    event = AuditEvent(
        caller.tenant_id,
        "admin",
        await origin(request),
        next(iter(request.path_params.values()), None),
        "refused",
        {"operation": request.scope["route"].operation_id},
    )
    audit: AuditLog = request.app.state.house.audit
    await audit.record(event)
