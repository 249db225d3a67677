"""A parameter stands in a query once, however its name is written."""

import pytest
from starlette.types import Receive, Scope, Send

from app.http.queries import DistinctParameters


async def status_of(path: str, query: bytes, kind: str = "http") -> int:
    """200 when the request passes."""
    found = [200]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["query_string"] == query

    async def send(message) -> None:
        found.append(message.get("status", found[-1]))

    scope = {"type": kind, "path": path, "query_string": query, "headers": []}
    await DistinctParameters(app, open_paths=frozenset({"/oauth/authorize"}))(scope, None, send)  # type: ignore[arg-type]
    return found[-1]


@pytest.mark.parametrize(
    "query",
    [b"tag=a&tag=b", b"tag=a&q=&tag=", b"tag&tag", b"t%61g=a&tag=b", b"a+b=1&a%20b=2", b"=1&=2"],
)
async def test_what_stands_there_twice_is_refused(query: bytes) -> None:
    assert await status_of("/api/v1/docs", query) == 422
    assert await status_of("/oauth/authorize", query) == 200, "it has a rule of its own"
    assert await status_of("/ws", query, "websocket") == 200


@pytest.mark.parametrize(
    "query", [b"", b"&", b"&&a=1&&", b"tag=a&Tag=b", b"a=b=c&b=a", b"q=tag&tag=q"]
)
async def test_what_stands_there_once_passes(query: bytes) -> None:
    assert await status_of("/api/v1/docs", query) == 200
