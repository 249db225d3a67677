"""Whoever is let in for long is looked at again: streams of events, and the WebSocket."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import orjson
from starlette.types import Message, Scope, Send

from app.auth.caller import Caller
from app.errors import AppError, NotAllowed, NotAuthenticated, Unavailable
from app.http.openai_problems import openai_error, speaks_openai
from app.http.problems import problem_of
from app.http.sse import frame

#: Who is suspended, or may do less, is out within five seconds, open streams included.
RECHECK_S = 4.0
#: How long the last event waits for a client that reads slowly.
_LAST_S = 0.5


class RightsChanged(NotAllowed):
    """What this credential may do has changed meanwhile; connect again."""

    code = "rights_changed"


def check_rights(before: Caller, now: Caller) -> None:
    """See that a caller may still do all it could do when it was let in.

    Raises:
        RightsChanged: it may not.
    """
    if not before.scopes <= now.scopes:
        raise RightsChanged


class StreamWatch:
    """Checks the credential of one response every :data:`RECHECK_S`, if that streams events.

    A stream whose caller is no longer let in ends with an ``error`` event, and what made it is
    cancelled as if its client had left. While the database is away a stream goes on: answers that
    have begun outlive it.
    """

    def __init__(
        self, scope: Scope, send: Send, caller: Caller, ask: Callable[[], Awaitable[Caller]]
    ) -> None:
        """``ask`` gives the caller as it is now; made in the task that makes the response."""
        self._scope = scope
        self._send = send
        self._caller = caller
        self._ask = ask
        self._watching: asyncio.Task[None] | None = None
        self._response = asyncio.current_task()
        self._over = self._cancelled = False

    async def send(self, message: Message) -> None:
        """Pass a message on, unless the stream was ended."""
        if message["type"] == "http.response.start" and _is_stream(message):
            self._watching = asyncio.create_task(self._watch())
        if not self._over:
            await self._send(message)

    def took_back_its_cancellation(self) -> bool:
        """Whether a cancellation of the response was ours and nobody else's; it is undone then."""
        return self._cancelled and self._response is not None and self._response.uncancel() == 0

    def end(self) -> None:
        """The response is over."""
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        while not self._over:
            await asyncio.sleep(RECHECK_S)
            try:
                check_rights(self._caller, await self._ask())
            except Unavailable:
                continue
            except (NotAuthenticated, NotAllowed) as error:
                await self._turn_out(error)

    async def _turn_out(self, error: AppError) -> None:
        self._over = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await self._send({"type": "http.response.body", "body": self._last(error)})
        if self._response is not None:
            self._cancelled = self._response.cancel()

    def _last(self, error: AppError) -> bytes:
        if speaks_openai(self._scope):
            return b"data: %s\n\ndata: [DONE]\n\n" % orjson.dumps({"error": openai_error(error)})
        return frame("error", orjson.dumps(problem_of(error, self._scope)))


def _is_stream(message: Message) -> bool:
    return (b"content-type", b"text/event-stream") in (
        (name, value.partition(b";")[0]) for name, value in message.get("headers", ())
    )
