"""redis-py's commands over one connection that everybody in the process shares.

redis-py takes a connection out of its pool for each command and waits for it with a timer and a
task of its own: 230 us of CPU for a script, of which a request runs three or four. Here commands
are written as they come and replies are handed out in their order: 30 us, and those of one moment
leave in one packet (ADR 0020). Commands that block, and transactions, must not come this way.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError


class LineRedis(Redis):
    """A redis-py client whose commands and pipelines go over one line."""

    def __init__(self, client: Redis) -> None:
        """Connect as ``client`` does, on first use, and again whenever the connection was lost."""
        super().__init__(connection_pool=client.connection_pool)
        self._line = Line(client)

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's signature
        """Run one command.

        Raises:
            RedisError: Redis refused it, did not answer in time, or the connection was lost; what
                was sent may have been carried out.
            OSError: nobody listens there.
        """
        return self.told(await self._line.call(args), args, options)

    def told(self, reply: Any, args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as above
        """What redis-py makes of a reply."""
        callback = self.response_callbacks.get(args[0])
        if callback is None:
            return reply
        # "keys" is there for a cache of redis-py's own only.
        return callback(reply, **{name: options[name] for name in options if name != "keys"})

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Commands that are sent together; a transaction takes a connection of its own."""
        if transaction:
            return super().pipeline(transaction, shard_hint)
        return _LinePipeline(self, self._line)

    async def hang_up(self) -> None:
        """Close the line; what waits for a reply fails."""
        self._line.close()


@asynccontextmanager
async def open_line(client: Redis) -> AsyncIterator[LineRedis]:
    """A line to where ``client`` connects to, until the end."""
    line = LineRedis(client)
    try:
        yield line
    finally:
        await line.hang_up()


class _LinePipeline(Pipeline):
    def __init__(self, client: LineRedis, line: "Line") -> None:
        super().__init__(client.connection_pool, client.response_callbacks, False, None)
        self._client = client
        self._line = line

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands, self.command_stack = self.command_stack, []
        replies = await self._line.call_all([args for args, _ in commands])
        for reply in replies:
            if isinstance(reply, BaseException) and (
                raise_on_error or not isinstance(reply, ResponseError)
            ):
                raise reply
        return [
            reply if isinstance(reply, Exception) else self._client.told(reply, args, options)
            for reply, (args, options) in zip(replies, commands, strict=True)
        ]


class Line:
    """One connection, made when it is needed."""

    def __init__(self, client: Redis) -> None:
        pool = client.connection_pool
        self._to: dict[str, Any] = pool.connection_kwargs
        self._tls = issubclass(pool.connection_class, SSLConnection)
        self._wire: _Wire | None = None
        self._connecting: asyncio.Task[_Wire] | None = None

    async def call(self, parts: tuple[Any, ...]) -> Any:  # noqa: ANN401 - whatever it replies
        """The reply to one command.

        Raises:
            RedisError, OSError: see :meth:`LineRedis.execute_command`.
        """
        return await (await self._ready()).call(parts)

    async def call_all(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """The replies to several, sent together; a refusal is one of them.

        Raises:
            RedisError, OSError: there is no connection.
        """
        wire = await self._ready()
        return await asyncio.gather(*map(wire.call, commands), return_exceptions=True)

    def close(self) -> None:
        """Hang up."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._wire is not None:
            self._wire.close()

    async def _ready(self) -> "_Wire":
        """The connection; a new one, which everybody waits for, when there is none."""
        if self._wire is not None and not self._wire.lost:
            return self._wire
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._came)
        return await asyncio.shield(self._connecting)

    def _came(self, connecting: "asyncio.Task[_Wire]") -> None:
        self._connecting = None
        if not connecting.cancelled() and connecting.exception() is None:
            self._wire = connecting.result()

    async def _connect(self) -> "_Wire":
        to, loop = self._to, asyncio.get_running_loop()
        timeout_s = to.get("socket_timeout") or 10.0

        def made() -> _Wire:
            return _Wire(timeout_s)

        async with asyncio.timeout(to.get("socket_connect_timeout") or timeout_s):
            if path := to.get("path"):
                _, wire = await loop.create_unix_connection(made, path)
            else:
                tls = SSLConnection(**to).ssl_context.get() if self._tls else None
                host, port = to.get("host") or "localhost", int(to.get("port") or 6379)
                _, wire = await loop.create_connection(made, host, port, ssl=tls)
            try:
                if password := to.get("password"):
                    user = to.get("username")
                    await wire.call(("AUTH", user, password) if user else ("AUTH", password))
                if database := to.get("db"):
                    await wire.call(("SELECT", database))
            except BaseException:
                wire.close()
                raise
        return wire


class _Wire(asyncio.Protocol):
    """Sends commands, and hands each reply to whoever has waited longest."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_MORE, replyError=_refusal)
        self._waiting: deque[tuple[asyncio.Future[Any], asyncio.TimerHandle]] = deque()
        self._transport: asyncio.Transport
        self._late = False
        self._closed = False

    @property
    def lost(self) -> bool:
        """Whether nothing can be sent any more; known before ``connection_lost`` says it."""
        return self._closed or self._transport.is_closing()

    def call(self, parts: tuple[Any, ...]) -> "asyncio.Future[Any]":
        """Send one command; whoever no longer waits for its reply may cancel it."""
        if " " in parts[0]:  # redis-py's names of commands that are two words
            parts = (*parts[0].split(), *parts[1:])
        packed = hiredis.pack_command(parts)
        reply = self._loop.create_future()
        if self.lost:
            reply.set_exception(RedisConnectionError("The connection to Redis was lost."))
            return reply
        timer = self._loop.call_later(self._timeout_s, self._give_up)
        self._waiting.append((reply, timer))
        self._transport.write(packed)
        return reply

    def close(self) -> None:
        self._closed = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        while (reply := reader.gets()) is not _MORE:
            if not self._waiting:
                # Said unasked: that it takes no more clients, or nobody from outside. To take it
                # for the next command's reply would put all later ones out of step.
                self.close()
                return
            waiting, timer = self._waiting.popleft()
            timer.cancel()
            if waiting.done():  # cancelled
                continue
            if isinstance(reply, Exception):
                waiting.set_exception(reply)
            else:
                waiting.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        for waiting, timer in self._waiting:
            timer.cancel()
            if not waiting.done():
                waiting.set_exception(
                    RedisTimeoutError("Redis did not answer in time.")
                    if self._late
                    else RedisConnectionError(f"The connection to Redis was lost: {exc}.")
                )
        self._waiting.clear()

    def _give_up(self) -> None:
        # Replies come in order: while this one does not, none does.
        self._late = True
        self.close()


_MORE = object()


def _refusal(text: str) -> ResponseError:
    kind, _, rest = text.partition(" ")
    known = {"NOSCRIPT": NoScriptError, "OOM": OutOfMemoryError}.get(kind)
    return known(rest) if known else ResponseError(text)
