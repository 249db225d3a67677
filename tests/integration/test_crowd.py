"""So many questions of a tenant at once and no more, over all workers, whoever dies."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from app.infra.redis import Guarded, open_redis
from app.infra.redis_line import open_line
from app.infra.servers import ServerUrls
from app.limits import crowd as module
from app.limits.crowd import Crowd, Place
from app.limits.rates import RateLimited
from tests.integration.redis_door import RedisDoor


@pytest.fixture
async def fleet(servers: ServerUrls) -> AsyncIterator[list[Crowd]]:
    """Four workers."""
    async with AsyncExitStack() as stack:
        crowds = []
        for _ in range(4):
            client = await stack.enter_async_context(open_redis(servers.redis_url, timeout_s=10))
            line = await stack.enter_async_context(open_line(client))
            crowds.append(Crowd(Guarded(line), at_once=7, workers=4))
        yield crowds


@pytest.fixture
def tenant_id() -> str:
    return uuid.uuid4().hex


async def test_as_many_as_there_are_places_get_one(fleet: list[Crowd], tenant_id: str) -> None:
    over, inside = asyncio.Event(), 0

    async def ask(number: int) -> bool:
        nonlocal inside
        try:
            async with fleet[number % 4].place(tenant_id):
                inside += 1
                await over.wait()
        except RateLimited:
            return False
        return True

    asking = [asyncio.create_task(ask(number)) for number in range(200)]
    refused = 0
    for done in asyncio.as_completed(asking):
        refused += not await done
        if refused == 193:
            assert inside == 7
            over.set()
    assert sum([task.result() for task in asking]) == 7
    await asyncio.gather(*(crowd.emptied() for crowd in fleet))
    async with AsyncExitStack() as stack:
        for number in range(7):
            await stack.enter_async_context(fleet[number % 4].place(tenant_id))
        with pytest.raises(RateLimited):
            await stack.enter_async_context(fleet[0].place(tenant_id))
        await stack.enter_async_context(fleet[0].place("another tenant"))


async def test_whoever_is_cancelled_leaves(fleet: list[Crowd], tenant_id: str) -> None:
    async def ask() -> None:
        async with fleet[0].place(tenant_id):
            asked.set()
            await asyncio.Event().wait()

    for _ in range(20):
        asked = asyncio.Event()
        task = asyncio.create_task(ask())
        await asked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await fleet[0].emptied()
    async with AsyncExitStack() as stack:
        for _ in range(7):
            await stack.enter_async_context(fleet[1].place(tenant_id))
        with pytest.raises(RateLimited):  # nobody has more places than there are
            await stack.enter_async_context(fleet[1].place(tenant_id))


async def test_whoever_is_cancelled_while_it_enters_has_no_place(
    fleet: list[Crowd], tenant_id: str
) -> None:
    async with fleet[0].place(tenant_id):
        pass  # the line is there, and the script
    for turns in range(4):  # from before the question is sent to after
        for _ in range(7):
            entering = asyncio.create_task(fleet[0].enter(tenant_id))
            for _ in range(turns):
                await asyncio.sleep(0)
            entering.cancel()
            (entered,) = await asyncio.gather(entering, return_exceptions=True)
            if isinstance(entered, Place):  # a quick Redis: it was in before it was cancelled
                fleet[0].leave(entered)
        await fleet[0].emptied()
        async with AsyncExitStack() as stack:
            for _ in range(7):
                await stack.enter_async_context(fleet[1].place(tenant_id))
        await fleet[1].emptied()


async def test_places_of_the_dead_are_free_again_and_those_of_the_living_are_not(
    fleet: list[Crowd], tenant_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_MS", 400)
    monkeypatch.setattr(module, "_RENEWED_S", 0.1)
    keeping = asyncio.create_task(fleet[0].keep_places())
    async with AsyncExitStack() as alive, AsyncExitStack() as dead:
        for _ in range(3):
            await alive.enter_async_context(fleet[0].place(tenant_id))
        for _ in range(4):
            await dead.enter_async_context(fleet[1].place(tenant_id))  # which nobody renews
        taken = 0
        async with asyncio.timeout(30):
            while taken < 4:
                try:
                    await alive.enter_async_context(fleet[0].place(tenant_id))
                    taken += 1
                except RateLimited:
                    await asyncio.sleep(0.02)
        with pytest.raises(RateLimited):
            await alive.enter_async_context(fleet[2].place(tenant_id))
    keeping.cancel()


async def test_a_worker_gives_a_few_away_by_itself_and_all_together_no_more_than_there_are(
    servers: ServerUrls, tenant_id: str
) -> None:
    async with (
        open_redis(servers.redis_url, timeout_s=10) as client,
        open_line(client) as line,
        AsyncExitStack() as stack,
    ):
        first, second = (Crowd(Guarded(line), at_once=64, workers=2) for _ in range(2))
        for crowd in (first, second):
            for _ in range(2):
                await stack.enter_async_context(crowd.place(tenant_id))
        assert await line.exists(f"under_way:{tenant_id}") == 0, "Redis was not told"
        for _ in range(60):  # whichever worker is asked
            await stack.enter_async_context(first.place(tenant_id))
        for crowd in (first, second):
            with pytest.raises(RateLimited, match="64 questions"):
                await stack.enter_async_context(crowd.place(tenant_id))
        assert await line.zcard(f"under_way:{tenant_id}") == 60
        await stack.aclose()
        await asyncio.gather(first.emptied(), second.emptied())
        assert await line.exists(f"under_way:{tenant_id}") == 0
        assert first._here == second._here == {}, "nothing is kept for who has left"


async def test_without_redis_each_worker_has_its_share(servers: ServerUrls, tenant_id: str) -> None:
    door = RedisDoor(servers.redis_url)
    await door.open()
    async with open_redis(door.url, timeout_s=5) as client, open_line(client) as line:
        crowd = Crowd(Guarded(line), at_once=8, workers=4)
        await door.close()
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(crowd.place(tenant_id))
            with pytest.raises(RateLimited):
                await stack.enter_async_context(crowd.place(tenant_id))
        async with crowd.place(tenant_id):
            pass
        await crowd.emptied()
