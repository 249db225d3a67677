"""Work ends with its client, and with nothing else."""

import asyncio

import pytest
from starlette.requests import Request

from app.http.departure import ClientLeft, unless_gone


class Line:
    """A connection whose client leaves when told to."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()

    async def receive(self) -> dict[str, str]:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    @property
    def request(self) -> Request:
        return Request({"type": "http"}, self.receive)


async def test_work_that_ends_is_returned() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await unless_gone(Line().request, work()) == 7


async def test_an_error_of_the_work_is_raised() -> None:
    async def work() -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        await unless_gone(Line().request, work())


async def test_work_is_stopped_when_the_client_leaves() -> None:
    line, stopped = Line(), asyncio.Event()

    async def work() -> None:
        line.leaves.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with pytest.raises(ClientLeft):
        await unless_gone(line.request, work())
    assert stopped.is_set()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    line = Line()
    task = asyncio.create_task(unless_gone(line.request, asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
