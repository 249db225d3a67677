"""One tenant's slow servers take a few places, and none of another's."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.infra.fetch import FetchFailed, FetchLimits
from app.ingestion.url_fetcher import AT_ONCE, FetchesBusy, UrlFetcher


class Site:
    """Answers under ``/quick``; otherwise says nothing until it is told to."""

    def __init__(self) -> None:
        self.url = ""
        self.waiting = 0
        self.all_wait = asyncio.Event()
        self.speak = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b" /quick " not in head:
            self.waiting += 1
            if self.waiting == AT_ONCE:
                self.all_wait.set()
            await self.speak.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    found = Site()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield found
        found.speak.set()


async def test_a_tenant_has_a_few_places_and_the_others_have_theirs(site: Site) -> None:
    fetcher = UrlFetcher(FetchLimits(100, 30), allow_private=True)
    asked = [
        asyncio.create_task(fetcher.fetch("ten_slow", f"{site.url}/slow"))
        for _ in range(AT_ONCE + 3)
    ]
    async with asyncio.timeout(20):
        await site.all_wait.wait()
        found = await fetcher.fetch("ten_other", f"{site.url}/quick")
        assert found.content == b"ok"
        assert site.waiting == AT_ONCE
        site.speak.set()
        assert [found.content for found in await asyncio.gather(*asked)] == [b"ok"] * len(asked)


async def test_whose_turn_does_not_come_is_told_so_and_places_come_back(site: Site) -> None:
    fetcher = UrlFetcher(FetchLimits(100, 0.3), allow_private=True)
    outcomes = await asyncio.gather(
        *(fetcher.fetch("ten_slow", f"{site.url}/slow") for _ in range(3 * AT_ONCE)),
        return_exceptions=True,
    )
    kinds = {type(outcome) for outcome in outcomes}
    assert kinds == {FetchFailed, FetchesBusy}
    assert FetchesBusy.retryable
    assert (await fetcher.fetch("ten_slow", f"{site.url}/quick")).content == b"ok"
