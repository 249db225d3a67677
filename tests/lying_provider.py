"""What a provider's transport may do that no HTTP client expects, as more behaviours of the fake.

``python -m tests.lying_provider`` is ``python -m tests.fake_provider`` with these in addition.
"""

import asyncio
import json
import zlib

from tests.fake_provider import ANSWER, BEHAVIOURS, Exchange, main

_MB = 1_048_576
_SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_TO_THE_END = b"connection: close\r\n\r\n"


async def early_hints(exchange: Exchange, args: list[str]) -> None:
    """``103 Early Hints`` for as long as somebody reads them."""
    hint = b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n" * 1000
    while True:
        await exchange.write(hint)
        await asyncio.sleep(0)


async def head_without_end(exchange: Exchange, args: list[str]) -> None:
    """Header after header, and never the body."""
    await exchange.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await exchange.write(b"x-more: " + b"y" * 4000 + b"\r\n")
        await asyncio.sleep(0)


async def head_drips(exchange: Exchange, args: list[str]) -> None:
    """The head at a byte a second."""
    for byte in _SSE + b"\r\n":
        await exchange.write(bytes([byte]))
        await exchange.wait(1)


async def _megabytes(exchange: Exchange, begin: bytes, count: int) -> None:
    await exchange.write(begin)
    for _ in range(count):
        await exchange.write(b"a" * _MB)
    exchange.cut()


async def _without_end(exchange: Exchange, piece: bytes) -> None:
    await exchange.write(_SSE + _TO_THE_END)
    while True:
        await exchange.write(piece)
        await asyncio.sleep(0)


async def line(exchange: Exchange, args: list[str]) -> None:
    """``line:MB``: an event without an end."""
    begin = _SSE + _TO_THE_END + b'data: {"choices": [{"delta": {"content": "'
    await _megabytes(exchange, begin, int(args[0]))


async def document(exchange: Exchange, args: list[str]) -> None:
    """``document:MB``: one JSON document without an end."""
    begin = _JSON + _TO_THE_END + b'{"choices": [{"message": {"content": "'
    await _megabytes(exchange, begin, int(args[0]))


async def comments_without_end(exchange: Exchange, args: list[str]) -> None:
    """Comments as fast as they are taken."""
    await _without_end(exchange, b": PROCESSING\n\n" * 5000)


async def words_without_end(exchange: Exchange, args: list[str]) -> None:
    """An answer that never ends, as fast as it is taken."""
    await _without_end(exchange, exchange.chunk({"content": "a "}) * 500)


def _bomb(start: bytes, size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(start)]
    parts += [packer.compress(b" " * _MB) for _ in range(size)]
    return b"".join(parts) + packer.flush()


async def gzip_bomb(exchange: Exchange, args: list[str]) -> None:
    """``gzip_bomb:MB`` of white space in a compressed body, ``gzip_bomb:MB:STATUS``."""
    status = args[1].encode() if len(args) > 1 else b"200"
    body = _bomb(b"", int(args[0]))
    head = b"HTTP/1.1 %b Fake\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n"
    await exchange.write(head % status + b"content-length: %d\r\n\r\n" % len(body) + body)


async def gzip_events(exchange: Exchange, args: list[str]) -> None:
    """A whole answer, compressed though nobody asked for that."""
    text = exchange.head() + exchange.chunk({"content": ANSWER}) + exchange.tail(5)
    body = zlib.compress(text, 9, 31)
    await exchange.write(
        _SSE + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )


async def used(exchange: Exchange, args: list[str]) -> None:
    """``used:TEXT``: an answer with that, JSON or not, for its usage."""
    text = exchange.chunk({"content": ANSWER}) + exchange.chunk({}, finish_reason="stop")
    await exchange.start()
    lie = exchange.chunk(None, usage="@").replace(b'"@"', ":".join(args).encode())
    await exchange.part(text + lie + b"data: [DONE]\n\n")
    await exchange.end()


async def two_dones(exchange: Exchange, args: list[str]) -> None:
    await exchange.start()
    text = exchange.chunk({"content": ANSWER}) + exchange.tail(5)
    await exchange.part(text + exchange.chunk({"content": "more"}) + b"data: [DONE]\n\n")
    await exchange.end()


async def garbage_after_done(exchange: Exchange, args: list[str]) -> None:
    await exchange.start()
    await exchange.part(exchange.chunk({"content": ANSWER}) + exchange.tail(5))
    while True:
        await exchange.part(b"\x00\xff{]" * 20_000)
        await asyncio.sleep(0)


async def no_done(exchange: Exchange, args: list[str]) -> None:
    """Ends with the finish; ``no_done:open`` and stays open."""
    await exchange.start()
    await exchange.part(
        exchange.chunk({"content": ANSWER}) + exchange.chunk({}, finish_reason="stop")
    )
    if args:
        await exchange.wait(3600)
    await exchange.end()


async def many_choices(exchange: Exchange, args: list[str]) -> None:
    """``many_choices:N`` in every chunk."""
    choices = [
        {"index": n, "delta": {"content": ANSWER if not n else "x"}, "finish_reason": None}
        for n in range(int(args[0]))
    ]
    await exchange.start()
    data = json.dumps({"choices": choices, "model": "m"}).encode()
    await exchange.part(b"data: " + data + b"\n\n" + exchange.tail(5))
    await exchange.end()


async def delta_is(exchange: Exchange, args: list[str]) -> None:
    """``delta_is:JSON`` before the answer."""
    odd = json.dumps({"choices": [{"index": 0, "delta": json.loads(":".join(args))}]}).encode()
    await exchange.start()
    await exchange.part(b"data: " + odd + b"\n\n" + exchange.chunk({"content": ANSWER}))
    await exchange.part(exchange.tail(5))
    await exchange.end()


async def calls_a_tool(exchange: Exchange, args: list[str]) -> None:
    call = {"index": 0, "id": "1", "function": {"name": "rm", "arguments": "{}"}}
    await exchange.start()
    await exchange.part(exchange.chunk({"tool_calls": [call]}) + exchange.tail(5, "tool_calls"))
    await exchange.end()


async def redirect(exchange: Exchange, args: list[str]) -> None:
    """``redirect:STATUS:URL``."""
    await exchange.send(int(args[0]), b"", location=":".join(args[1:]))


async def old_http(exchange: Exchange, args: list[str]) -> None:
    """HTTP/1.0: a body that ends with its connection."""
    text = exchange.chunk({"content": ANSWER}) + exchange.tail(5)
    await exchange.write(b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + text)
    exchange.keep_alive = False


async def says_raw(exchange: Exchange, args: list[str]) -> None:
    r"""``says_raw:TEXT`` within a JSON string as it is: ``says_raw:\ud800``."""
    raw = ":".join(args).encode("utf-8", "surrogatepass")
    await exchange.start()
    await exchange.part(
        exchange.chunk({"content": "@"}).replace(b'"@"', b'"' + raw + b'"') + exchange.tail(5)
    )
    await exchange.end()


async def long_text(exchange: Exchange, args: list[str]) -> None:
    """``long_text:MB``, an answer of so much text, in pieces of 1 KB."""
    await exchange.start()
    for _ in range(int(args[0]) * 16):
        await exchange.part(exchange.chunk({"content": "word " * 205}) * 64)
    await exchange.part(exchange.tail(5))
    await exchange.end()


async def retry_after(exchange: Exchange, args: list[str]) -> None:
    await exchange.send(429, b"{}", **{"retry-after": ":".join(args)})


async def no_http(exchange: Exchange, args: list[str]) -> None:
    await exchange.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    await exchange.wait(3600)


async def both_lengths(exchange: Exchange, args: list[str]) -> None:
    await exchange.write(_SSE + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")


for behaviour in (
    early_hints, head_without_end, head_drips, line, comments_without_end, document,
    words_without_end, gzip_bomb, gzip_events, used, two_dones, garbage_after_done, no_done,
    many_choices, delta_is, calls_a_tool, redirect, old_http, says_raw, long_text, retry_after,
    no_http, both_lengths,
):  # fmt: skip
    BEHAVIOURS[behaviour.__name__] = behaviour

if __name__ == "__main__":
    main()
