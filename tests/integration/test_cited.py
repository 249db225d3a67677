"""What is remembered of answers' quotes, with a real Redis and without one."""

from pathlib import Path

import pytest

from app.errors import Unavailable
from app.infra.redis import Guarded, open_redis
from app.retrieval.cited import Quoted, QuotedPlaces, entries_of
from tests.conftest import FreshDatabase

BOX = [[1.0, 2.0, 3.0, 4.0]]


async def test_a_tenants_answers_are_listed_and_forgotten_and_no_others(
    database: FreshDatabase,
) -> None:
    async with open_redis(database.redis_url, timeout_s=2) as redis:
        guarded = Guarded(redis)
        quoted = QuotedPlaces(guarded)
        many = {f"ans_{number}": {("doc_a", number)} for number in range(2_500)}
        for answer_id, [(document_id, version)] in ((a, list(v)) for a, v in many.items()):
            place = Quoted(document_id, version, 1, BOX)
            await guarded.keep(entries_of("ten_a", answer_id, [place]))
        await guarded.keep(entries_of("ten_a2", "ans_0", [Quoted("doc_b", 1, 1, BOX)]))
        assert entries_of("ten_a", "ans_x", [Quoted("doc_b", 1, 1, [])]) == []
        assert await quoted.cited("ten_a") == many
        await quoted.forget("ten_a", [answer_id for answer_id in many if answer_id != "ans_7"])
        assert await quoted.cited("ten_a") == {"ans_7": {("doc_a", 7)}}
        assert await quoted.cited("ten_a2") == {"ans_0": {("doc_b", 1)}}
        await quoted.forget("ten_a", [])


async def test_without_redis_it_is_said_that_nobody_knows(tmp_path: Path) -> None:
    async with open_redis(f"unix://{tmp_path}/none.sock", timeout_s=0.2) as redis:
        quoted = QuotedPlaces(Guarded(redis))
        with pytest.raises(Unavailable):
            await quoted.cited("ten_a")
        with pytest.raises(Unavailable):
            await quoted.forget("ten_a", ["ans_a"])
