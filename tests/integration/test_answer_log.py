"""Records of answers and feedback, in a real database and a real Redis."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.auth.caller import Caller
from app.auth.keys import tenant_named
from app.chat import answer_log
from app.chat.answer_log import AnswerLog
from app.chat.record import AnswerNotFound, Record
from app.infra.ids import new_id
from app.infra.metrics import Metrics
from app.infra.postgres import DatabaseUnavailable, Pool, open_pool, tenant_transaction
from app.infra.redis import Guarded, open_redis
from tests.conftest import FreshDatabase
from tests.fakes import Recorder


@dataclass
class Desk:
    """A log that shows nothing in Redis, so that the database is what answers."""

    log: AnswerLog
    pool: Pool
    told: Recorder
    ada: Caller

    def record(self, caller: Caller | None = None, **facts: Any) -> Record:
        caller = caller or self.ada
        answer_id = new_id("ans")
        page = {"document_id": "doc_1", "version": 2, "page": 3}
        known = {
            "answer_id": answer_id, "asked_at": "2026-11-26T10:00:00Z", "question": "Wie groß?",
            "rephrased": None, "cited": [page],
        }  # fmt: skip
        return Record(caller.tenant_id, caller.id, answer_id, {**known, **facts})

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        async with tenant_transaction(self.pool, self.ada.tenant_id) as connection:
            return await (await connection.execute(statement)).fetchall()


@pytest.fixture
async def desk(database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Desk]:
    tenant_id = tenant_named(database.database_url, new_id("ten"))
    ada = Caller(tenant_id, "key_ada", frozenset({"chat"}))
    told = Recorder()
    async with (
        open_pool(database.database_url, size=2, timeout_s=2) as pool,
        open_redis(f"unix://{tmp_path}/none.sock", timeout_s=0.2) as redis,
    ):
        log = AnswerLog(Guarded(redis), pool, kept_days=30, metrics=Metrics(told))
        yield Desk(log, pool, told, ada)


async def test_records_are_written_together_and_found_by_who_may(
    desk: Desk, database: FreshDatabase
) -> None:
    other_tenant = Caller(
        tenant_named(database.database_url, new_id("ten")), "key_ada", frozenset({"chat", "admin"})
    )
    bob = Caller(desk.ada.tenant_id, "key_bob", frozenset({"chat"}))
    boss = Caller(desk.ada.tenant_id, "key_boss", frozenset({"chat", "admin"}))
    mine, theirs, elsewhere = desk.record(), desk.record(bob), desk.record(other_tenant)
    for record in (mine, elsewhere, theirs):
        desk.log.note(record)
    with pytest.raises(AnswerNotFound):
        await desk.log.find(desk.ada, mine.answer_id)
    await desk.log.write()
    await desk.log.write()
    assert await desk.log.find(desk.ada, mine.answer_id) == mine
    assert await desk.log.find(boss, theirs.answer_id) == theirs
    assert await desk.log.find(other_tenant, elsewhere.answer_id) == elsewhere
    for caller, record in (
        (desk.ada, theirs), (bob, mine), (boss, elsewhere), (other_tenant, mine),
    ):  # fmt: skip
        with pytest.raises(AnswerNotFound):
            await desk.log.find(caller, record.answer_id)
    for odd in ("", "a\0", "x" * 64, "x' OR '1'='1"):
        with pytest.raises(AnswerNotFound):
            await desk.log.find(boss, odd)


async def test_what_could_not_be_written_waits_and_too_much_is_dropped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_log, "_MOST_WAITING", 3)
    records = [desk.record() for _ in range(5)]
    for record in records[:3]:
        desk.log.note(record)
    await desk.pool.close()
    with pytest.raises(DatabaseUnavailable):
        await desk.log.write()
    for record in records[3:]:
        desk.log.note(record)
    assert [entry for entry in desk.told.seen if "dropped" in entry[0].name] != []
    assert len(desk.log._waiting) == 3


async def test_one_tenants_record_that_is_refused_stops_no_other(desk: Desk) -> None:
    good = desk.record()
    nobody = Caller("ten_nobody", "key_x", frozenset({"chat"}))
    for record in (desk.record(nobody), good):
        desk.log.note(record)
    await desk.log.write()
    assert await desk.log.find(desk.ada, good.answer_id) == good


async def test_an_opinion_is_kept_and_replaced(desk: Desk) -> None:
    record = desk.record(rephrased="How large is a file?")
    desk.log.note(record)
    await desk.log.write()
    await desk.log.judge(desk.ada, record.answer_id, score=1, comment="'; DROP TABLE feedback")
    await desk.log.judge(desk.ada, record.answer_id, score=-1, comment=None)
    [row] = await desk.rows("SELECT * FROM feedback")
    assert (row["score"], row["comment"], row["question"]) == (-1, None, "How large is a file?")
    assert row["cited"] == [{"document_id": "doc_1", "version": 2, "page": 3}]
    with pytest.raises(AnswerNotFound):
        await desk.log.judge(desk.ada, "ans_none", score=1, comment=None)


async def test_old_records_are_forgotten_and_new_ones_are_not(desk: Desk) -> None:
    old = desk.record(asked_at="2020-01-01T00:00:00Z")
    new = desk.record(asked_at="2999-01-01T00:00:00Z")
    for record in (old, new):
        desk.log.note(record)
    await desk.log.write()
    await desk.log.forget()
    assert [row["id"] for row in await desk.rows("SELECT id FROM answers")] == [new.answer_id]


async def test_the_log_can_be_off(desk: Desk, database: FreshDatabase) -> None:
    async with open_redis(database.redis_url, timeout_s=1) as redis:
        guarded = Guarded(redis)
        log = AnswerLog(guarded, desk.pool, kept_days=0)
        record = desk.record()
        await guarded.keep([log.note(record)])
        await log.write()
        assert await log.find(desk.ada, record.answer_id) == record
    assert await desk.rows("SELECT id FROM answers") == []


async def test_what_waits_is_written_at_the_end(desk: Desk, database: FreshDatabase) -> None:
    record = desk.record()
    async with (
        open_redis(database.redis_url, timeout_s=1) as redis,
        answer_log.open_answer_log(
            Guarded(redis), desk.pool, kept_days=30, metrics=Metrics()
        ) as log,
    ):
        log.note(record)
    assert await desk.log.find(desk.ada, record.answer_id) == record
