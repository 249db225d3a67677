"""One request straight into an ASGI application, with every event in the test's hands."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass, field

import orjson
from starlette.types import ASGIApp, Message, Scope


@dataclass
class Reply:
    """What came back, and how much of the body the application asked for."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    chunks_read: int = 0

    def header(self, name: str) -> str | None:
        found = [value.decode() for key, value in self.headers if key.decode() == name.lower()]
        assert len(found) <= 1, f"{name} is there {len(found)} times"
        return found[0] if found else None

    def json(self) -> dict:
        return orjson.loads(self.body)


async def call(
    app: ASGIApp,
    *,
    method: str = "POST",
    path: str = "/",
    headers: Iterable[tuple[str, str]] = (),
    body: Iterable[bytes] | AsyncIterable[bytes] = (b"",),
    kind: str = "http",
    reply: Reply | None = None,
) -> Reply:
    """Send one request; ``body`` is read piece by piece, and only when the application asks."""
    reply = reply or Reply()
    scope: Scope = {
        "type": kind,
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "state": {},
    }
    pieces = _pieces(body)
    ahead: list[bytes] = []

    async def receive() -> Message:
        reply.chunks_read += 1
        if not ahead:
            ahead.append(await anext(pieces, b""))
        piece = ahead.pop()
        following = await anext(pieces, None)
        if following is not None:
            ahead.append(following)
        return {"type": "http.request", "body": piece, "more_body": following is not None}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            reply.status, reply.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            reply.body += message.get("body", b"")

    await app(scope, receive, send)
    return reply


async def _pieces(body: Iterable[bytes] | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(body, AsyncIterable):
        async for piece in body:
            yield piece
    else:
        for piece in body:
            yield piece
