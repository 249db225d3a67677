"""A Redis that is full: what was said and what was counted stays, cached answers make room."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError
from structlog.testing import capture_logs

from app.auth.caller import Caller
from app.chat.answer import Answer, Question, Timings
from app.chat.cache import AnswerCache
from app.chat.events import Answered, Begun, ChatEvent
from app.chat.memory import Memory
from app.chat.memory_sweep import forgetting_lapsed
from app.chat.turn import Cite, Turn
from app.infra.embedded.redis import CONFIGURATION
from app.infra.metrics import Metrics
from app.infra.redis import Entry, Guarded, open_redis
from app.infra.redis_line import open_line
from app.limits.crowd import Crowd
from app.limits.logins import LoginLimits
from app.limits.rates import Limit, RateLimited, RateLimiter, Subject
from app.llm.completion import Usage
from app.retrieval.cited import KEPT_S
from app.retrieval.search import Retrieved
from app.settings import Settings
from tests.conftest import FreshDatabase
from tests.fakes import Recorder
from tests.integration.budget_parts import own_redis
from tests.integration.workshop import Workshop, open_workshop, write_book

SESSIONS, TURNS = 40, 5
ANSWER = Answer(
    "", "", "10 MB [1]. " * 1000, "complete", None, (), "p", "m", Usage(), (),
    Timings(0, 0, None, 0, 0),
)  # fmt: skip
LIMITS = [Limit("key", "key", 5, 3600), Limit("day", "tenant", 1000, 86_400)]
SOMEBODY = Subject("192.0.2.1", "key_1", "ten_1", "chat")


@pytest.fixture
async def shop(database: FreshDatabase, request: pytest.FixtureRequest) -> AsyncIterator[Workshop]:
    async with open_workshop(database, request.node.name) as shop:
        yield shop


@dataclass
class Desk:
    """What lives in a Redis of its own, as one process has it."""

    redis: Redis
    shop: Workshop
    guarded: Guarded
    told: Recorder

    def __post_init__(self) -> None:
        self.memory = Memory(self.guarded, self.shop.pool)
        self.cache = AnswerCache(self.guarded, ttl_s=3600)
        self.limiter = RateLimiter(self.guarded, LIMITS, workers=4)
        settings = Settings(_env_file=None, login_failures_per_minute_per_ip=3)
        self.logins = LoginLimits(self.guarded, settings)
        self.crowd = Crowd(self.guarded, at_once=2, workers=4)
        self.ada = Caller(self.shop.tenant_id, "key_ada", frozenset({"chat"}))

    async def ask(self, text: str) -> Answer:
        """The cached answer, or one that is made now and is the right one for nothing."""
        key = self.cache.key(self.ada, Question(text, "ses_1", 5))
        assert key is not None

        async def made() -> AsyncIterator[ChatEvent]:
            yield Begun("", "", Retrieved((), 0, 0))
            yield Answered(replace(ANSWER, standalone=text))

        events = [event async for event in self.cache.answered(key, text, made)]
        assert isinstance(events[-1], Answered)
        return events[-1].answer


@pytest.fixture
async def desk(shop: Workshop, tmp_path: Path) -> AsyncIterator[Desk]:
    with own_redis(tmp_path) as (url, _):
        async with open_redis(url, timeout_s=10) as redis, open_line(redis) as line:
            await redis.config_set("maxmemory-policy", CONFIGURATION["maxmemory-policy"])
            told = Recorder()
            yield Desk(redis, shop, Guarded(line, metrics=Metrics(told)), told)


def turn(number: int, *documents: str) -> Turn:
    cites = tuple(Cite(i, doc, 1, 1, "Guide") for i, doc in enumerate(documents, start=1))
    question = f"Question {number}?"
    at = datetime.now(UTC)
    return Turn(f"ans_{number}", question, question, "10 MB [1].", "complete", cites, at)


async def a_document(shop: Workshop, folder: Path) -> str:
    [one] = await shop.ingest(write_book(folder / "full.pdf"))
    assert one.document_id is not None
    return one.document_id


async def test_cached_answers_make_room_for_what_was_said_and_counted(
    desk: Desk, tmp_path: Path
) -> None:
    document_id = await a_document(desk.shop, tmp_path)
    said: dict[str, list[Turn]] = {f"ses_{number}": [] for number in range(SESSIONS)}
    for number, session in enumerate(list(said) * TURNS):
        one = turn(number, document_id)
        said[session].append(one)
        await desk.memory.remember(desk.ada, session, one, [Entry(f"quoted:{number}", b"[]", 99)])
    for _ in range(4):
        await desk.limiter.take(SOMEBODY)
    await desk.logins.take("192.0.2.1", "a@example.com")
    async with desk.crowd.place("ten_1"):
        before_bytes = (await desk.redis.info("memory"))["used_memory"]
        await desk.redis.config_set("maxmemory", before_bytes + 500_000)
        # A stream of questions that outdoes everything else, ten times what there is room for.
        for number in range(500):
            assert (await desk.ask(f"Of what size is file {number}?")).cached is None
        stats = await desk.redis.info("stats")
        assert stats["evicted_keys"] > 300
        assert (await desk.ask("Of what size is file 499?")).cached == "exact"
        assert (await desk.ask("Of what size is file 0?")).cached is None
        async with desk.crowd.place("ten_1"):
            with pytest.raises(RateLimited):
                await desk.crowd.place("ten_1").__aenter__()
    for session, turns in said.items():
        assert list(await desk.memory.read(desk.ada, session)) == turns
    listed, _ = await desk.memory.sessions(desk.ada, after=None, limit=SESSIONS)
    assert {(one.id, one.turns) for one in listed} == {(session, TURNS) for session in said}
    counted = await desk.limiter.take(SOMEBODY)
    assert [use.used for use in counted.uses] == [5, 5]
    assert (await desk.limiter.take(SOMEBODY)).refused_by is not None
    for _ in range(2):
        await desk.logins.take("192.0.2.1", "b@example.com")
    with pytest.raises(RateLimited):
        await desk.logins.take("192.0.2.1", "b@example.com")
    assert await desk.memory.forget_document(desk.shop.tenant_id, document_id) == SESSIONS * TURNS
    assert desk.told.seen == [], "nothing went on without Redis"


@pytest.fixture
async def full(desk: Desk, tmp_path: Path) -> tuple[Desk, str, Turn]:
    """A desk whose Redis takes nothing more, a document, and the turn that cites it."""
    document_id = await a_document(desk.shop, tmp_path)
    before = turn(1, document_id)
    await desk.memory.remember(desk.ada, "ses_1", before)
    await desk.limiter.take(SOMEBODY)
    await desk.redis.config_set("maxmemory", "1")
    with pytest.raises(OutOfMemoryError):
        await desk.redis.set("anything", "else")
    await desk.redis.script_flush()
    return desk, document_id, before


async def test_full_of_what_stays_it_keeps_no_more_and_shows_what_it_has(
    full: tuple[Desk, str, Turn],
) -> None:
    desk, document_id, before = full
    for expected in (None, "exact"):  # by the worker for itself
        assert (await desk.ask("Of what size is a file?")).cached == expected
    entry = Entry("quoted:full", b"[]", KEPT_S)
    await desk.memory.remember(desk.ada, "ses_1", turn(2, document_id), [entry])
    await desk.memory.remember(desk.ada, "ses_2", turn(3), [entry])
    assert await desk.redis.keys("quoted:full") == []
    assert await desk.memory.recall(desk.ada, "ses_1") == (before,)
    sessions, _ = await desk.memory.sessions(desk.ada, after=None, limit=9)
    assert [session.id for session in sessions] == ["ses_1"]
    labels = {labels for _, labels, _ in desk.told.seen}
    assert ("full",) in labels
    assert not {("failed",), ("skipped",)} & labels, "it is not taken for one that is away"


async def test_full_of_what_stays_it_goes_on_counting(full: tuple[Desk, str, Turn]) -> None:
    desk, _, _ = full
    path = desk.redis.connection_pool.connection_kwargs["path"]
    async with open_redis(f"unix://{path}", timeout_s=5) as client:
        other = RateLimiter(Guarded(client), LIMITS, workers=4)
        granted = [
            (await limiter.take(SOMEBODY)).refused_by is None
            for limiter in (desk.limiter, other) * 4
        ]
    assert granted == [True] * 4 + [False] * 4, "together, from where they were"
    for _ in range(3):
        await desk.logins.take("192.0.2.1", "a@example.com")
    with pytest.raises(RateLimited):
        await desk.logins.take("192.0.2.1", "a@example.com")
    await desk.logins.give_back("192.0.2.1", "a@example.com")
    await desk.logins.take("192.0.2.1", "a@example.com")
    async with desk.crowd.place("ten_1"), desk.crowd.place("ten_1"):
        with pytest.raises(RateLimited):
            await desk.crowd.place("ten_1").__aenter__()


async def test_full_of_what_stays_it_forgets(full: tuple[Desk, str, Turn]) -> None:
    desk, document_id, _ = full
    assert await desk.memory.forget_document(desk.shop.tenant_id, document_id) == 1
    [kept] = await desk.redis.lrange(f"turns:{desk.ada.tenant_id}:{desk.ada.id}:ses_1", 0, -1)
    assert b"10 MB" not in kept
    await desk.memory.forget(desk.ada, "ses_1")
    assert await desk.memory.recall(desk.ada, "ses_1") == ()
    await desk.memory.admit_document(desk.shop.tenant_id, document_id)
    assert await desk.redis.keys("gone:*") == []


@pytest.mark.parametrize(("policy", "warned"), [("allkeys-lru", True), ("volatile-lru", False)])
async def test_one_that_evicts_anything_is_told_of(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, policy: str, warned: bool
) -> None:
    looked = asyncio.Event()
    monkeypatch.setattr("app.chat.memory_sweep.asyncio.sleep", lambda _: _until(looked))
    await desk.redis.config_set("maxmemory-policy", policy)
    with capture_logs() as logs:
        async with forgetting_lapsed(desk.guarded), asyncio.timeout(10):
            await looked.wait()
    assert [(log["event"], log["policy"]) for log in logs] == [
        ("redis_evicts_anything", policy)
    ] * warned


async def _until(looked: asyncio.Event) -> None:
    looked.set()
    await asyncio.Event().wait()


async def test_strangers_with_many_addresses_do_not_fill_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.limits.rates.MOST_WINDOWS", 50)
    minute, day = Limit("minute", "ip", 2, 60), Limit("day", "tenant", 5, 86_400)
    limiter = RateLimiter(desk.guarded, [minute, day], workers=1)
    for number in range(200):
        await limiter.take(Subject(f"address {number}", None, "ten_1" if number < 3 else None))
    assert await desk.redis.zcard("rates:ends") == await desk.redis.hlen("rates:uses") == 50
    seen = await limiter.take(Subject("address 199", None, "ten_1"))
    assert [use.used for use in seen.uses] == [2, 4], "what ends first goes first"
