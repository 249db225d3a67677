"""A process whose database is away when it starts: it lives, says so, and opens when it is back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Generic, TypeVar

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import Unavailable
from app.http.probes import Probes
from app.http.problems import problem_response

log = structlog.get_logger(__name__)
T = TypeVar("T")
#: Between two tries; each of them waits for the database itself.
PAUSE_S = 0.5
#: "Try again later" of a WebSocket.
_LATER = 1013


class Opening(Generic[T]):
    """What a process keeps for its whole life: opened at its start, or as soon as it can be."""

    def __init__(self, opener: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._opener = opener
        #: What is waited for; None once all is open.
        self.missing: Unavailable | None = None

    @asynccontextmanager
    async def running(self, opened: Callable[[T], None]) -> AsyncIterator[None]:
        """Open, telling ``opened`` when it is done, and close at the end of the block.

        The block begins after the first try, whether that succeeded or found something missing;
        what else goes wrong is raised.
        """
        tried, over = asyncio.Event(), asyncio.Event()
        # One task opens and closes: scopes of cancellation may not cross from one to another.
        life = asyncio.create_task(self._live(opened, tried, over))
        life.add_done_callback(lambda _: tried.set())
        try:
            await tried.wait()
            if life.done():
                await life
            yield
        finally:
            over.set()
            if self.missing is not None:  # it opens nothing any more
                life.cancel()
            await asyncio.wait({life})
            if not life.cancelled():
                life.result()

    def _note(self, error: Exception) -> None:
        """Wait on, or raise what is wrong at the first try; later it may be of the outage too."""
        if isinstance(error, Unavailable):
            if self.missing is None:
                log.warning("waiting_to_open", detail=error.detail)
            self.missing = error
        elif self.missing is None:
            raise error
        else:
            log.error("not_opened", exc_info=error)

    async def _live(
        self, opened: Callable[[T], None], tried: asyncio.Event, over: asyncio.Event
    ) -> None:
        while not over.is_set():
            try:
                async with self._opener() as part:
                    opened(part)
                    self.missing = None
                    tried.set()
                    await over.wait()
            except Exception as error:  # noqa: BLE001 - looked at there
                self._note(error)
                tried.set()
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), PAUSE_S)


class WaitingRoom:
    """Answers in place of an application that is not open yet: its probes, and 503 to all else."""

    def __init__(
        self, app: ASGIApp, *, missing: Callable[[], Unavailable | None], probes: Probes
    ) -> None:
        self._app, self._missing, self._probes = app, missing, probes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or answer it."""
        missing = self._missing()
        if missing is None or scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _LATER})
        elif (probe := self._probes.at(scope["path"])) is not None:
            await (await probe())(scope, receive, send)
        else:
            await problem_response(missing, scope)(scope, receive, send)
