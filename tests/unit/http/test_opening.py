"""What is not there yet is waited for, alive; all other trouble is said at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.errors import ConfigurationError, Unavailable
from app.http import opening
from app.http.opening import Opening


class Trouble:
    """Opens after so many tries that fail, and says what was done by which task."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.done: list[str] = []
        self.tasks: set[object] = set()
        self.opened = asyncio.Event()

    @asynccontextmanager
    async def part(self) -> AsyncIterator[str]:
        self.tasks.add(asyncio.current_task())
        if self.errors:
            self.done.append("failed")
            raise self.errors.pop(0)
        self.done.append("opened")
        try:
            yield "part"
        finally:
            self.tasks.add(asyncio.current_task())
            self.done.append("closed")

    def note(self, part: str) -> None:
        self.done.append(part)
        self.opened.set()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "PAUSE_S", 0.001)


async def test_what_is_there_is_open_before_the_block_begins() -> None:
    trouble = Trouble()
    door = Opening(trouble.part)
    async with door.running(trouble.note):
        assert trouble.done == ["opened", "part"]
        assert door.missing is None
    assert trouble.done == ["opened", "part", "closed"]
    assert len(trouble.tasks) == 1


async def test_what_is_missing_is_tried_until_it_is_there() -> None:
    trouble = Trouble(*(Unavailable(f"away {number}") for number in range(3)))
    door = Opening(trouble.part)
    async with door.running(trouble.note):
        assert trouble.done == ["failed"]
        assert door.missing is not None
        assert door.missing.detail == "away 0"
        await asyncio.wait_for(trouble.opened.wait(), 10)
        assert door.missing is None
    assert trouble.done == ["failed"] * 3 + ["opened", "part", "closed"]


async def test_a_process_that_is_told_to_stop_waits_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "PAUSE_S", 1000)
    trouble = Trouble(Unavailable())
    async with asyncio.timeout(10), Opening(trouble.part).running(trouble.note):
        pass
    assert trouble.done == ["failed"]


async def test_a_try_that_does_not_end_does_not_keep_a_process_that_is_told_to_stop() -> None:
    trouble = Trouble(Unavailable())
    begun = asyncio.Event()

    @asynccontextmanager
    async def part() -> AsyncIterator[str]:
        async with trouble.part() as opened:
            begun.set()
            await asyncio.Event().wait()
            yield opened

    async with asyncio.timeout(10), Opening(part).running(trouble.note):
        await begun.wait()
    assert trouble.done == ["failed", "opened", "closed"]


async def test_what_goes_wrong_while_something_is_missing_is_tried_again() -> None:
    trouble = Trouble(Unavailable(), OSError("too many open files"))
    door = Opening(trouble.part)
    async with door.running(trouble.note):
        await asyncio.wait_for(trouble.opened.wait(), 10)
        assert door.missing is None
    assert trouble.done == ["failed", "failed", "opened", "part", "closed"]


async def test_whatever_else_is_wrong_is_raised() -> None:
    trouble = Trouble(ConfigurationError("no such model"))
    with pytest.raises(ConfigurationError, match="no such model"):
        async with Opening(trouble.part).running(trouble.note):
            pytest.fail("it began")
    assert trouble.done == ["failed"]


async def test_an_error_of_the_block_closes_what_was_opened() -> None:
    trouble = Trouble()
    with pytest.raises(ZeroDivisionError):
        async with Opening(trouble.part).running(trouble.note):
            raise ZeroDivisionError
    assert trouble.done == ["opened", "part", "closed"]
