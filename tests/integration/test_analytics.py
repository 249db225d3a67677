"""The figures of the query log, counted by a real database."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.auth.caller import Caller
from app.auth.keys import tenant_named
from app.chat.analytics_store import figures_of
from app.chat.answer_log import AnswerLog
from app.chat.record import Record
from app.infra.ids import new_id
from app.infra.postgres import Pool, open_pool
from app.infra.redis import Guarded, open_redis
from app.infra.times import rfc3339
from tests.conftest import FreshDatabase


@pytest.fixture
async def pool(database: FreshDatabase) -> AsyncIterator[Pool]:
    async with open_pool(database.database_url, size=2, timeout_s=2) as pool:
        yield pool


@pytest.fixture
async def log(pool: Pool, tmp_path: Path) -> AsyncIterator[AnswerLog]:
    async with open_redis(f"unix://{tmp_path}/none.sock", timeout_s=0.2) as redis:
        yield AnswerLog(Guarded(redis), pool, kept_days=30)


def newcomer(database: FreshDatabase) -> Caller:
    return Caller(tenant_named(database.database_url, new_id("ten")), "key_a", frozenset({"chat"}))


def record(caller: Caller, *, days_ago: int = 0, **changes: Any) -> Record:
    answer_id = new_id("ans")
    attempt = {"provider": "groq", "outcome": "ok", "ms": 800.0, "cost_usd": 0.01}
    known = {
        "answer_id": answer_id,
        "asked_at": rfc3339(datetime.now(UTC) - timedelta(days=days_ago)),
        "question": "How large?",
        "rephrased": None,
        "cited": [{"document_id": "doc_1", "version": 1, "page": page} for page in (3, 4)],
        "status": "complete",
        "cached": None,
        "groundedness": 1.0,
        "usage": {"cost_usd": 0.01},
        "timings": {"total_ms": 900.0, "first_token_ms": 300.0},
        "attempts": [attempt | {"provider": "openai", "outcome": "stalled"}, attempt],
    }
    return Record(caller.tenant_id, caller.id, answer_id, known | changes)


ABSTAINED: dict[str, Any] = {
    "question": "Lunch?",
    "status": "abstained",
    "cited": [],
    "attempts": [],
    "groundedness": None,
    "timings": {"total_ms": 100.0, "first_token_ms": None},
    "usage": {"cost_usd": 0.0},
}


async def test_the_figures_of_one_tenant(
    log: AnswerLog, pool: Pool, database: FreshDatabase
) -> None:
    caller, stranger = newcomer(database), newcomer(database)
    liked = record(caller)
    repeated = record(caller, cached="exact", usage={"cost_usd": None}, attempts=[], days_ago=1)
    dull = record(caller, **ABSTAINED)
    others = [record(caller, **ABSTAINED), record(stranger), record(caller, days_ago=2)]
    for one in (liked, repeated, dull, *others):
        log.note(one)
    await log.write()
    await log.judge(caller, liked.answer_id, score=1, comment="Right.")
    await log.judge(caller, dull.answer_id, score=-1, comment=None)

    figures = await figures_of(pool, caller.tenant_id, days=2)
    assert figures.totals == {
        "questions": 4, "cached": 1, "abstained": 2, "incomplete": 0, "cost_usd": 0.01,
        "total_ms_p50": 500.0, "total_ms_p95": 900.0, "first_token_ms_p50": 300.0,
        "groundedness": 1.0, "liked": 1, "disliked": 1,
    }  # fmt: skip
    assert [(day["questions"], day["answered"], day["cached"]) for day in figures.days] == [
        (1, 1, 1),
        (3, 1, 0),
    ]
    providers = {row["provider"]: row for row in figures.providers}
    assert (providers["groq"]["succeeded"], providers["openai"]["succeeded"]) == (1, 0)
    assert (providers["groq"]["ms_p50"], providers["openai"]["ms_p50"]) == (800.0, None)
    assert figures.cited == [{"document_id": "doc_1", "title": None, "answers": 2}]
    assert [(row["question"], row["times"]) for row in figures.unanswered] == [("Lunch?", 2)]
    assert [(row["comment"], row["question"]) for row in figures.comments] == [
        ("Right.", "How large?")
    ]
    assert (await figures_of(pool, caller.tenant_id, days=3)).totals["questions"] == 5


async def test_nothing_was_asked(pool: Pool, database: FreshDatabase) -> None:
    figures = await figures_of(pool, newcomer(database).tenant_id, days=90)
    assert (figures.totals["questions"], figures.totals["total_ms_p50"]) == (0, None)
    assert (figures.days, figures.comments) == ([], [])


_SLOW = """CREATE POLICY slow ON answers AS RESTRICTIVE TO docent_app
    USING ((SELECT true FROM pg_sleep(0.2)) OR id = '')"""


async def test_a_long_log_has_the_time_that_its_rows_take(
    log: AnswerLog, pool: Pool, database: FreshDatabase
) -> None:
    """Half a million answers took longer than a question may, and then there were no figures."""
    caller = newcomer(database)
    log.note(record(caller))
    await log.write()
    with psycopg.connect(database.database_url) as owner:
        owner.execute(_SLOW)
    pool.deadline_s = 0.1
    assert (await figures_of(pool, caller.tenant_id, days=1)).totals["questions"] == 1
    with psycopg.connect(database.database_url) as owner:
        owner.execute("DROP POLICY slow ON answers")
