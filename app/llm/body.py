"""How the body of a streamed answer is read: in pieces, and no faster than somebody wants it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import aiohttp

#: So much of a stream is told by one delta: some 250 tokens. What a reader costs that does not read
#: is this, a few times over: as text, as a frame, in what is written to its socket.
_PIECE_BYTES = 65_536
#: How long to wait for the end of a body after ``[DONE]``, so that the connection can be reused.
_DRAIN_S = 0.02


async def pieces(content: aiohttp.StreamReader) -> AsyncGenerator[bytes]:
    """What has come, in pieces; aiohttp, which goes by what it still holds, is left with none."""
    async for chunk in content.iter_any():
        for at in range(0, len(chunk), _PIECE_BYTES):
            yield chunk[at : at + _PIECE_BYTES]


@contextmanager
def left_to_the_kernel(response: aiohttp.ClientResponse) -> Iterator[None]:
    """Nothing is read meanwhile: being woken for a token costs more than all we do with it.

    And a reader that does not read would have us keep what it does not want yet.
    """
    connection = response.connection
    transport = None if connection is None else connection.transport
    if transport is None:
        yield  # all has come
        return
    with suppress(RuntimeError):  # it is closing
        transport.pause_reading()
    try:
        yield
    finally:
        with suppress(RuntimeError):
            transport.resume_reading()


async def drain(chunks: AsyncIterator[bytes]) -> None:
    """Read past ``[DONE]`` to the end of the body, which lets the connection be used again."""
    with suppress(Exception):  # the answer is complete; what comes after cannot spoil it
        async with asyncio.timeout(_DRAIN_S):
            await anext(chunks, None)
