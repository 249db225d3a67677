"""The questions that are asked on one WebSocket, one at a time."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Protocol

import orjson
import structlog
from starlette.websockets import WebSocketDisconnect

from app.auth.caller import Caller
from app.errors import AppError, Conflict, NotAllowed
from app.infra.reach import reaching

log = structlog.get_logger(__name__)


class StillAnswering(Conflict):
    """A connection asks one question at a time."""

    code = "still_answering"


class Answers(Protocol):
    """Answers questions; chat does, which this room does not know."""

    def messages(self, caller: Caller, asked: Mapping[str, Any]) -> AsyncGenerator[bytes]:
        """The messages that answer ``asked``, as JSON."""


class Questions:
    """Answers in a task of its own, so that the connection goes on hearing and telling."""

    def __init__(self, answers: Answers, send: Callable[[bytes], Awaitable[None]]) -> None:
        """``send`` raises WebSocketDisconnect when nobody is there any more."""
        self._answers = answers
        self._send = send
        self._answering: asyncio.Task[None] | None = None

    def begin(self, caller: Caller, asked: Mapping[str, Any]) -> None:
        """Begin to answer ``asked``.

        Raises:
            NotAllowed: the caller may not ask.
            StillAnswering: another question is being answered.
        """
        if "chat" not in caller.scopes:
            raise NotAllowed("This needs the scope 'chat'.")
        if self._answering is not None and not self._answering.done():
            raise StillAnswering
        self._answering = asyncio.create_task(self._answer(caller, asked))

    async def end(self) -> None:
        """Stop answering, the provider included."""
        if self._answering is not None:
            self._answering.cancel()
            await asyncio.gather(self._answering, return_exceptions=True)

    async def _answer(self, caller: Caller, asked: Mapping[str, Any]) -> None:
        try:
            with reaching(caller.reach):
                async with aclosing(self._answers.messages(caller, asked)) as messages:
                    async for message in messages:
                        await self._send(message)
        except WebSocketDisconnect:
            return  # the connection ends, and this with it
        except Exception as error:  # the last wall: whoever asked is told that there is no answer
            if not isinstance(error, AppError):
                log.exception("answer_failed")
            known = error if isinstance(error, AppError) else AppError()
            await self._fail(known)

    async def _fail(self, error: AppError) -> None:
        try:
            await self._send(orjson.dumps(error_message(error, action="chat")))
        except WebSocketDisconnect:
            return


def error_message(error: AppError, *, action: str | None = None) -> dict[str, Any]:
    """What a client is told of ``error``; ``action`` says that it is the end of an answer."""
    message = {"type": "error", "code": error.code, "detail": error.detail}
    return message if action is None else {**message, "action": action}
