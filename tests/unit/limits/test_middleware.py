"""What is counted of strangers, who come no further than the open paths."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.limits.middleware import RateLimits
from app.limits.rates import Limit, Subject, Use, Verdict
from tests.asgi import call


class Full:
    """Lets nobody through who is counted."""

    async def take(self, subject: Subject, *, counted: bool = True) -> Verdict:
        assert (subject.ip, subject.key_id, counted) == ("127.0.0.1", None, True)
        used = Use(Limit("ip", "ip", 5, 60), 5, 30.5)
        return Verdict((used,), used)


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/oauth/authorize", 429), ("GET", "/oauth/oidc/start", 429),
        ("GET", "/oauth/oidc/callback", 429), ("POST", "/oauth/token", 429),
        ("POST", "/oauth/login", 429), ("POST", "/api/v1/auth/register", 429),
        ("GET", "/livez", 200), ("GET", "/.well-known/jwks.json", 200),
    ],
)  # fmt: skip
async def test_a_stranger_is_counted_where_something_is_done(
    method: str, path: str, status: int
) -> None:
    async def local(scope: Scope, receive: Receive, send: Send) -> None:
        scope["client"] = ("127.0.0.1", 4711)
        limits = RateLimits(
            inside,
            limiter=lambda _: Full(),  # type: ignore[arg-type,return-value]
            crowd=lambda _: None,  # type: ignore[arg-type,return-value]
            trusted_proxies=[],
        )
        await limits(scope, receive, send)

    assert (await call(local, method=method, path=path)).status == status


async def test_whoever_knocks_too_often_gets_no_websocket() -> None:
    limits = RateLimits(
        inside,
        limiter=lambda _: Full(),  # type: ignore[arg-type,return-value]
        crowd=lambda _: None,  # type: ignore[arg-type,return-value]
        trusted_proxies=[],
    )
    scope = {"type": "websocket", "path": "/ws", "headers": [], "client": ("127.0.0.1", 4711)}
    said: list[Message] = []

    async def nothing() -> Message:
        raise AssertionError("nothing is waited for")

    async def send(message: Message) -> None:
        said.append(message)

    await limits(scope, nothing, send)
    assert said == [{"type": "websocket.close", "code": 1013}]
