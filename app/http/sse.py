"""Server-sent events as an ASGI response: bytes in, bytes out, and no task of its own per event.

The source of the events is closed as soon as the client leaves, whatever it is waiting for. Whether
one that stays reads what it is sent is seen to by the connection (``protocol.py``).
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

#: Proxies hang up on what is silent for a minute or less.
PING_S = 15.0
_PING = b": ping\n\n"
#: Of every stream (design: contract, Chat).
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
#: What a browser's EventSource is told to come back no more with (HTML standard, 9.2.3): it takes
#: the end of a stream for a lost connection. In the words of OpenAPI.
NOTHING_FOLLOWS: dict[str, Any] = {
    "description": "The stream has ended, and nothing follows `Last-Event-ID`."
}


def frame(event: str, data: bytes, event_id: str | None = None) -> bytes:
    """One event; ``data`` is JSON, which has no line breaks of its own."""
    name = b"" if event_id is None else b"id: %s\n" % event_id.encode()
    return b"%sevent: %s\ndata: %s\n\n" % (name, event.encode(), data)


def sse_response(
    frames: AsyncGenerator[bytes, None],
    *,
    ping_s: float = PING_S,
    headers: Mapping[str, str] | None = None,
    closing: AsyncExitStack | None = None,
) -> "EventStream":
    """Send ``frames``, made by :func:`frame`, as they come; then close ``closing``."""
    return EventStream(frames, ping_s=ping_s, headers=headers or {}, closing=closing)


class EventStream(Response):
    """Sends frames as they come, and a comment when none came for ``ping_s``."""

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncGenerator[bytes, None],
        *,
        ping_s: float,
        headers: Mapping[str, str],
        closing: AsyncExitStack | None = None,
    ) -> None:
        super().__init__(headers={**HEADERS, **headers})
        #: What has to end with the stream even if its first frame was never asked for.
        self._closing = closing or AsyncExitStack()
        del self.headers["content-length"]
        self._frames = frames
        self._ping_s = ping_s
        self._sending = False
        self._sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the frames end or the client leaves."""
        async with self._closing:
            await self._send_all(receive, send)

    async def _send_all(self, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        writing = asyncio.create_task(self._write(send))
        watching = asyncio.create_task(_until_gone(receive))
        pinging = asyncio.create_task(self._ping(send))
        tasks = {writing, watching, pinging}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not writing.cancelled():
            writing.result()  # a source that failed cuts the connection: there is no other sign

    async def _write(self, send: Send) -> None:
        async with aclosing(self._frames) as frames:
            async for data in frames:
                self._sending = True
                await send({"type": "http.response.body", "body": data, "more_body": True})
                self._sending = False
                self._sent += 1
        self._sending = True  # nothing follows the end
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _ping(self, send: Send) -> None:
        """Keep the connection alive; a client that is behind is not sent more."""
        while True:
            before = self._sent
            await asyncio.sleep(self._ping_s)
            if self._sent == before and not self._sending:
                await send({"type": "http.response.body", "body": _PING, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
