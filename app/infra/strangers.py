"""What a server that is not ours may cost the process that asks it.

How long it may take is for whoever asks to say. Here are the threads that look up its name, and the
bytes that are parsed of what it sends.
"""

import asyncio
import socket
import threading
from contextlib import suppress
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

#: Bytes before a body: one read of the socket (256 KiB) and one more. Answers that are none, such
#: as 103 without end, cost a hundred times what the bytes of a body do.
MAX_HEAD_BYTES = 524_288
#: Names that a process looks up at once.
MAX_LOOKUPS = 64
_LOOKUP = "look-up"


class ThreadedNames(AbstractResolver):
    """Looks names up as the system does, each in a thread that nobody else waits for.

    The loop's own threads are few. Files, passwords and the names of providers wait for one, and a
    name server that says nothing would hold them all. A look-up cannot be ended: its thread
    outlives the request that wanted it, but not the process.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of ``host``.

        Raises:
            OSError: it has none, or too many names are being looked up.
        """
        if sum(thread.name == _LOOKUP for thread in threading.enumerate()) >= MAX_LOOKUPS:
            raise OSError("too many names are being looked up")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Any]] = loop.create_future()

        def look_up() -> None:
            try:
                infos = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
                tell = partial(_settle, found, infos)
            except (OSError, ValueError) as error:  # a name that cannot be encoded is a ValueError
                tell = partial(_settle, found, error)
            with suppress(RuntimeError):  # the loop is closed, and nobody waits
                loop.call_soon_threadsafe(tell)

        threading.Thread(target=look_up, name=_LOOKUP, daemon=True).start()
        return [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=address[1],
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in await found
        ]

    async def close(self) -> None:
        """Holds nothing."""


def _settle(found: asyncio.Future[list[Any]], outcome: list[Any] | Exception) -> None:
    if found.done():  # nobody waits for it any more
        return
    if isinstance(outcome, Exception):
        found.set_exception(outcome)
    else:
        found.set_result(outcome)


class BoundedConnector(aiohttp.TCPConnector):
    """Connections that are cut off when a server sends more than was ever asked for."""

    def __init__(self, *, most_bytes: float, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        """``most_bytes`` of one connection are parsed, heads and framing included.

        Infinity leaves the bodies of answers to their readers; heads are bounded for each answer.
        """
        super().__init__(**options)
        self._factory = partial(_BoundedAnswer, self._loop, most_bytes=most_bytes)  # type: ignore[assignment]


class _BoundedAnswer(ResponseHandler):
    def __init__(self, loop: asyncio.AbstractEventLoop, *, most_bytes: float) -> None:
        super().__init__(loop)
        self._left_bytes = most_bytes
        self._head_left_bytes = MAX_HEAD_BYTES

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401 - aiohttp's own
        """Begin the next answer on this connection."""
        self._head_left_bytes = MAX_HEAD_BYTES
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Parse on, within bounds; the reader learns that this is no answer."""
        self._left_bytes -= len(data)
        if self._payload is None or self._payload.is_eof():
            self._head_left_bytes -= len(data)
        if min(self._left_bytes, self._head_left_bytes) >= 0:
            super().data_received(data)
        elif self.transport is not None:
            self.set_exception(HttpProcessingError(message="its head or its body is too large"))
            self.transport.abort()
