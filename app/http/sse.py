"""Server-sent events as an ASGI response: bytes in, bytes out, and no task of its own per event.

The source of the events is closed as soon as the client leaves, whatever it is waiting for.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

#: Proxies hang up on what is silent for a minute or less.
PING_S = 15.0
_PING = b": ping\n\n"
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def frame(event: str, data: bytes, event_id: str | None = None) -> bytes:
    """One event; ``data`` is JSON, which has no line breaks of its own."""
    name = b"" if event_id is None else b"id: %s\n" % event_id.encode()
    return b"%sevent: %s\ndata: %s\n\n" % (name, event.encode(), data)


def sse_response(frames: AsyncGenerator[bytes, None], *, ping_s: float = PING_S) -> "EventStream":
    """Send ``frames``, made by :func:`frame`, as they come."""
    return EventStream(frames, ping_s=ping_s)


class EventStream(Response):
    """Sends frames as they come, and a comment when none came for ``ping_s``."""

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncGenerator[bytes, None], *, ping_s: float) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._frames = frames
        self._ping_s = ping_s
        self._sending = False
        self._sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the frames end or the client leaves."""
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        writing = asyncio.create_task(self._write(send))
        watching = asyncio.create_task(_until_gone(receive))
        pinging = asyncio.create_task(self._ping(send))
        try:
            await asyncio.wait({writing, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writing, watching, pinging):
                task.cancel()
            await asyncio.gather(writing, watching, pinging, return_exceptions=True)
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
        while True:
            before = self._sent
            await asyncio.sleep(self._ping_s)
            # A client that does not read what was sent is not sent more.
            if self._sent == before and not self._sending:
                await send({"type": "http.response.body", "body": _PING, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
