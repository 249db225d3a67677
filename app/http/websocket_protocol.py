"""WebSockets as uvicorn speaks them, with bounds on what one connection costs.

By itself it answers pings without end, also to a client that reads none of the answers: they filled
the memory. It keeps empty fragments of a message without end, reads all frames that one read of the
socket brings before anybody else's turn comes, and waits for ever for the rest of what it has
written to be read. A stranger can do all of this, before the credential is asked for.
"""

import asyncio
from asyncio.transports import BaseTransport
from math import inf
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

#: Read on in pieces of so much: some hundred frames are a few milliseconds.
PIECE_BYTES = 2_048
#: Pings and pongs between two keepalives of ours, and fragments of a message. Nobody needs as many.
MAX_CONTROL_FRAMES, MAX_FRAGMENTS = 1_000, 1_000
#: To a head that HTTP allows and the handshake does not: more than 128 headers, a line of 8 KiB.
_NO_HANDSHAKE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """Reads on when what it read is dealt with, and lets go who floods or does not read."""

    #: Who reads nothing of what waits is let go after one to two times so long.
    unread_s = 30.0
    #: At the last look; infinite: some was read since.
    _unread_bytes: float = inf
    _looking: asyncio.TimerHandle | None = None
    _control_frames = 0

    def connection_made(self, transport: BaseTransport) -> None:
        """Look at the reader from now on."""
        #: What has come and waits for what came before it.
        self._incoming = bytearray()
        super().connection_made(transport)
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless something waits already."""
        self._incoming += data
        self._read_on()

    def _read_on(self) -> None:
        while self._incoming and not self._is_busy() and not self.transport.is_closing():
            piece = bytes(self._incoming[:PIECE_BYTES])
            del self._incoming[:PIECE_BYTES]
            super().data_received(piece)
            if self.conn.handshake_exc is not None and not self.handshake_initiated:
                self.transport.write(_NO_HANDSHAKE)  # uvicorn says nothing, and waits for ever
                self.transport.close()
        if self.transport.is_closing():
            self._incoming.clear()
        elif self._incoming or self._is_busy():
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _is_busy(self) -> bool:
        """Whether the application has yet to accept, or to hear a message, or a client to read."""
        is_asked = self.handshake_initiated and not self.handshake_complete
        return is_asked or self.read_paused or not self.writable.is_set()

    async def receive(self) -> Any:  # noqa: ANN401 - ASGI's
        """A message; the next may be read then."""
        message = await super().receive()
        self._read_on()
        return message

    async def send(self, message: Any) -> None:  # noqa: ANN401 - ASGI's
        """Send a message; after the first frames are read, after the last only a goodbye."""
        await super().send(message)
        self._read_on()

    def handle_ping(self) -> None:
        """Answer; so many are none."""
        super().handle_ping()
        self._count_control_frame()

    def handle_pong(self, event: Frame) -> None:
        """The answer to a ping of ours, or to none."""
        super().handle_pong(event)
        self._count_control_frame()

    def send_keepalive_ping(self) -> None:
        """The client answered the one before."""
        self._control_frames = 0
        super().send_keepalive_ping()

    def _count_control_frame(self) -> None:
        self._control_frames += 1
        if self._control_frames > MAX_CONTROL_FRAMES:
            self._refuse(CloseCode.POLICY_VIOLATION)

    def handle_cont(self, event: Frame) -> None:
        """Another fragment; the size of all of them is bounded, and an empty one has none."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self._refuse(CloseCode.MESSAGE_TOO_BIG)
        else:
            super().handle_cont(event)

    def _refuse(self, code: CloseCode) -> None:
        if not self.transport.is_closing():
            self.frames = []
            self.conn.fail(code)
            self.handle_parser_exception()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._unread_bytes = inf
        self._read_on()

    def _look_again(self) -> None:
        self._looking = self.loop.call_later(self.unread_s, self._look)

    def _look(self) -> None:
        """Let go who has read nothing, though all that waits is theirs to read."""
        size = self.transport.get_write_buffer_size()
        if self.writable.is_set() and not self.transport.is_closing():
            self._unread_bytes = inf  # more may have been written, so that its size says nothing
        elif size and size >= self._unread_bytes:
            self.transport.abort()  # closing would wait for its reader
        else:
            self._unread_bytes = size
        self._look_again()
