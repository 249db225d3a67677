"""The schema goes up, down and up again, from several processes at once, and never half."""

import re
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from app.errors import ConfigurationError
from app.infra.migrations import migrate
from app.infra.postgres import DatabaseUnavailable, open_pool
from app.retrieval.following import FollowingEmbedder
from app.retrieval.index_info import IndexMismatch
from scripts.migrate import main as migrate_script
from tests.conftest import ROOT, FreshDatabase, environment
from tests.fakes import CountingEmbedder
from tests.integration.workshop import owner_rows

MIGRATE = """
import sys
from app.infra.migrations import migrate
migrate(sys.argv[1], embedding_model="all-MiniLM-L6-v2", embedding_dimension=384)
"""
OURS = """
    SELECT 'relation ' || n.nspname || '.' || c.relname || ' ' || c.relkind::text AS name,
           coalesce(c.relacl::text, '') || c.relrowsecurity::text AS facts
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('public', 'jobs')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    UNION ALL
    SELECT 'column ' || table_schema || '.' || table_name || '.' || column_name,
           data_type || is_nullable || coalesce(column_default, '') || is_generated
    FROM information_schema.columns WHERE table_schema IN ('public', 'jobs')
    UNION ALL
    SELECT 'index ' || schemaname || '.' || indexname, indexdef FROM pg_indexes
    WHERE schemaname IN ('public', 'jobs')
    UNION ALL
    SELECT 'function ' || n.nspname || '.' || p.proname, pg_get_functiondef(p.oid)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname IN ('public', 'jobs') AND p.prokind = 'f'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    UNION ALL
    SELECT 'policy ' || tablename || '.' || policyname, coalesce(qual, '') || coalesce(with_check,
    '')
    FROM pg_policies
    UNION ALL
    SELECT 'schema ' || nspname, coalesce(nspacl::text, '') FROM pg_namespace
    WHERE nspname = 'jobs' OR nspacl::text LIKE '%%docent_app%%'
    UNION ALL
    SELECT 'grant on the database', datacl::text FROM pg_database
    WHERE datname = current_database() AND datacl::text LIKE '%%docent_app%%'
"""


def up(database: FreshDatabase, revision: str = "head") -> None:
    migrate(
        database.database_url,
        embedding_model="all-MiniLM-L6-v2",
        embedding_dimension=384,
        revision=revision,
    )


def ours(database: FreshDatabase) -> dict[str, str]:
    """Everything that is ours in the database, and what it is."""
    return {row["name"]: row["facts"] for row in owner_rows(database.database_url, OURS)}


async def test_before_the_first_migration_the_house_says_what_to_do(
    fresh_database: FreshDatabase,
) -> None:
    # The role belongs to the server: it is there as soon as any database was migrated.
    if not owner_rows(
        fresh_database.database_url, "SELECT 1 FROM pg_roles WHERE rolname = 'docent_app'"
    ):
        owner_rows(fresh_database.database_url, "CREATE ROLE docent_app NOLOGIN")
    async with open_pool(fresh_database.database_url, size=1, timeout_s=5) as pool:
        with pytest.raises(IndexMismatch, match="run the migrations"):
            await FollowingEmbedder(CountingEmbedder()).look(pool)


def test_two_processes_migrate_at_once_then_down_then_up(fresh_database: FreshDatabase) -> None:
    command = [sys.executable, "-c", MIGRATE, fresh_database.database_url]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in processes:
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, "")
    first = ours(fresh_database)
    assert "relation public.chunks r" in first
    assert "index public.chunks_embedding" in first
    assert "policy chunks.tenant" in first

    up(fresh_database)
    assert ours(fresh_database) == first, "a second run changes nothing"

    up(fresh_database, "base")
    left = {name for name in ours(fresh_database) if "alembic_version" not in name}
    assert left == set()
    assert owner_rows(fresh_database.database_url, "SELECT 1 FROM alembic_version") == []

    up(fresh_database)
    assert ours(fresh_database) == first


def test_chunks_are_told_their_language_and_nothing_is_embedded_again(
    fresh_database: FreshDatabase,
) -> None:
    """Chunks of the version before: their words are cut anew, their vectors and digests stay."""
    texts = {
        "de": "Die Häuser der Stadt wurden von den Bürgern gebaut, weil es nicht genug gab.",
        "zh": "文件大小的上限为十兆字节",
        "en": "The houses of the town were built by the citizens.",
    }
    url = fresh_database.database_url
    up(fresh_database, "base")
    up(fresh_database, "0009")
    owner_rows(url, "INSERT INTO tenants (id, name, chunk_count) VALUES ('ten_1', 'one', 3)")
    for name, text in texts.items():
        owner_rows(
            url,
            "INSERT INTO documents (id, tenant_id, title, filename, media_type, current_version)"
            " VALUES (%s, 'ten_1', '', '', '', 1)",
            name,
        )
        owner_rows(
            url,
            "INSERT INTO chunks (id, tenant_id, document_id, page, start_offset, end_offset,"
            " valid_from, live, digest, title, heading, text, boxes, embedding) VALUES"
            " (%s, 'ten_1', %s, 1, 0, 9, 1, true, 'digest', 'Towns', '', %s, '',"
            " array_fill(0.5, '{384}')::vector::halfvec)",
            name,
            name,
            text,
        )
    kept = "SELECT id, digest, embedding::text FROM chunks ORDER BY id"
    before = owner_rows(url, kept)
    up(fresh_database)
    assert owner_rows(url, kept) == before
    chunks = owner_rows(url, "SELECT id, language::text, tsv::text FROM chunks")
    assert {row["id"]: row["language"] for row in chunks} == {
        "de": "german",
        "zh": "simple",
        "en": "english",
    }
    words = {row["id"]: row["tsv"] for row in chunks}
    assert "'haus'" in words["de"]
    assert "'上限'" in words["zh"]
    [tenant] = owner_rows(url, "SELECT * FROM tenants")
    assert tenant["languages"] == ["english", "german", "simple"]
    assert tenant["corpus_revision"] > 0, "answers that are kept are not given again"
    [counted] = owner_rows(
        url,
        "SELECT count(*) AS wrong FROM (SELECT lexeme, count(*) AS n FROM chunks,"
        " unnest(tsvector_to_array(tsv)) lexeme GROUP BY 1) c"
        " FULL JOIN lexemes l USING (lexeme) WHERE c.n IS DISTINCT FROM l.chunk_count",
    )
    assert counted["wrong"] == 0


def add_chunk(url: str, text: str) -> None:
    """A tenant, its document, and the one chunk of it."""
    owner_rows(url, "INSERT INTO tenants (id, name, chunk_count) VALUES ('ten_1', 'one', 1)")
    owner_rows(
        url,
        "INSERT INTO documents (id, tenant_id, title, filename, media_type, current_version)"
        " VALUES ('doc_1', 'ten_1', '', '', '', 1)",
    )
    owner_rows(
        url,
        "INSERT INTO chunks (id, tenant_id, document_id, page, start_offset, end_offset,"
        " valid_from, live, digest, title, heading, text, boxes, embedding) VALUES"
        " ('chk_1', 'ten_1', 'doc_1', 1, 0, 9, 1, true, 'digest', '', '', %s, '',"
        " array_fill(0.5, '{384}')::vector::halfvec)",
        text,
    )


def test_words_are_cut_anew_beside_too(fresh_database: FreshDatabase) -> None:
    """What stands beside while an embedding model is changed has to have the same words."""
    url = fresh_database.database_url
    up(fresh_database, "base")
    up(fresh_database, "0013")
    add_chunk(url, "\u201cRegulus\u201d")
    owner_rows(url, "CREATE SCHEMA beside")
    owner_rows(url, "CREATE TABLE beside.chunks (LIKE public.chunks INCLUDING ALL)")
    owner_rows(
        url,
        "INSERT INTO beside.chunks (id, tenant_id, document_id, page, start_offset, end_offset,"
        " valid_from, live, digest, title, heading, text, boxes, embedding) SELECT id, tenant_id,"
        " document_id, page, start_offset, end_offset, valid_from, live, digest, title, heading,"
        " text, boxes, embedding FROM public.chunks",
    )
    words = (
        "SELECT p.tsv::text AS answering, b.tsv::text AS beside, l.lexeme FROM public.chunks p"
        " JOIN beside.chunks b USING (id), lexemes l"
    )
    up(fresh_database, "0014")
    assert owner_rows(url, words) == [
        {"answering": "'regulus':1", "beside": "'regulus':1", "lexeme": "regulus"}
    ]
    up(fresh_database, "-1")
    [before] = owner_rows(url, words)
    assert before["answering"] == before["beside"] != "'regulus':1"
    owner_rows(url, "DROP SCHEMA beside CASCADE")


def graph(database: FreshDatabase) -> tuple[list[str], tuple[int, int]]:
    """What the index is to be built with, and what it was: pgvector's first page says so."""
    owner_rows(database.database_url, "CHECKPOINT")
    [row] = owner_rows(
        database.database_url,
        "SELECT reloptions, pg_read_binary_file(pg_relation_filepath(oid), 0, 64) AS page"
        " FROM pg_class WHERE oid = 'public.chunks_embedding'::regclass",
    )
    m, ef_construction = struct.unpack_from("<HH", row["page"], 24 + 3 * 4)
    return sorted(row["reloptions"]), (m, ef_construction)


def test_a_graph_with_rows_keeps_its_density_until_it_is_built_anew(
    fresh_database: FreshDatabase,
) -> None:
    lighter, denser = ["ef_construction=200", "m=16"], ["ef_construction=128", "m=32"]
    up(fresh_database, "base")
    up(fresh_database, "0016")
    assert graph(fresh_database) == (lighter, (16, 200))
    up(fresh_database, "-2")
    assert graph(fresh_database) == (denser, (32, 128))
    url = fresh_database.database_url
    add_chunk(url, "Regulus")
    up(fresh_database)
    assert graph(fresh_database) == (lighter, (32, 128))
    owner_rows(url, "REINDEX INDEX chunks_embedding")
    assert graph(fresh_database) == (lighter, (16, 200))


def test_questions_are_answered_while_an_index_that_is_built_beside_is_waited_for(
    fresh_database: FreshDatabase,
) -> None:
    url = fresh_database.database_url
    up(fresh_database, "base")
    up(fresh_database, "0014")
    owner_rows(url, "CREATE SCHEMA beside")
    owner_rows(url, "CREATE TABLE beside.chunks (LIKE public.chunks)")
    owner_rows(
        url,
        "CREATE INDEX chunks_embedding ON beside.chunks USING hnsw (embedding halfvec_cosine_ops)"
        " WITH (m = 32, ef_construction = 128)",
    )
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
    with ThreadPoolExecutor(1) as aside, psycopg.connect(url) as building:
        building.execute("ALTER INDEX beside.chunks_embedding SET (m = 32)")
        upgrade = aside.submit(up, fresh_database)
        try:
            while not (upgrade.done() or owner_rows(url, waiting, "beside.chunks_embedding")):
                time.sleep(0.01)
            with psycopg.connect(url, options="-c lock_timeout=1s") as asking:
                asking.execute("SELECT FROM public.chunks LIMIT 1")
        finally:
            building.rollback()
        upgrade.result()
    options = "SELECT reloptions FROM pg_class WHERE relname = 'chunks_embedding' ORDER BY oid"
    lighter = {"reloptions": ["m=16", "ef_construction=200"]}
    assert owner_rows(url, options) == [lighter, lighter]
    owner_rows(url, "DROP SCHEMA beside CASCADE")


@pytest.mark.parametrize(("before_it", "revision"), [("0014", "0015"), ("0015", "0016")])
def test_going_back_leaves_the_search_as_it_was(
    fresh_database: FreshDatabase, before_it: str, revision: str
) -> None:
    up(fresh_database, "base")
    up(fresh_database, before_it)
    before = ours(fresh_database)
    up(fresh_database, revision)
    up(fresh_database, "-1")
    after = ours(fresh_database)
    search = next(name for name in before if name.endswith(".judged_candidates"))
    assert without_comments(after.pop(search)) == without_comments(before.pop(search))
    assert after == before


def without_comments(statement: str) -> str:
    return re.sub(r"\s*--.*", "", statement)


def test_the_index_is_made_for_the_model_of_the_settings(fresh_database: FreshDatabase) -> None:
    up(fresh_database, "base")
    migrate(fresh_database.database_url, embedding_model="text-3", embedding_dimension=1536)
    [info] = owner_rows(fresh_database.database_url, "SELECT * FROM index_info")
    assert (info["embedding_model"], info["dimension"]) == ("text-3", 1536)
    [column] = owner_rows(
        fresh_database.database_url,
        "SELECT format_type(atttypid, atttypmod) AS type, attstorage FROM pg_attribute"
        " WHERE attrelid = 'chunks'::regclass AND attname = 'embedding'",
    )
    assert (column["type"], column["attstorage"]) == ("halfvec(1536)", "p")


async def test_another_models_index_is_refused_in_one_sentence(
    fresh_database: FreshDatabase,
) -> None:
    async with open_pool(fresh_database.database_url, size=1, timeout_s=5) as pool:
        with pytest.raises(IndexMismatch) as caught:
            await FollowingEmbedder(CountingEmbedder()).look(pool)
        await FollowingEmbedder(CountingEmbedder("text-3", 1536)).look(pool)
    for part in ("text-3", "1536", "all-MiniLM-L6-v2", "384", "python -m scripts.reindex prepare"):
        assert part in caught.value.detail


def test_a_newer_schema_is_refused_in_one_sentence(
    fresh_database: FreshDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    owner_rows(fresh_database.database_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="newer Docent"):
        up(fresh_database)
    for name, value in environment(fresh_database, tmp_path).items():
        monkeypatch.setenv(name, value)
    assert migrate_script([]) == 1
    out, said = capsys.readouterr()
    assert (out, said.count("\n")) == ("", 1)
    assert said.startswith("docent: ")
    assert "newer Docent" in said


def test_a_database_that_is_not_there_is_said() -> None:
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    with pytest.raises(DatabaseUnavailable):
        migrate(url, embedding_model="m", embedding_dimension=8)


def test_a_user_that_may_not_migrate_is_told_so(fresh_database: FreshDatabase) -> None:
    """Making pgvector's extension needs more than a plain user; so does a server without it."""
    up_url = fresh_database.database_url
    owner_rows(up_url, "DROP ROLE IF EXISTS plain_user")
    owner_rows(up_url, "CREATE ROLE plain_user LOGIN")
    name = owner_rows(up_url, "SELECT current_database() AS name")[0]["name"]
    owner_rows(up_url, "DROP SCHEMA public CASCADE")
    owner_rows(up_url, "DROP SCHEMA IF EXISTS jobs CASCADE")
    owner_rows(up_url, f"GRANT ALL ON DATABASE {name} TO plain_user")
    owner_rows(up_url, "CREATE SCHEMA public AUTHORIZATION plain_user")
    try:
        with pytest.raises(ConfigurationError, match="extension"):
            migrate(
                f"{up_url}&options=-crole%3Dplain_user", embedding_model="m", embedding_dimension=8
            )
    finally:
        owner_rows(up_url, "DROP SCHEMA public CASCADE")
        owner_rows(up_url, f"REVOKE ALL ON DATABASE {name} FROM plain_user")
        owner_rows(up_url, "DROP ROLE plain_user")
