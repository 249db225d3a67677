"""The second wall: whatever a query forgets, a tenant sees and writes its own rows only.

The tables come from the database's own catalogue, so that a new one without a policy fails here.
"""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb

from app.auth.keys import create_key
from app.infra.postgres import Connection, tenant_transaction
from app.infra.reach import EVERYTHING, reaching
from tests.conftest import FreshDatabase
from tests.integration.workshop import Workshop, open_workshop, owner_rows, write_book

#: Tables that belong to nobody: one row about the index, and Alembic's.
SHARED = {"index_info", "alembic_version", "signing_keys"}
#: An answer that failed is not kept, a workspace may be empty, and members leave.
REMOVABLE = {"idempotent_requests", "workspaces", "workspace_members"}
_OTHER_ROWS = (
    "INSERT INTO idempotent_requests (tenant_id, caller, key, fingerprint, holder, lease_until)"
    " VALUES (%s, 'c', 'k', '', 'h', now())",
    "INSERT INTO webhooks (id, tenant_id, url, secret, events)"
    " VALUES ('whk' || %s, %s, '', 's', '{document.ready}')",
    "INSERT INTO answers (id, tenant_id, caller_id, asked_at, record)"
    " VALUES ('ans' || %s, %s, 'k', now(), '{}')",
    "INSERT INTO feedback (answer_id, tenant_id, caller_id, score, question, cited)"
    " VALUES ('ans' || %s, %s, 'k', 1, 'q', '[]')",
    "INSERT INTO users (id, tenant_id, email, name, role)"
    " VALUES ('usr' || %s, %s, %s, 'n', 'owner')",
    "INSERT INTO invitations (id, tenant_id, code_hash, role, expires_at)"
    " VALUES ('inv' || %s, %s, %s::bytea, 'owner', now())",
    "INSERT INTO oauth_clients (id, tenant_id, name, redirect_uris, scopes, grants)"
    " VALUES ('cli' || %s, %s, 'c', '{}', '{}', '{}')",
    "INSERT INTO token_families (id, tenant_id, client_id, scopes, expires_at)"
    " VALUES ('fam' || %s, %s, 'cli' || %s, '{}', 'infinity')",
    "INSERT INTO refresh_tokens (token_hash, tenant_id, family_id, expires_at)"
    " VALUES (%s::bytea, %s, 'fam' || %s, 'infinity')",
    "INSERT INTO authorization_codes (code_hash, tenant_id, client_id, user_id, redirect_uri,"
    " challenge, scopes, expires_at)"
    " VALUES (%s::bytea, %s, 'cli' || %s, 'usr' || %s, 'r', 'c', '{}', 'infinity')",
    "INSERT INTO workspaces (id, tenant_id, name) VALUES ('wsp' || %s, %s, 'w')",
    "INSERT INTO workspace_members (tenant_id, workspace_id, user_id, manager)"
    " VALUES (%s, 'wsp' || %s, 'usr' || %s, false)",
    "INSERT INTO audit_events (id, tenant_id, action, outcome) VALUES ('aud' || %s, %s, 'a', 'ok')",
    "INSERT INTO webhook_deliveries (id, tenant_id, webhook_id, event, payload, status)"
    " VALUES ('d' || %s, %s, 'whk' || %s, 'document.ready', '{}', 'queued')",
)


@pytest.fixture
async def tenants(
    database: FreshDatabase, tmp_path: Path
) -> AsyncIterator[tuple[Workshop, Workshop]]:
    """Two tenants, each with rows in every table."""
    async with open_workshop(database, "ada") as ada, open_workshop(database, "bob") as bob:
        for shop, name in ((ada, "ada"), (bob, "bob")):
            if not await shop.documents():
                await shop.ingest(write_book(tmp_path / f"{name}.pdf"))
                create_key(database.database_url, b"s", tenant=name, name="k")
                for statement in _OTHER_ROWS:
                    shop.rows(statement, *[shop.tenant_id] * statement.count("%s"))
        yield ada, bob


@pytest.fixture
def everything() -> Iterator[None]:
    """A task that sees all of a tenant's documents and workspaces."""
    with reaching(EVERYTHING):
        yield


def tables(url: str) -> dict[str, str]:
    """Tenant table → the column that says whose a row is."""
    rows = owner_rows(
        url,
        "SELECT table_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND column_name = 'tenant_id'",
    )
    return {"tenants": "id", **{row["table_name"]: "tenant_id" for row in rows}}


async def refused(connection: Connection, query: str, *values: object) -> bool:
    """Whether the database refuses a statement; what it did is undone."""
    try:
        async with connection.transaction(force_rollback=True):
            await connection.execute(query, values)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def test_every_table_belongs_to_a_tenant_or_is_known_not_to(database: FreshDatabase) -> None:
    names = owner_rows(
        database.database_url,
        "SELECT c.relname, c.relrowsecurity, pg_get_userbyid(c.relowner) AS owner,"
        " (SELECT count(*) FROM pg_policies p WHERE p.tablename = c.relname"
        "  AND p.roles = '{docent_app}' AND p.qual IS NOT NULL AND p.with_check IS NOT NULL)"
        "  AS policies FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace"
        " AND c.relkind IN ('r', 'p', 'm', 'v')",
    )
    ours = tables(database.database_url)
    assert len(ours) >= 8
    assert {row["relname"] for row in names} == set(ours) | SHARED
    for row in names:
        if row["relname"] in ours:
            assert row["relrowsecurity"], row
            assert row["policies"] == 1, row
        assert row["owner"] != "docent_app"


def test_the_applications_role_has_no_way_around(database: FreshDatabase) -> None:
    [role] = owner_rows(
        database.database_url, "SELECT * FROM pg_roles WHERE rolname = 'docent_app'"
    )
    for power in ("rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb", "rolcanlogin"):
        assert not role[power], power
    definers = owner_rows(
        database.database_url,
        "SELECT proname, proacl::text AS grants, proconfig FROM pg_proc"
        " WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY proname",
    )
    assert [row["proname"] for row in definers] == [
        "add_signing_key",
        "find_api_key",
        "find_invitation",
        "find_oauth_client",
        "find_oidc_user",
        "find_refresh_token",
        "find_token_family",
        "find_user",
        "forget_answers",
        "forget_lapsed_tokens",
        "forget_old_requests",
        "has_restricted_documents",
        "hidden_documents",
        "next_job_round",
        "note_key_uses",
        "open_tenant",
        "rank_by_text",
        "reached_workspaces",
        "stranded_versions",
        "tenant_of_issuer",
    ]
    for row in definers:
        [path] = [value for value in row["proconfig"] if value.startswith("search_path=")]
        assert path in ("search_path=public, pg_temp", "search_path=public, jobs, pg_temp"), (
            "nobody can slip a table under it"
        )
        assert not re.search(r"[{,]=X/", row["grants"]), "not for everybody"


async def test_the_ranking_that_runs_as_the_owner_keeps_to_the_tenant(
    tenants: tuple[Workshop, Workshop],
) -> None:
    ada, bob = tenants
    documents = {
        row["id"]
        for row in bob.rows("SELECT id FROM documents WHERE tenant_id = %s", bob.tenant_id)
    }
    ranked = (
        "SELECT id FROM rank_by_text(ARRAY['disk'::tsquery, 'limit', 'record'],"
        " ARRAY[1, 1, 1]::float8[], 'disk | limit | record', 9, 50, %s, %s)"
    )
    async with ada.pool.connection() as connection:
        cursor = await connection.execute(ranked, (None, None))
        assert await cursor.fetchall() == [], "no tenant, no rows"
    async with tenant_transaction(ada.pool, ada.tenant_id) as connection:
        own = {
            row["id"]
            for row in ada.rows("SELECT id FROM chunks WHERE tenant_id = %s", ada.tenant_id)
        }
        cursor = await connection.execute(ranked, (None, None))
        found = {row["id"] for row in await cursor.fetchall()}
        assert found
        assert found <= own
        for versions in (None, [1] * len(documents)):
            cursor = await connection.execute(ranked, (list(documents), versions))
            assert await cursor.fetchall() == []


async def test_the_pool_acts_as_the_applications_role(tenants: tuple[Workshop, Workshop]) -> None:
    async with tenants[0].pool.connection() as connection:
        row = await (
            await connection.execute("SELECT current_user AS name, session_user AS login")
        ).fetchone()
    assert row is not None
    assert row["name"] == "docent_app" != row["login"]


@pytest.mark.parametrize("tenant", [None, "", "nobody", "%", "ten_", "' OR true --"])
async def test_without_a_tenant_there_are_no_rows(
    tenants: tuple[Workshop, Workshop], tenant: str | None
) -> None:
    ada, _ = tenants
    async with ada.pool.connection() as connection, connection.transaction():
        if tenant is not None:
            await connection.execute("SELECT set_config('app.tenant', %s, true)", (tenant,))
        for table in tables(ada.url):
            cursor = await connection.execute(f"SELECT count(*) FROM {table}")
            assert await cursor.fetchone() == {"count": 0}, table


async def test_a_tenant_does_not_outlive_its_transaction(
    tenants: tuple[Workshop, Workshop],
) -> None:
    ada, _ = tenants
    async with tenant_transaction(ada.pool, ada.tenant_id) as connection:
        pid = connection.info.backend_pid
    async with ada.pool.connection() as connection:
        assert connection.info.backend_pid == pid
        cursor = await connection.execute("SELECT count(*) FROM documents")
        assert await cursor.fetchone() == {"count": 0}


@pytest.mark.usefixtures("everything")
async def test_a_tenant_sees_its_own_rows_only(tenants: tuple[Workshop, Workshop]) -> None:
    for mine, other in (tenants, reversed(tenants)):
        async with tenant_transaction(mine.pool, mine.tenant_id) as connection:
            for table, column in tables(mine.url).items():
                cursor = await connection.execute(f"SELECT DISTINCT {column} AS whose FROM {table}")
                whose = {row["whose"] for row in await cursor.fetchall()}
                assert whose == {mine.tenant_id}, table
                assert other.rows(f"SELECT 1 FROM {table} WHERE {column} = %s", other.tenant_id)


@pytest.mark.usefixtures("everything")
async def test_a_tenant_writes_its_own_rows_only(tenants: tuple[Workshop, Workshop]) -> None:
    ada, bob = tenants
    async with tenant_transaction(ada.pool, ada.tenant_id) as connection:
        for table, column in tables(ada.url).items():
            columns = ", ".join(
                row["column_name"]
                for row in ada.rows(
                    "SELECT column_name FROM information_schema.columns"
                    " WHERE table_schema = 'public'"
                    " AND table_name = %s AND is_generated = 'NEVER'",
                    table,
                )
            )
            [row] = bob.rows(
                f"SELECT to_jsonb(t) AS of_bob FROM {table} t WHERE {column} = %s LIMIT 1",
                bob.tenant_id,
            )
            insert = (
                f"INSERT INTO {table} ({columns})"
                f" SELECT {columns} FROM jsonb_populate_record(NULL::{table}, %s)"
            )
            assert await refused(connection, insert, Jsonb(row["of_bob"])), f"{table}: inserted"
            assert await refused(connection, f"UPDATE {table} SET {column} = %s", bob.tenant_id), (
                f"{table}: given away"
            )
            if table not in REMOVABLE:
                assert await refused(connection, f"DELETE FROM {table}"), f"{table}: deleted"
            if not await refused(connection, f"UPDATE {table} SET {column} = {column}"):
                cursor = await connection.execute(
                    f"UPDATE {table} SET {column} = {column} WHERE {column} = %s", (bob.tenant_id,)
                )
                assert cursor.rowcount == 0, f"{table}: changed"


async def test_keys_and_ddl_are_out_of_reach(tenants: tuple[Workshop, Workshop]) -> None:
    async with tenants[0].pool.connection() as connection:
        for statement in (
            "CREATE TABLE public.mine (x int)",
            "ALTER TABLE chunks DISABLE ROW LEVEL SECURITY",
            "TRUNCATE chunks",
            "INSERT INTO tenants (id, name) VALUES ('x', 'x')",
            "UPDATE api_keys SET scopes = '{admin}'",
            "UPDATE api_keys SET user_id = NULL",
            "UPDATE api_keys SET key_hash = ''",
            "UPDATE users SET email = 'x@x'",
            "UPDATE invitations SET role = 'owner'",
            "UPDATE audit_events SET outcome = 'ok'",
            "INSERT INTO signing_keys (kid, sealed, sealed_under) VALUES ('k', '', '')",
            "DELETE FROM signing_keys",
            "UPDATE oauth_clients SET redirect_uris = '{https://e.example}'",
            "UPDATE token_families SET user_id = 'usr'",
            "UPDATE authorization_codes SET expires_at = now()",
            "UPDATE index_info SET dimension = 1",
        ):
            assert await refused(connection, statement), statement


async def test_a_search_for_one_tenant_never_finds_the_others(
    tenants: tuple[Workshop, Workshop],
) -> None:
    ada, bob = tenants
    for mine, other in ((ada, bob), (bob, ada)):
        theirs = {
            row["id"]
            for row in other.rows("SELECT id FROM documents WHERE tenant_id = %s", other.tenant_id)
        }
        found = await mine.search("the disk limit of the recorder")
        assert found
        assert not theirs & {passage.document_id for passage in found}
        assert await mine.search("the disk limit", document_ids=tuple(theirs)) == ()
