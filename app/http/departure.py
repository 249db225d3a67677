"""Work for a client that may leave: it ends when the client does."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import Request

from app.errors import AppError

T = TypeVar("T")


class ClientLeft(AppError):
    """The client hung up before its answer was ready."""

    # Nobody reads it but the access log; the number is the one proxies log.
    status, code, title = 499, "client_left", "Client Closed Request"


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """What ``work`` returns; it is cancelled as soon as the client hangs up.

    The body must have been read: what comes after it can only be the end of the connection. The
    work runs in the caller's own task, so a generator it begins can be gone on with afterwards.

    Raises:
        ClientLeft: the client hung up first.
        Exception: whatever ``work`` raises.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    left = False

    async def watch() -> None:
        nonlocal left
        while (await request.receive())["type"] != "http.disconnect":
            pass
        left = True
        task.cancel()

    watching = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if left and task.uncancel() == 0:
            raise ClientLeft from None
        raise  # somebody else cancelled us as well
    finally:
        watching.cancel()
