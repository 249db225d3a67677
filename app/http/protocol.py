"""HTTP/1.1 as uvicorn speaks it, with bounds on what comes before a body and on who does not read.

By itself it takes headers without end, and waits for them without end: a stranger, who has shown no
credential yet, could fill the memory with one connection and hold the others with a byte now and
then. Bodies are bounded in ``middleware.py``. It also waits without end for a client to read its
answer, even after it has closed the connection. And it makes requests of all that one read of the
socket brings, before the first is answered: 256 KiB of them were 170 MB.
"""

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: What the first line and the headers may have, give or take one read of the socket. Far more than
#: anybody sends: that a token of a megabyte is none is for the gate to say.
MAX_HEAD_BYTES, MAX_HEADERS = 2_097_152, 1_000
#: Read on in pieces of so much, while no request waits for the answer to another.
PIECE_BYTES = 2_048
#: Bytes of a byte of content that is sent as a chunk of its own, and some more.
_FRAMING_PER_BYTE = 8


class BoundedHttp(HttpToolsProtocol):
    """Closes a connection whose next request is too large or too slow to begin."""

    #: Within so long a request's first line and headers are there, or the connection is closed.
    head_s = 30.0
    _deadline: asyncio.TimerHandle | None = None
    #: Of the head that is being read; None between heads.
    _head_bytes: int | None = None
    #: Of the body that is being read, what is no content: sizes of chunks, extensions, trailers.
    _framing_bytes = 0
    #: Who reads nothing of its answer is let go after one to two times so long.
    unread_s = 30.0
    _looking: asyncio.TimerHandle | None = None
    #: Of the answer, at the last look; None: some was read since.
    _unread_bytes: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        #: What has come and waits for the answers to the requests before it.
        self._incoming = bytearray()
        super().connection_made(transport)
        self._close_after(self.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._close_after(None)
        self._stop_looking()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless requests wait already."""
        self._incoming += data
        self._read_on()

    def _read_on(self) -> None:
        while self._incoming and not (self.pipeline or self.transport.is_closing()):
            # The parser joins the pieces of a header anew with each: a long one has fewer.
            size = min(max(self._head_bytes or 0, PIECE_BYTES), 8 * PIECE_BYTES)
            piece = bytes(self._incoming[:size])
            del self._incoming[:size]
            self._read(piece)
        if self._incoming:
            self.flow.pause_reading()
        if self.pipeline:
            self._close_after(None)  # the rest of a head may be here, and is not read yet
        elif self._head_bytes is not None and self._deadline is None:
            self._close_after(self.head_s)

    def _read(self, data: bytes) -> None:
        """Read a piece; bytes that belong to no request are not waited for without end either."""
        before = self._head_bytes
        if self._deadline is None and self._is_at_rest():
            self._close_after(self.head_s)
        if before is None:
            self._framing_bytes += len(data)
        super().data_received(data)
        if before is None and self._framing_bytes > MAX_HEAD_BYTES:
            self.transport.close()  # an answer has been given, or would be to half a request
        elif before is not None and self._head_bytes == before:  # all of it is of one head
            self._head_bytes = before + len(data)
            if self._head_bytes > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
                self._give_up(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._head_bytes = self._framing_bytes = 0
        self._close_after(self.head_s)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep what stands before a body; what follows it, trailers, nobody reads."""
        if self._head_bytes is not None:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Content, which is bounded elsewhere; chunks of one byte each are still a body."""
        self._framing_bytes -= _FRAMING_PER_BYTE * len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """The head has ended; what follows is the application's to read.

        A request for two hosts, or in HTTP/1.1 for none, is refused with 400 (RFC 9112, 3.2):
        whoever stands before us may have gone by the other one.
        """
        self._head_bytes = None
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise ValueError("a request is for one host")  # uvicorn makes a 400 of it
        self._close_after(None)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A body has ended; one that came after its answer has stopped uvicorn's own clock."""
        super().on_message_complete()
        if self._is_at_rest():
            self._close_after(self.timeout_keep_alive)

    def handle_websocket_upgrade(self) -> None:
        """The connection is another protocol's from now on."""
        self._close_after(None)
        self._stop_looking()
        self._incoming.clear()  # a client speaks it when it is told that it may
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """The client is behind; whether it reads at all is looked at from now on."""
        super().pause_writing()
        self._look_again()

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        self._unread_bytes = None

    def on_response_complete(self) -> None:
        """All is written; its rest may still wait to be read, and the next request to be made."""
        super().on_response_complete()
        self._look_again()
        self._read_on()

    def _look_again(self) -> None:
        if self._looking is None and self.transport.get_write_buffer_size():
            self._looking = self.loop.call_later(self.unread_s, self._look)

    def _look(self) -> None:
        """Let go who has read nothing, though all that waits is theirs to read."""
        self._looking = None
        size = self.transport.get_write_buffer_size()
        if not (self.flow.write_paused or self._is_at_rest()):
            self._unread_bytes = None  # more is being written, so that its size says nothing
        elif size and self._unread_bytes is not None and size >= self._unread_bytes:
            self.transport.abort()  # closing would wait for its reader
        else:
            self._unread_bytes = size
            self._look_again()

    def _stop_looking(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._looking = None

    def _is_at_rest(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _close_after(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None
        if seconds is not None:
            late = HTTPStatus.REQUEST_TIMEOUT
            self._deadline = self.loop.call_later(seconds, self._give_up, late)

    def _give_up(self, status: HTTPStatus) -> None:
        """Hang up, and say why if somebody waits for an answer and none is on its way."""
        if self._head_bytes is not None and self._is_at_rest():
            self.transport.write(
                b"HTTP/1.1 %d %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                % (status, status.phrase.encode())
            )
        self.transport.close()
