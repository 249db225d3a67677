"""What readers asked, as an evaluation reads it: in a real database, by the operator's command."""

import json
import subprocess
from pathlib import Path

from app.auth.caller import Caller
from app.chat.answer_log import AnswerLog
from app.chat.record import Record
from app.infra.ids import new_id
from app.infra.redis import Guarded, open_redis
from scripts.evaluation.dataset import load
from tests import forks
from tests.conftest import FreshDatabase, environment
from tests.integration.workshop import open_workshop, write_book


def record(caller: Caller, question: str, **facts: object) -> Record:
    answer_id = new_id("ans")
    known = {
        "answer_id": answer_id, "asked_at": "2999-01-01T00:00:00Z", "question": question,
        "rephrased": None, "status": "complete", "cited": [],
    }  # fmt: skip
    return Record(caller.tenant_id, caller.id, answer_id, {**known, **facts})


async def test_what_was_judged_and_what_was_missing_is_exported(  # noqa: PLR0915 - a journey
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with (
        open_workshop(database, "asks") as shop,
        open_workshop(database, "others") as elsewhere,
        open_redis(database.redis_url, timeout_s=5) as redis,
    ):
        kept, gone = await shop.ingest(
            write_book(tmp_path / "a.pdf"), write_book(tmp_path / "b.pdf", [["Of no use."]])
        )
        await shop.archive.delete(shop.tenant_id, gone.document_id or "")
        cited = [
            {"document_id": one.document_id, "version": 1, "page": page}
            for one, page in ((kept, 2), (gone, 1))
        ]
        ada, bob = (Caller(shop.tenant_id, f"key_{name}", frozenset()) for name in ("ada", "bob"))
        stranger = Caller(elsewhere.tenant_id, "key_eve", frozenset())
        log = AnswerLog(Guarded(redis), shop.pool, kept_days=30)
        right = record(ada, "May ada@example.org print?", cited=cited)
        wrong = record(ada, "Who prints?", rephrased="Who prints the book?", cited=cited)
        gap = record(ada, "Who binds?", status="abstained", cited=[])
        unjudged = record(ada, "Who reads?", cited=cited)
        old = record(ada, "Who wrote?", asked_at="2020-01-01T00:00:00Z")
        again = [record(ada, "Was it sold?"), record(ada, "was it SOLD?")]
        again[0].facts["asked_at"] = "2998-01-01T00:00:00Z"
        theirs = record(stranger, "Who is Eve?")
        for one in (right, wrong, gap, unjudged, old, theirs, *again):
            log.note(one)
        await log.write()
        for caller, one, score, comment in (
            (ada, right, 1, "as bob@example.org said"),
            (ada, wrong, 1, None),
            (bob, wrong, -1, "no"),
            (ada, old, 1, None),
            (ada, again[0], -1, None),
            (ada, again[1], 1, None),
            (stranger, theirs, 1, None),
        ):
            admin = Caller(caller.tenant_id, caller.id, frozenset({"admin"}))
            await log.judge(admin, one.answer_id, score=score, comment=comment)
        (tmp_path / "pdfs").mkdir()
        told = export(database, tmp_path, "asks")
    assert (told.returncode, told.stdout[:19]) == (0, "4 questions written"), told
    lines = {row["question"]: row for row in rows(tmp_path)}
    assert {question: row["candidate"] for question, row in lines.items()} == {
        "May *** print?": "gold",
        "Who prints the book?": "correct",
        "Who binds?": "gap",
        "was it SOLD?": "gold",
    }
    assert lines["May *** print?"]["passage_ids"] == ["a#p2"]
    assert lines["May *** print?"]["comments"] == ["as *** said"]
    assert lines["Who binds?"]["answerable"] is False
    (corpus,) = load(tmp_path).corpora
    assert {"a#p2": 1.0} in [asked.grades for asked in corpus.questions]
    assert sum(asked.answerable for asked in corpus.questions) == 3
    nobody = export(database, tmp_path, "nobody")
    assert (nobody.returncode, nobody.stderr) == (1, "docent: There is no tenant 'nobody'.\n")


def export(database: FreshDatabase, home: Path, tenant: str) -> "subprocess.CompletedProcess[str]":
    command = ("scripts.export_candidates", "--tenant", tenant)
    return forks.run(
        *command, "--out", str(home / "questions.jsonl"), env=environment(database, home)
    )


def rows(home: Path) -> list[dict]:
    lines = (home / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
