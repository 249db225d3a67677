"""Events of one process heard in every other, through one Redis stream.

Events tell that something has changed; the truth stays in the database. So nothing here fails when
Redis is away: events are not published then (counted, and logged once), and listeners are told to
read the state again, as is one that listens too slowly.

Each process that listens reads the stream once, on a connection of its own, because a read waits
longer than the timeout of the shared client allows.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)
STREAM = "docent:events"
#: Events kept for those who come back; at 700 a second a quarter of a minute, usually hours.
KEPT = 10_000
#: Events a listener may be behind before it loses the oldest.
WAITING = 256
#: Entries of one read: few enough that handing them to 100 listeners takes about a millisecond.
_BATCH = 64
_PAGE = 1000
#: A read waits for so long; a Redis that says nothing for another second is frozen.
_BLOCK_S = 1.0
#: Pause before Redis is tried again, by the reader and by those who publish.
_RETRY_S = 0.5
_START = (0, 0)
_AWAY = (RedisError, OSError, TimeoutError)
Rows = Sequence[tuple[bytes, dict[bytes, bytes]]]


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """``payload`` is shared by all listeners of the process: read it, never change it."""

    id: str
    topic: str
    payload: dict[str, Any]


#: Stands where events were lost: read the state again.
LOST = Event("", "", {})


class Subscription:
    """What one listener hears: events of its tenant on its topics, oldest first."""

    def __init__(self, tenant_id: str, hub: "EventHub") -> None:
        self._tenant_id = tenant_id
        self._hub = hub
        self._waiting: deque[Event] = deque()
        self._filled = asyncio.Event()
        self._known_to: tuple[int, int] | None = None
        self.topics: set[str] = set()
        #: The stream's end when the subscription began; events after it are heard. None = unknown.
        self.began_at: str | None = None

    def add(self, topic: str) -> None:
        """Hear ``topic`` from now on."""
        self.topics.add(topic)
        self._hub.listeners.setdefault((self._tenant_id, topic), set()).add(self)

    def remove(self, topic: str) -> None:
        """Hear no more of ``topic``; what waits already is still delivered."""
        self.topics.discard(topic)
        listeners = self._hub.listeners.get((self._tenant_id, topic), set())
        listeners.discard(self)
        if not listeners:
            self._hub.listeners.pop((self._tenant_id, topic), None)

    async def take(self, timeout_s: float | None = None) -> list[Event]:
        """Everything that waits; empty when nothing came in time. Not for two tasks at once."""
        if not self._waiting:
            self._filled.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._filled.wait()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    def offer(self, event: Event) -> None:
        """Put ``event`` in line; in one that is too long, LOST takes the place of the oldest."""
        waiting = self._waiting
        if self._known_to is not None and event is not LOST:
            if (_numbers(event.id) or _START) <= self._known_to:
                return
            self._known_to = None
        if len(waiting) >= WAITING:
            waiting.popleft()
            waiting[0] = LOST
        waiting.append(event)
        self._filled.set()

    def precede(self, missed: Sequence[Event]) -> None:
        """Put ``missed`` before what waits and will come, each event once."""
        arrived = self._waiting
        self._waiting = deque(missed)
        self._known_to = max((_numbers(event.id) or _START for event in missed), default=None)
        if missed:
            self._filled.set()
        for event in arrived:
            self.offer(event)


class EventHub:
    """Publishes to everyone, and delivers to the listeners of this process."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        #: (tenant, topic) → who listens. The tenant is part of the key: nothing crosses over.
        self.listeners: dict[tuple[str, str], set[Subscription]] = {}
        #: Whether events published now would be delivered here.
        self.live = False
        #: Events that were not published because Redis was away.
        self.unpublished = 0
        self._pause_until = 0.0
        self._position = "0-0"
        self._settled = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def publish(self, tenant_id: str, topic: str, payload: dict[str, Any]) -> None:
        """Tell the tenant's listeners on ``topic``, in every process; never raises for Redis.

        While Redis is away it costs nothing but one attempt every half second.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._pause_until:
            self.unpublished += 1
            return
        entry: dict[Any, Any] = {"n": tenant_id, "t": topic, "p": orjson.dumps(payload)}
        try:
            await self._redis.xadd(STREAM, entry, maxlen=KEPT, approximate=True)
        except _AWAY as error:
            if self._pause_until == 0:
                log.warning("events_not_published", error=type(error).__name__)
            self._pause_until = loop.time() + _RETRY_S
            self.unpublished += 1
        else:
            self._pause_until = 0.0

    @asynccontextmanager
    async def subscribe(
        self, tenant_id: str, topics: Collection[str], after: str | None = None
    ) -> AsyncIterator[Subscription]:
        """Hear the tenant's events on ``topics`` until the context ends.

        ``after`` is the id of the last event the listener knows: what it missed since comes first,
        without a gap or a repetition; where that cannot be had, :data:`LOST` comes first.
        """
        subscription = Subscription(tenant_id, self)
        await self._started()
        subscription.began_at = self._position if self.live else None
        for topic in topics:
            subscription.add(topic)
        try:
            if after is not None:
                subscription.precede(await self._missed(tenant_id, topics, after))
            yield subscription
        finally:
            for topic in tuple(subscription.topics):
                subscription.remove(topic)

    def count(self, tenant_id: str, topic: str) -> int:
        """How many listen to ``topic`` in this process."""
        return len(self.listeners.get((tenant_id, topic), ()))

    async def close(self) -> None:
        """End the reader."""
        # Once is not always enough: asyncio.wait_for, through which redis-py sends, swallows a
        # cancellation that comes together with its result (Python 3.11).
        while self._reader is not None and not self._reader.done():
            self._reader.cancel()
            await asyncio.wait({self._reader}, timeout=0.05)

    async def _started(self) -> None:
        if self._reader is None:
            self._reader = asyncio.create_task(self._read_for_ever())
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_S):
                await self._settled.wait()

    async def _missed(self, tenant_id: str, topics: Collection[str], after: str) -> Sequence[Event]:
        """The events since ``after``, oldest first, behind a LOST when some are gone."""
        last = _numbers(after)
        if last is None:
            return [LOST]
        wanted = {topic.encode() for topic in topics}
        found: list[Event] = []
        try:
            oldest = _rows(await self._redis.xrange(STREAM, count=1))
            if not oldest or (_numbers(oldest[0][0].decode()) or _START) > last:
                found.append(LOST)
            rows = _rows(await self._redis.xrange(STREAM, f"({after}", count=_PAGE))
            while rows:
                found += [
                    _event(name, entry)
                    for name, entry in rows
                    if entry[b"n"] == tenant_id.encode() and entry[b"t"] in wanted
                ]
                rows = _rows(await self._redis.xrange(STREAM, b"(" + rows[-1][0], count=_PAGE))
        except _AWAY:
            return [LOST]
        return found

    async def _read_for_ever(self) -> None:
        while True:
            try:
                async with _patient(self._redis) as client:
                    await self._read(client)
            except _AWAY as error:
                if self.live or not self._settled.is_set():
                    log.warning("events_not_heard", error=type(error).__name__)
                self.live = False
                self._settled.set()
                self._tell_all_they_lost()
                await asyncio.sleep(_RETRY_S)

    async def _read(self, client: Redis) -> None:
        newest = _rows(await client.xrevrange(STREAM, count=1))
        end = newest[0][0].decode() if newest else "0-0"
        first = not self._settled.is_set()
        if first or (_numbers(end) or _START) < (_numbers(self._position) or _START):
            self._position = end  # we begin, or the stream was begun anew
        self.live = True
        self._settled.set()
        if not first:
            self._tell_all_they_lost()  # what could not be published meanwhile
        while True:
            answer: Any = await client.xread(
                {STREAM: self._position}, count=_BATCH, block=int(_BLOCK_S * 1000)
            )
            if isinstance(answer, dict):  # as the newer version of the protocol has it
                answer = list(answer.items())
            rows = _rows(answer[0][1] if answer else None)
            for name, entry in rows:
                self._deliver(name, entry)
            if rows:
                self._position = rows[-1][0].decode()
                await asyncio.sleep(0)  # let the listeners have their turn

    def _deliver(self, name: bytes, entry: dict[bytes, bytes]) -> None:
        listeners = self.listeners.get((entry[b"n"].decode(), entry[b"t"].decode()))
        if listeners:
            event = _event(name, entry)
            for listener in listeners:
                listener.offer(event)

    def _tell_all_they_lost(self) -> None:
        for listener in {found for listeners in self.listeners.values() for found in listeners}:
            listener.offer(LOST)


def _event(name: bytes, entry: dict[bytes, bytes]) -> Event:
    return Event(name.decode(), entry[b"t"].decode(), orjson.loads(entry[b"p"]))


def _numbers(name: str) -> tuple[int, int] | None:
    """A stream id as numbers that compare; None when it is none."""
    time_ms, _, sequence = name.partition("-")
    for part in (time_ms, sequence):
        if not (part.isascii() and part.isdigit() and len(part) <= 19):  # noqa: PLR2004 - 64 bits
            return None
    return int(time_ms), int(sequence)


def _rows(answer: Any) -> Rows:  # noqa: ANN401 - redis-py's type covers every setting at once
    """Entries of the stream as they are without decoding."""
    return answer or ()


@asynccontextmanager
async def _patient(redis: Redis) -> AsyncIterator[Redis]:
    """A client to the same server as ``redis`` whose reads may take as long as a blocking one."""
    shared = redis.connection_pool
    settings = {**shared.connection_kwargs, "socket_timeout": _BLOCK_S + 1}
    pool = ConnectionPool(connection_class=shared.connection_class, **settings)
    client = Redis.from_pool(pool)
    try:
        yield client
    finally:
        await client.aclose()
