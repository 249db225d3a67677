"""What the cache keeps of questions in Redis, for others in other words."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from app.auth.caller import Caller
from app.chat import cache as cache_module
from app.chat.answer import Answer, Question, Timings
from app.chat.cache import AnswerCache
from app.chat.events import Answered, Begun, ChatEvent
from app.chat.neighbours import Neighbours
from app.errors import Unavailable
from app.infra.ids import new_id
from app.infra.redis import Guarded, open_redis
from app.llm.completion import Usage
from app.retrieval.embedding import Vector
from app.retrieval.search import Retrieved
from tests.conftest import FreshDatabase
from tests.fakes import CountingEmbedder

FIRST = "What is the maximum file size?"
OTHER = "What is the maximum size of a file?"
ANSWER = Answer(
    "", "", "10 MB [1].", "complete", None, (), "p", "m", Usage(), (), Timings(0, 0, None, 0, 0),
    standalone=FIRST,
)  # fmt: skip


@dataclass
class Desk:
    """A cache, and a tenant of its own."""

    cache: AnswerCache
    redis: Guarded
    caller: Caller = field(
        default_factory=lambda: Caller(new_id("ten"), "key_1", frozenset({"chat"}))
    )

    async def ask(self, text: str, answer: Answer = ANSWER, **caller: int) -> Answer:
        """The answer from the cache, or ``answer``, as made for ``text``."""
        question = Question(text, "ses_1", 5)
        key = self.cache.key(replace(self.caller, **caller), question)
        assert key is not None

        async def made() -> AsyncIterator[ChatEvent]:
            yield Begun("", "", Retrieved((), 0, 0))
            yield Answered(replace(answer, standalone=text))

        events = [event async for event in self.cache.answered(key, text, made)]
        assert isinstance(events[-1], Answered)
        return events[-1].answer

    async def rows(self) -> list[tuple[int, int]]:
        """Length and time to live in seconds of what is kept for neighbours."""
        pattern = f"cached:{self.caller.tenant_id}:*:near"
        keys = await self.redis.run(lambda redis: redis.keys(pattern))
        return [
            (
                await self.redis.run(lambda redis, key=key: redis.strlen(key)),
                await self.redis.run(lambda redis, key=key: redis.ttl(key)),
            )
            for key in keys
        ]


@pytest.fixture
async def desk(database: FreshDatabase) -> AsyncIterator[Desk]:
    async with open_redis(database.redis_url, timeout_s=5) as redis:
        guarded = Guarded(redis)
        neighbours = Neighbours(CountingEmbedder(), threshold=0.6)
        yield Desk(AnswerCache(guarded, ttl_s=60, neighbours=neighbours), guarded)


async def test_who_answers_now_is_not_told_what_another_answered(desk: Desk) -> None:
    """A key is given after a first try without one, or the product is upgraded."""
    assert (await desk.ask(FIRST)).cached is None

    def by(*makers: str) -> Desk:
        cache = AnswerCache(desk.redis, ttl_s=60, made_by=makers, neighbours=desk.cache._neighbours)
        return Desk(cache, desk.redis, desk.caller)

    assert (await by("groq:llama").ask(OTHER)).cached is None
    assert (await by("groq:llama").ask(FIRST)).cached == "semantic"
    assert (await by().ask(FIRST)).cached == "exact"


async def test_a_neighbour_of_the_same_state_answers(desk: Desk) -> None:
    assert (await desk.ask(FIRST)).cached is None
    found = await desk.ask(OTHER)
    assert (found.cached, found.made_for, found.standalone) == ("semantic", FIRST, OTHER)
    assert (await desk.ask(OTHER)).cached == "semantic", "it is not kept under the other words"
    assert (await desk.ask(FIRST)).made_for is None
    assert (await desk.ask(OTHER, corpus_revision=1)).cached is None


@pytest.mark.parametrize("status", ["abstained", "incomplete"])
async def test_only_whole_answers_have_neighbours(desk: Desk, status: str) -> None:
    await desk.ask(FIRST, replace(ANSWER, status=status))
    assert await desk.rows() == []
    assert (await desk.ask(OTHER)).cached is None


async def test_the_rows_are_few_and_lapse(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MOST", 3)
    for number in range(5):
        await desk.ask(f"What is the size of file {number}?")
    [(length, ttl_s)] = await desk.rows()
    assert length == 3 * (2 * 384 + 32)
    assert 0 < ttl_s <= 60


async def test_rows_without_answers_find_nothing(desk: Desk) -> None:
    await desk.ask(FIRST)
    assert await desk.cache.forget(desk.caller.tenant_id) == 1
    assert (await desk.ask(OTHER)).cached is None


async def test_an_answer_is_not_lost_with_the_embedding_model(desk: Desk) -> None:
    class Away(CountingEmbedder):
        async def embed_query(self, text: str) -> Vector:
            raise Unavailable

    await desk.ask("How large may a file be?")
    cache = AnswerCache(desk.redis, ttl_s=60, neighbours=Neighbours(Away()))
    away = Desk(cache, desk.redis, desk.caller)
    assert (await away.ask(FIRST)).cached is None
    assert (await away.ask(FIRST)).cached == "exact"
    assert len(await desk.rows()) == 1, "it has no neighbours"


async def test_it_can_be_off(desk: Desk) -> None:
    off = Desk(AnswerCache(desk.redis, ttl_s=60), desk.redis)
    await off.ask(FIRST)
    assert (await off.ask(FIRST)).cached == "exact"
    assert (await off.ask(OTHER)).cached is None
    assert await off.rows() == []
