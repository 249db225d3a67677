"""The commands of operators: dead letters, the check of the corpus, and the purge."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from app.auth.caller import Caller
from app.auth.keys import KeyRing
from app.chat.turn import Cite, Turn
from app.infra.postgres import open_pool
from app.retrieval.cited import Quoted
from tests import forks
from tests.conftest import SECRET, FreshDatabase, environment
from tests.integration.workshop import open_workshop, write_book


def run(database: FreshDatabase, home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return forks.run(*arguments, env=environment(database, home))


async def test_what_was_deleted_is_purged_and_the_rest_is_whole(  # noqa: PLR0915 - a journey
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_workshop(database, "purge") as shop:
        kept, gone = await shop.ingest(
            write_book(tmp_path / "a.pdf"), write_book(tmp_path / "b.pdf", [["Of no use."]])
        )
        for answer_id, cited in (("ans_kept", [kept]), ("ans_gone", [kept, gone])):
            quotes = [Quoted(one.document_id or "", 1, 1, [[1, 2, 3, 4]]) for one in cited]
            await shop.quote(answer_id, quotes)
        await shop.archive.delete(shop.tenant_id, gone.document_id or "")
        shop.rows("UPDATE blobs SET created_at = now() - interval '2 hours'")
        purge = ("scripts.purge", "--tenant", "purge", "--deleted-before-days", "0")
        told = run(database, tmp_path, *purge)
        assert told.stdout.startswith("1 documents, 0 files of 0 bytes, the quotes of 0"), told
        assert set(await shop.quoted.cited(shop.tenant_id)) == {"ans_kept", "ans_gone"}
        done = run(database, tmp_path, *purge, "--yes")
        assert done.stdout.startswith("1 documents, 1 files"), done
        assert done.stdout.endswith("the quotes of 1 answers removed\n"), done
        assert await shop.quoted.cited(shop.tenant_id) == {"ans_kept": {(kept.document_id, 1)}}
        assert [d.id for d in await shop.documents()] == [kept.document_id]
        checked = run(database, tmp_path, "scripts.verify_corpus", "--tenant", "purge")
        assert (checked.returncode, checked.stdout) == (0, "1 tenants checked, 0 findings\n")
        shop.rows("UPDATE chunks SET live = false WHERE tenant_id = %s", shop.tenant_id)
        broken = run(database, tmp_path, "scripts.verify_corpus", "--tenant", "purge")
        assert broken.returncode == 1
        assert "current_chunks_that_are_not_live: 3" in broken.stdout
        stale = Cite(1, gone.document_id or "", 1, 1, "b")
        caller = Caller(shop.tenant_id, "key_1", frozenset())
        asked_at = datetime.now(UTC)
        turn = Turn("ans_told", "q", "q", "Of no use [1].", "complete", (stale,), asked_at)
        await shop.memory.admit_document(shop.tenant_id, stale.document_id)
        await shop.memory.remember(caller, "ses_1", turn)
        told = run(database, tmp_path, "scripts.verify_corpus", "--tenant", "purge")
        assert "turns_that_repeat_what_was_deleted: 1 (ans_told)" in told.stdout
        run(database, tmp_path, *purge, "--yes")
        assert (await shop.memory.recall(caller, "ses_1"))[0].text == ""
        healed = run(database, tmp_path, "scripts.verify_corpus", "--tenant", "purge")
        assert "turns_that_repeat" not in healed.stdout
        await shop.quote("ans_odd", [Quoted("doc_never", 1, 1, [[0] * 4])])
        stray = run(database, tmp_path, "scripts.verify_corpus", "--tenant", "purge")
        assert "answers_that_quote_a_version_that_is_gone: 1 (ans_odd)" in stray.stdout


async def test_a_key_is_minted_with_budgets(database: FreshDatabase, tmp_path: Path) -> None:
    async with open_pool(database.database_url, size=1, timeout_s=5) as pool:
        ring = KeyRing(pool, SECRET.encode())
        mint = ("scripts.create_key", "--tenant", "payer", "--name", "n")
        for options, budgets in (
            (("--budget-usd", "0.5", "--tenant-budget-usd", "7"), (7, 0.5)),
            ((), (7, None)),
            (("--tenant-budget-usd", "none", "--budget-usd", "none"), (None, None)),
        ):
            made = run(database, tmp_path, *mint, *options)
            assert made.returncode == 0, made
            caller = await ring.caller(made.stdout.splitlines()[-1])
            assert (caller.tenant_budget_usd, caller.key_budget_usd) == budgets
        for wrong in ("nan", "-1", "much"):
            refused = run(database, tmp_path, *mint, "--budget-usd", wrong)
            assert refused.returncode in (1, 2)
            assert (refused.stdout, "Traceback" in refused.stderr) == ("", False)


async def test_dead_letters_are_listed_and_queued_again(
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_workshop(database, "dead") as shop:
        [received] = await shop.receive(write_book(tmp_path / "a.pdf"))
        await shop.pipeline.give_up(
            shop.tenant_id, received.document_id or "", 1, code="worker_died", detail="It died."
        )
        jobs = ("scripts.jobs", "--tenant", "dead")
        listed = run(database, tmp_path, *jobs)
        assert f"{received.document_id} v1 worker_died: It died." in listed.stdout, listed
        queued = run(database, tmp_path, *jobs, "--retry")
        assert "1 jobs queued again" in queued.stdout, queued
        await shop.worker.run(until_empty=True)
        assert [document.status for document in await shop.documents()] == ["ready"]


async def test_what_an_older_release_read_is_read_again(
    database: FreshDatabase, tmp_path: Path
) -> None:
    async with open_workshop(database, "again") as shop:
        [kept] = await shop.ingest(write_book(tmp_path / "a.pdf"))
        [waiting] = await shop.receive(write_book(tmp_path / "b.pdf", [["Not read yet."]]))
        shop.rows(
            "INSERT INTO users (id, tenant_id, email, name, role)"
            " VALUES ('usr_a', %s, 'a@example.com', 'A', 'editor')",
            shop.tenant_id,
        )
        mine = "UPDATE documents SET visibility = 'private', owner_id = 'usr_a' WHERE id = %s"
        shop.rows(mine, kept.document_id)
        of_page_two = "page = 2 AND document_id = %s"
        older = f"UPDATE chunks SET heading = 'Wrong', digest = '\\x00' WHERE {of_page_two}"
        shop.rows(older, kept.document_id)
        again = ("scripts.reread", "--tenant", "again")
        told = run(database, tmp_path, *again)
        assert told.returncode == 0, told
        assert f"not queued: {waiting.document_id}" in told.stdout
        assert told.stdout.endswith("1 documents queued to be read again\n"), told
        assert run(database, tmp_path, *again, kept.document_id or "").returncode == 1
        await shop.worker.run(until_empty=True)
        [read] = shop.rows(
            "SELECT v.status, v.chunks_embedded, v.chunks_reused, d.current_version FROM documents"
            " d JOIN document_versions v ON v.document_id = d.id AND v.number = 2"
        )
        assert read == {
            "status": "ready", "chunks_embedded": 1, "chunks_reused": 2, "current_version": 2,
        }  # fmt: skip
        live = shop.rows(
            f"SELECT heading FROM chunks WHERE live AND {of_page_two}", kept.document_id
        )
        assert live == [{"heading": ""}]


def test_a_program_runs_beside_the_servers(database: FreshDatabase, tmp_path: Path) -> None:
    with_servers = ("scripts.with_servers", "--psql", "-v", "ON_ERROR_STOP=1")
    status = run(database, tmp_path, *with_servers, "-f", "scripts/db_status.sql")
    assert (status.returncode, status.stderr) == (0, ""), status
    for heading in ("Schema", "Tenants", "Versions by state", "Jobs by state", "Connections"):
        assert heading in status.stdout
    wrong = run(database, tmp_path, *with_servers, "-c", "SELECT FROM nowhere")
    assert (wrong.returncode, 'relation "nowhere" does not exist' in wrong.stderr) == (1, True)
    kept = run(database, tmp_path, "scripts.with_servers", sys.executable, "-c", "exit(7)")
    assert kept.returncode == 7


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["scripts.ingest", "docs/samples/none"], "is not a folder"),
        (["scripts.create_key", "--tenant", "t", "--name", "n"], "Key 'n' of tenant 't'"),
        (
            ["scripts.create_user", "--tenant", "t", "--email", "a@b.example"],
            "of tenant 't', owner",
        ),
        (["scripts.backup", "x.tar"], "nothing to back up"),
        (["scripts.with_servers", "--psql", "-f", "scripts/db_status.sql"], "no Docent yet"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_may_be_the_first_that_a_database_sees(
    fresh_database: FreshDatabase, tmp_path: Path, command: list[str], said: str
) -> None:
    with psycopg.connect(fresh_database.database_url, autocommit=True) as owner:
        owner.execute("DROP SCHEMA IF EXISTS beside, jobs, public CASCADE; CREATE SCHEMA public")
    told = run(fresh_database, tmp_path, *command)
    assert said in told.stdout + told.stderr
    assert ("Traceback" in told.stderr, "ERROR" in told.stderr) == (False, False)


@pytest.mark.parametrize(
    "command",
    [
        ["scripts.verify_corpus"],
        ["scripts.purge", "--deleted-before-days", "1", "--yes"],
        ["scripts.jobs"],
        ["scripts.reread"],
        ["scripts.reindex", "status"],
        ["scripts.export_candidates", "--tenant", "t", "--out", "x"],
    ],
    ids=lambda command: str(command[0]),
)
def test_what_only_looks_or_takes_away_writes_nothing_into_an_empty_database(
    fresh_database: FreshDatabase, tmp_path: Path, command: list[str]
) -> None:
    with psycopg.connect(fresh_database.database_url, autocommit=True) as owner:
        owner.execute("DROP SCHEMA IF EXISTS beside, jobs, public CASCADE; CREATE SCHEMA public")
        told = run(fresh_database, tmp_path, *command)
        assert (told.returncode > 0, told.stdout) == (True, "")
        assert told.stderr == "docent: There is no Docent in this database yet.\n"
        [tables] = owner.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        ).fetchall()
        assert tables == (0,)


def test_what_cannot_be_is_said_in_one_sentence(database: FreshDatabase, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "none" / "x.jsonl")
    user = ("scripts.create_user", "--email", "x@b.example", "--tenant")
    for command, said in (
        (("scripts.ingest", ""), "no folder was named"),
        (("scripts.ingest", str(tmp_path), "--tenant", "\t"), "1 to 128 printable"),
        ((*user, ""), "1 to 128 printable"),
        ((*user, "a\x1bb"), "1 to 128 printable"),
        (("scripts.create_key", "--tenant", "there", "--name", "n"), ""),
        (("scripts.export_candidates", "--tenant", "there", "--out", nowhere), "cannot be written"),
    ):
        told = run(database, tmp_path, *command)
        assert said in told.stderr, command
        assert ("Traceback" in told.stderr, told.returncode == 0) == (False, not said), command
    away = environment(database, tmp_path, DATABASE_URL="postgresql://u@127.0.0.1:1/x")
    for command in (
        ("scripts.export_candidates", "--tenant", "t", "--out", "x"),
        ("scripts.jobs",),
    ):
        told = forks.run(*command, env=away)
        assert told.stderr == "docent: The database is not answering; try again shortly.\n"
