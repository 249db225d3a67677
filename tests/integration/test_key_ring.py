"""Keys against the real table: hashed there, refused once revoked or expired, whoever asks."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from app.auth.keys import KeyRing, create_key, hash_key, set_tenant_budget, tenant_named
from app.errors import NotAuthenticated
from app.infra.postgres import DatabaseUnavailable, open_pool
from tests.conftest import FreshDatabase
from tests.integration.workshop import owner_rows

SECRET = b"secret"


@pytest.fixture
async def ring(database: FreshDatabase) -> AsyncIterator[KeyRing]:
    async with open_pool(database.database_url, size=1, timeout_s=5) as pool:
        yield KeyRing(pool, SECRET)


def mint(database: FreshDatabase, tenant: str = "ada", **more) -> str:
    return create_key(database.database_url, SECRET, tenant=tenant, name="test", **more)


async def test_a_key_names_its_tenant_and_scopes(ring: KeyRing, database: FreshDatabase) -> None:
    key = mint(database, scopes=["chat", "docs:read"])
    caller = await ring.caller(key)
    assert caller.tenant_id == tenant_named(database.database_url, " ada ")
    assert caller.scopes == {"chat", "docs:read"}
    assert caller.id.startswith("key_")


def test_the_key_itself_is_nowhere_in_the_database(database: FreshDatabase) -> None:
    key = mint(database)
    assert len(key) >= 40
    rows = owner_rows(
        database.database_url, "SELECT to_jsonb(k)::text AS row, key_hash FROM api_keys k"
    )
    assert not [row for row in rows if key in row["row"] or key.removeprefix("dk_") in row["row"]]
    assert hash_key(key, SECRET) in {bytes(row["key_hash"]) for row in rows}


@pytest.mark.parametrize("key", ["", "dk_", "x' OR '1'='1", "a\0b", "dk_" + "A" * 43])
async def test_what_is_no_key_is_refused(ring: KeyRing, key: str) -> None:
    with pytest.raises(NotAuthenticated):
        await ring.caller(key)


@pytest.mark.parametrize("change", ["revoked_at = now()", "expires_at = now()"])
async def test_a_key_stops_working_with_the_next_request(
    ring: KeyRing, database: FreshDatabase, change: str
) -> None:
    key = mint(database)
    caller = await ring.caller(key)
    owner_rows(database.database_url, f"UPDATE api_keys SET {change} WHERE id = %s", caller.id)
    with pytest.raises(NotAuthenticated):
        await ring.caller(key)


async def test_a_caller_brings_its_budgets(ring: KeyRing, database: FreshDatabase) -> None:
    key = mint(database, "spender", budget_usd=0.07)
    caller = await ring.caller(key)
    assert (caller.tenant_budget_usd, caller.key_budget_usd) == (None, 0.07)
    for budget_usd in (12.5, 0.0, 99_999_999, None):
        set_tenant_budget(database.database_url, "spender", budget_usd)
        assert (await ring.caller(key)).tenant_budget_usd == budget_usd
    assert (await ring.caller(mint(database, "spender"))).key_budget_usd is None


@pytest.mark.parametrize("value", ["NaN", "-1", "100000000", "Infinity"])
@pytest.mark.parametrize("table", ["tenants", "api_keys"])
def test_what_is_no_budget_is_not_stored(database: FreshDatabase, table: str, value: str) -> None:
    mint(database, "spender")
    with pytest.raises(psycopg.DataError if value == "Infinity" else psycopg.Error):
        owner_rows(database.database_url, f"UPDATE {table} SET budget_usd = %s::numeric", value)


async def test_a_key_of_another_secret_is_refused(ring: KeyRing, database: FreshDatabase) -> None:
    key = create_key(database.database_url, b"another", tenant="ada", name="test")
    with pytest.raises(NotAuthenticated):
        await ring.caller(key)


async def test_without_a_database_nobody_is_let_in(database: FreshDatabase) -> None:
    async with open_pool(database.database_url, size=1, timeout_s=0.2) as pool:
        ring = KeyRing(pool, SECRET)
        key = mint(database)
    with pytest.raises(DatabaseUnavailable):
        await ring.caller(key)


def test_tenants_are_made_once_and_stay_apart(database: FreshDatabase) -> None:
    names = ["7", "007", "7.0", "O'Brien", "x' OR '1'='1"]
    ids = [tenant_named(database.database_url, name) for name in names]
    assert len(set(ids)) == len(names)
    assert [tenant_named(database.database_url, name) for name in names] == ids
