"""A proxy as nginx is without configuration: it keeps an answer back until there is enough of it.

What is kept back is let go by ``X-Accel-Buffering: no``, as nginx documents it; ``deaf`` is a
proxy that does not know the header.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

#: nginx's ``proxy_buffers``: eight of a page each.
BUFFERED_BYTES = 8 * 4096


@asynccontextmanager
async def buffering_proxy(port: int, *, deaf: bool = False) -> AsyncIterator[str]:
    """The URL of a proxy before ``port`` of this machine; one request a connection."""

    handling: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handling.add(task)
        upstream, to_upstream = await asyncio.open_connection("127.0.0.1", port)
        asking = asyncio.create_task(_pass(reader, to_upstream))
        try:
            head = await upstream.readuntil(b"\r\n\r\n")
            at_once = b"x-accel-buffering: no" in head.lower() and not deaf
            writer.write(head)
            await _pass(upstream, writer, 0 if at_once else BUFFERED_BYTES)
        finally:
            asking.cancel()
            for one in (writer, to_upstream):
                one.close()
                with suppress(OSError):
                    await one.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        # What is not closed before its loop is would be another test's warning, and so its failure.
        await asyncio.gather(*handling, return_exceptions=True)


async def _pass(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept_bytes: int = 0
) -> None:
    """Pass everything on to its end, whenever there are more than ``kept_bytes``."""
    kept = bytearray()
    while data := await reader.read(65_536):
        kept += data
        if len(kept) > kept_bytes:
            writer.write(bytes(kept))
            await writer.drain()
            kept.clear()
    writer.write(bytes(kept))
