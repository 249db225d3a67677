"""Events reach their tenant's listeners in every process, in order, once; and never anyone else."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from app.infra import events
from app.infra.embedded.servers import ServerUrls
from app.infra.events import LOST, Event, EventHub, Subscription
from app.infra.redis import open_redis


@asynccontextmanager
async def hub_on(url: str) -> AsyncIterator[EventHub]:
    async with open_redis(url, timeout_s=0.2) as client:
        hub = EventHub(client)
        try:
            yield hub
        finally:
            await hub.close()


@pytest.fixture
async def hubs(servers: ServerUrls) -> AsyncIterator[tuple[EventHub, EventHub]]:
    """Two processes' hubs on one Redis."""
    async with hub_on(servers.redis_url) as one, hub_on(servers.redis_url) as two:
        yield one, two


@pytest.fixture
def tenant() -> str:
    """Redis is shared by the session."""
    return f"ten_{uuid.uuid4().hex}"


async def heard(subscription: Subscription, count: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await subscription.take(10)
    assert len(found) == count
    return found


def numbers(found: list[Event]) -> list[int]:
    return [event.payload["n"] for event in found]


async def test_events_reach_every_listener_in_order(
    hubs: tuple[EventHub, EventHub], tenant: str
) -> None:
    one, two = hubs
    async with (
        one.subscribe(tenant, ["doc_a"]) as first,
        two.subscribe(tenant, ["doc_a", "doc_b"]) as second,
    ):
        for number in range(10):
            await one.publish(tenant, "doc_a", {"n": number})
        await two.publish(tenant, "doc_b", {"n": 10})
        assert numbers(await heard(first, 10)) == list(range(10))
        assert numbers(found := await heard(second, 11)) == list(range(11))
        assert found[-1].topic == "doc_b"
        assert await first.take(0.01) == []
    assert one.count(tenant, "doc_a") == 0
    assert not [key for key in two.listeners if key[0] == tenant]


async def test_another_tenants_events_are_never_delivered(
    hubs: tuple[EventHub, EventHub], tenant: str
) -> None:
    one, two = hubs
    async with two.subscribe(tenant, ["doc_a"], after="0-0") as mine:
        await mine.take(0.01)  # the LOST of an id that is older than the stream
        await one.publish(f"{tenant}x", "doc_a", {"n": 1})
        await one.publish(tenant, "doc_ab", {"n": 2})
        await one.publish(tenant, "doc_a", {"n": 3})
        assert numbers(await heard(mine, 1)) == [3]
    async with two.subscribe(tenant, ["doc_a"], after=mine.began_at) as again:
        assert numbers(await heard(again, 1)) == [3]


async def test_topics_come_and_go(hubs: tuple[EventHub, EventHub], tenant: str) -> None:
    hub, _ = hubs
    async with hub.subscribe(tenant, ["doc_a"]) as subscription:
        subscription.add("doc_b")
        subscription.remove("doc_a")
        subscription.remove("doc_never")
        await hub.publish(tenant, "doc_a", {"n": 1})
        await hub.publish(tenant, "doc_b", {"n": 2})
        assert numbers(await heard(subscription, 1)) == [2]


async def test_who_comes_back_gets_what_it_missed_once(
    hubs: tuple[EventHub, EventHub], tenant: str
) -> None:
    """Events go on being published while the listener comes back: no gap and no repetition."""
    one, two = hubs
    async with two.subscribe(tenant, ["doc_a"]) as first:
        for number in range(5):
            await one.publish(tenant, "doc_a", {"n": number})
        seen = await heard(first, 5)

    async def publish_more() -> None:
        for number in range(5, 205):
            await one.publish(tenant, "doc_a", {"n": number})

    publishing = asyncio.create_task(publish_more())
    found: list[int] = []
    for _ in range(20):
        async with two.subscribe(tenant, ["doc_a"], after=seen[-1].id) as back:
            seen = await back.take(5) or seen
            assert LOST not in seen
            found += numbers(seen)
        if found[-1] == 204:
            break
    async with two.subscribe(tenant, ["doc_a"], after=seen[-1].id) as back:
        await publishing
        while found[-1] != 204:
            found += numbers(await back.take(5))
    assert found == list(range(5, 205))


@pytest.mark.parametrize(
    "after", ["", "x", "-", "1-", "1-2-3", "9" * 99, "\u0661-\u0662", "$", "1-x\r\nDEL"]
)
async def test_an_id_that_is_none_means_the_state_must_be_read(
    hubs: tuple[EventHub, EventHub], tenant: str, after: str
) -> None:
    async with hubs[0].subscribe(tenant, ["doc_a"], after=after) as subscription:
        assert await subscription.take(5) == [LOST]


async def test_events_that_are_no_longer_kept_are_said_to_be_lost(
    hubs: tuple[EventHub, EventHub], tenant: str
) -> None:
    hub, _ = hubs
    await hub.publish(tenant, "doc_a", {"n": 1})
    async with hub.subscribe(tenant, ["doc_a"], after="1-1") as subscription:
        found = await heard(subscription, 2)
    assert found[0] is LOST
    assert numbers(found[1:]) == [1]


async def test_a_slow_listener_loses_the_oldest_and_holds_nobody_up(
    hubs: tuple[EventHub, EventHub], tenant: str
) -> None:
    hub, _ = hubs
    total = events.WAITING + 50
    async with (
        hub.subscribe(tenant, ["doc_a"]) as slow,
        hub.subscribe(tenant, ["doc_a"]) as quick,
    ):
        found: list[Event] = []
        for number in range(total):
            await hub.publish(tenant, "doc_a", {"n": number})
            found += await quick.take(5)
        while len(found) < total:
            found += await quick.take(5)
        assert numbers(found) == list(range(total))
        late = await slow.take(5)
    assert late[0] is LOST
    assert len(late) <= events.WAITING
    assert numbers(late[1:]) == list(range(total - len(late) + 1, total))


class Server:
    """A Redis that dies and comes back: a port that is passed on or not."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.frozen = False

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    def freeze(self) -> None:
        """Take what is sent and say nothing more."""
        self.frozen = True

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection(self.target.removeprefix("unix://"))
        self._open |= {writer, there[1]}
        await asyncio.gather(self._pump(reader, there[1]), self._pump(there[0], writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                if not self.frozen:
                    writer.write(data)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


async def test_a_frozen_redis_is_noticed(servers: ServerUrls, tenant: str) -> None:
    server = Server(servers.redis_url)
    await server.start()
    async with (
        hub_on(f"redis://127.0.0.1:{server.port}") as hub,
        hub.subscribe(tenant, ["doc_a"]) as subscription,
    ):
        assert hub.live
        server.freeze()
        began = asyncio.get_running_loop().time()
        await hub.publish(tenant, "doc_a", {"n": 1})
        assert asyncio.get_running_loop().time() - began < 1
        assert hub.unpublished == 1
        assert await subscription.take(5) == [LOST]
        assert not hub.live
    await server.stop()


async def test_without_redis_nothing_fails_and_when_it_is_back_all_is_well(
    servers: ServerUrls, tenant: str
) -> None:
    server = Server(servers.redis_url)
    await server.start()
    async with hub_on(f"redis://127.0.0.1:{server.port}") as hub:  # noqa: SIM117
        async with hub.subscribe(tenant, ["doc_a"]) as subscription:
            assert hub.live
            await hub.publish(tenant, "doc_a", {"n": 1})
            assert numbers(await heard(subscription, 1)) == [1]
            with capture_logs() as logs:
                await server.stop()
                assert await subscription.take(5) == [LOST]
                assert not hub.live
                began = asyncio.get_running_loop().time()
                for _ in range(1000):
                    await hub.publish(tenant, "doc_a", {"n": 2})
                assert asyncio.get_running_loop().time() - began < 2
                assert hub.unpublished == 1000
                assert [line["event"] for line in logs].count("events_not_published") == 1
            async with hub.subscribe(tenant, ["doc_a"], after="1-1") as late:
                assert late.began_at is None
                assert await late.take(5) == [LOST]
            await server.start()
            async with asyncio.timeout(10):
                while LOST not in await subscription.take(0.1) or not hub.live:
                    pass
                while not (found := await subscription.take(0.1)):
                    await hub.publish(tenant, "doc_a", {"n": 3})
            assert set(numbers(found)) == {3}
    await server.stop()


async def test_a_stream_that_was_begun_anew_is_followed(
    servers: ServerUrls, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after FLUSHALL on a server whose clock was set back: the new ids are below the old."""
    monkeypatch.setattr(events, "STREAM", f"docent:test:{tenant}")
    server = Server(servers.redis_url)
    await server.start()
    direct = redis.asyncio.Redis.from_url(servers.redis_url)
    async with aclosing(direct), hub_on(f"redis://127.0.0.1:{server.port}") as hub:
        await direct.xadd(events.STREAM, {"n": tenant, "t": "doc_a", "p": "{}"}, id="9999999999999")
        async with hub.subscribe(tenant, ["doc_a"]) as subscription:
            assert subscription.began_at == "9999999999999-0"
            await direct.delete(events.STREAM)
            await server.stop()
            await server.start()
            async with asyncio.timeout(10):
                assert set(await subscription.take(10)) == {LOST}
                while not hub.live:
                    await subscription.take(0.1)
                while not [e for e in await subscription.take(0.1) if e is not LOST]:
                    await hub.publish(tenant, "doc_a", {"n": 1})
    await server.stop()
