"""Conversations in a real Redis, against documents in a real database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.auth.caller import Caller
from app.chat.memory import (
    MOST_TURNS,
    Memory,
    MemoryUnavailable,
    SessionNotFound,
    open_memory,
)
from app.chat.memory_sweep import forget_lapsed
from app.chat.turn import Cite, Turn
from app.documents.corpus import stray_turns
from app.errors import PlaceGone
from app.infra.embedded.servers import ServerUrls
from app.infra.redis import Entry, Guarded, open_redis
from app.retrieval.cited import KEPT_S
from tests.conftest import FreshDatabase
from tests.integration.budget_parts import own_redis
from tests.integration.redis_door import RedisDoor
from tests.integration.workshop import Workshop, open_workshop, write_book

START = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
async def shop(database: FreshDatabase, request: pytest.FixtureRequest) -> AsyncIterator[Workshop]:
    async with open_workshop(database, request.node.name) as shop:
        yield shop


@pytest.fixture
def ada(shop: Workshop) -> Caller:
    return Caller(shop.tenant_id, "key_ada", frozenset({"chat"}))


def turn(number: int, *cites: tuple[str, int], text: str = "It is 10 MB [1].") -> Turn:
    rows = tuple(Cite(i, doc, ver, 1, "Guide") for i, (doc, ver) in enumerate(cites, start=1))
    question = f"Question {number}?"
    return Turn(
        f"ans_{number}", question, question, text, "complete", rows,
        START + timedelta(seconds=number),
    )  # fmt: skip


async def test_the_last_thirty_turns_are_kept_in_their_order(shop: Workshop, ada: Caller) -> None:
    for number in range(MOST_TURNS + 5):
        await shop.memory.remember(ada, "ses_1", turn(number))
    found = await shop.memory.recall(ada, "ses_1")
    assert found == tuple(turn(number) for number in range(5, MOST_TURNS + 5))


async def test_a_session_that_is_forgotten_while_it_is_answered_stays_forgotten(
    shop: Workshop, ada: Caller
) -> None:
    await shop.memory.remember(ada, "ses_1", turn(1))
    await shop.memory.forget(ada, "ses_1")
    entry = Entry(f"entry:{ada.id}", b"kept", 60)
    await shop.memory.remember(ada, "ses_1", turn(2), [entry], took_s=60)
    with pytest.raises(SessionNotFound):
        await shop.memory.read(ada, "ses_1")
    assert await shop.memory.sessions(ada, after=None, limit=9) == ([], False)
    assert await shop.redis.run(lambda redis: redis.get(entry.key)) == b"kept", "no turn, all else"
    await shop.memory.remember(ada, "ses_2", turn(3), took_s=60)
    await shop.memory.remember(ada, "ses_1", turn(4), took_s=0)
    assert await shop.memory.read(ada, "ses_1") == (turn(4),), "its id may be used again"


async def test_a_session_is_one_callers(shop: Workshop, ada: Caller) -> None:
    await shop.memory.remember(ada, "a:b", turn(1))
    for other in (
        replace(ada, id="key_other"),
        replace(ada, tenant_id="ten_other"),
    ):
        assert await shop.memory.recall(other, "a:b") == ()
        assert await shop.memory.recall(other, "b") == ()
        assert await shop.memory.sessions(other, after=None, limit=10) == ([], False)
        with pytest.raises(SessionNotFound):
            await shop.memory.read(other, "a:b")
        with pytest.raises(SessionNotFound):
            await shop.memory.forget(other, "a:b")
    assert await shop.memory.read(ada, "a:b") == (turn(1),)


async def test_sessions_are_listed_page_by_page_and_can_be_forgotten(
    shop: Workshop, ada: Caller
) -> None:
    for number in range(5):
        await shop.memory.remember(ada, f"ses_{number}", turn(number))
    await shop.memory.remember(ada, "ses_1", turn(9))  # used again, so listed first
    first, more = await shop.memory.sessions(ada, after=None, limit=3)
    assert ([s.id for s in first], more) == (["ses_1", "ses_4", "ses_3"], True)
    assert (first[0].turns, first[0].title) == (2, "Question 1?")
    assert first[0].used_at == START + timedelta(seconds=9)
    rest, more = await shop.memory.sessions(ada, after="ses_3", limit=3)
    assert ([s.id for s in rest], more) == (["ses_2", "ses_0"], False)
    assert await shop.memory.sessions(ada, after="ses_0", limit=3) == ([], False)
    await shop.memory.forget(ada, "ses_4")
    for gone in ("ses_4", "ses_none"):  # not the end of the list, as it would seem
        with pytest.raises(PlaceGone):
            await shop.memory.sessions(ada, after=gone, limit=3)
    assert await shop.memory.recall(ada, "ses_4") == ()
    remaining, _ = await shop.memory.sessions(ada, after=None, limit=9)
    assert [s.id for s in remaining] == ["ses_1", "ses_3", "ses_2", "ses_0"]


async def test_it_is_kept_for_thirty_days_from_its_last_use(
    shop: Workshop, ada: Caller, tmp_path: Path
) -> None:
    with own_redis(tmp_path) as (url, _):  # what others of this test run said is kept
        async with open_redis(url, timeout_s=5) as redis:
            await check_it_lapses(redis, Memory(Guarded(redis), shop.pool), ada)


async def check_it_lapses(redis: Redis, memory: Memory, ada: Caller) -> None:
    entry = Entry("quoted:test:1", b"[]", KEPT_S)
    await memory.remember(ada, "old", turn(1, ("doc_x", 1)), [entry])
    await memory.remember(ada, "used", turn(2, ("doc_x", 1), ("doc_y", 1)))
    await memory.remember(ada, "used", turn(1000, ("doc_x", 1)))
    bob = replace(ada, id="key_bob")
    await memory.remember(bob, "old", turn(3))
    await memory.forget_document(ada.tenant_id, "doc_y")
    names = {
        f"turns:{ada.tenant_id}:{ada.id}:old",
        f"turns:{ada.tenant_id}:{ada.id}:used",
        f"turns:{ada.tenant_id}:key_bob:old",
        f"sessions:{ada.tenant_id}:{ada.id}",
        f"sessions:{ada.tenant_id}:key_bob",
        f"cites:{ada.tenant_id}:doc_x",
        f"cites:{ada.tenant_id}:doc_y",
        f"gone:{ada.tenant_id}",
    }

    async def there() -> set[str]:
        keys = [key.decode() async for key in redis.scan_iter(f"*:{ada.tenant_id}*")]
        assert [await redis.ttl(key) for key in keys] == [-1] * len(keys)
        return set(keys)

    assert await there() == names
    assert await redis.ttl("quoted:test:1") > KEPT_S - 60
    kept = timedelta(seconds=KEPT_S)
    await forget_lapsed(Guarded(redis), START + kept + timedelta(seconds=1))
    assert await there() >= names - {f"gone:{ada.tenant_id}"}
    await forget_lapsed(Guarded(redis), START + kept + timedelta(seconds=999))
    assert await there() == {
        f"turns:{ada.tenant_id}:{ada.id}:used",
        f"sessions:{ada.tenant_id}:{ada.id}",
        f"cites:{ada.tenant_id}:doc_x",
    }
    assert await redis.zcard(f"cites:{ada.tenant_id}:doc_x") == 1
    assert [s.id for s in (await memory.sessions(ada, after=None, limit=9))[0]] == ["used"]
    await forget_lapsed(Guarded(redis), START + kept + timedelta(seconds=1001))
    assert await there() == set()


async def test_a_process_forgets_what_lapsed_by_itself(shop: Workshop, ada: Caller) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=31)
    await shop.memory.remember(ada, "old", replace(turn(1), asked_at=long_ago))
    await shop.memory.remember(ada, "new", replace(turn(2), asked_at=datetime.now(UTC)))
    async with open_memory(shop.redis, shop.pool) as memory, asyncio.timeout(10):
        while await memory.recall(ada, "old"):  # noqa: ASYNC110 - Redis does not tell
            await asyncio.sleep(0.01)
        assert len(await memory.read(ada, "new")) == 1


async def test_a_turn_that_cites_a_replaced_version_is_marked(
    shop: Workshop, ada: Caller, tmp_path: Path
) -> None:
    path = tmp_path / "book.pdf"
    [one] = await shop.ingest(write_book(path, [["Limits", "The limit is ten megabytes."]]))
    assert one.document_id is not None
    await shop.memory.remember(ada, "ses_1", turn(1, (one.document_id, 1)))
    await shop.memory.remember(ada, "ses_1", turn(2))
    assert [t.stale for t in await shop.memory.recall(ada, "ses_1")] == [False, False]
    await shop.ingest(write_book(path, [["Limits", "The limit is twenty megabytes."]]))
    marked, other = await shop.memory.recall(ada, "ses_1")
    assert (marked.stale, marked.text, other.stale) == (True, "It is 10 MB [1].", False)
    await shop.archive.activate(shop.tenant_id, one.document_id, 1)
    assert not (await shop.memory.recall(ada, "ses_1"))[0].stale


async def test_deleting_a_document_empties_the_turns_that_cite_it(
    shop: Workshop, ada: Caller, database: FreshDatabase, tmp_path: Path
) -> None:
    gone, kept = await shop.ingest(
        write_book(tmp_path / "a.pdf", [["Gone", "The limit is ten megabytes."]]),
        write_book(tmp_path / "b.pdf", [["Kept", "The rate is four hertz."]]),
    )
    assert gone.document_id
    assert kept.document_id
    bob = replace(ada, id=f"{ada.id}2")
    for caller in (ada, bob):
        await shop.memory.remember(caller, "ses_1", turn(1, (gone.document_id, 1)))
        await shop.memory.remember(caller, "ses_1", turn(2, (kept.document_id, 1)))
    both = turn(3, (kept.document_id, 1), (gone.document_id, 1))
    await shop.memory.remember(ada, "ses_1", both)
    removed = await shop.archive.delete(shop.tenant_id, gone.document_id)
    assert removed.memory_turns == 3
    # An answer that was being written meanwhile.
    late = turn(4, (gone.document_id, 1))
    await shop.memory.remember(ada, "ses_1", late)
    texts = [(t.text, t.stale) for t in await shop.memory.read(ada, "ses_1")]
    assert texts == [("", True), ("It is 10 MB [1].", False), ("", True), ("", True)]
    async with open_redis(database.redis_url, timeout_s=1) as redis:
        stored = await redis.lrange(f"turns:{ada.tenant_id}:{ada.id}:ses_1", 0, -1)
    assert sum(b"10 MB" in one for one in stored) == 1
    assert await stray_turns(shop.pool, shop.memory, shop.tenant_id) == {}
    await shop.archive.restore(shop.tenant_id, gone.document_id)
    await shop.memory.remember(ada, "ses_1", turn(5, (gone.document_id, 1)))
    assert (await shop.memory.read(ada, "ses_1"))[-1].text == "It is 10 MB [1]."


async def test_what_was_not_emptied_is_found_and_not_shown(
    shop: Workshop, ada: Caller, tmp_path: Path
) -> None:
    """Redis was away when the document was deleted."""
    [one] = await shop.ingest(
        write_book(tmp_path / "stray.pdf", [["Gone", "The limit is ten megabytes."]])
    )
    assert one.document_id
    await shop.archive.delete(shop.tenant_id, one.document_id)
    await shop.memory.admit_document(shop.tenant_id, one.document_id)
    await shop.memory.remember(ada, "ses_1", turn(77, (one.document_id, 1)))
    assert [t.text for t in await shop.memory.recall(ada, "ses_1")] == [""]
    assert await stray_turns(shop.pool, shop.memory, shop.tenant_id) == {
        "ans_77": {one.document_id}
    }


async def test_without_redis_nothing_is_remembered_and_reading_says_so(
    shop: Workshop, ada: Caller, servers: ServerUrls
) -> None:
    door = RedisDoor(servers.redis_url)
    await door.open()
    async with open_redis(door.url, timeout_s=0.2) as redis:
        memory = Memory(Guarded(redis), shop.pool)
        await door.close()
        await memory.remember(ada, "ses_1", turn(1))
        assert await memory.recall(ada, "ses_1") == ()
        assert await memory.forget_document(shop.tenant_id, "doc_x") == 0
        for reading in (
            memory.read(ada, "ses_1"),
            memory.sessions(ada, after=None, limit=5),
            memory.forget(ada, "ses_1"),
            memory.cited(shop.tenant_id),
        ):
            with pytest.raises(MemoryUnavailable):
                await reading
