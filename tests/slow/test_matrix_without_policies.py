"""The tenant matrix once more, with row-level security switched off: the queries do it alone.

Two walls stand between tenants. The other tests see both at once, so that a hole in one of them
shows only here: a look-up that names an id and not its tenant finds another's.
"""

import asyncio
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from psycopg import sql

from app.auth.keys import create_key
from tests.acceptance.conftest import CANARY, Api, add_canary, serving
from tests.conftest import SECRET, FreshDatabase
from tests.security.test_tenant_matrix import (  # noqa: F401 - fixtures, and tests to run again
    operations,
    stranger_token,
    test_another_tenants_ids_do_not_exist,
    test_what_a_stranger_may_ask_holds_no_canary,
    victim,
)


@pytest.fixture(scope="module")
def api(samples: FreshDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    home = tmp_path_factory.mktemp("unguarded")
    document_id = asyncio.run(add_canary(samples, home))
    assert switch_off(samples.database_url) > 20
    keys = [
        create_key(samples.database_url, SECRET.encode(), tenant=tenant, name="test")
        for tenant in ("default", CANARY)
    ]
    with serving(samples, home) as (url, _):
        httpx.get(f"{url}/livez", timeout=180).raise_for_status()
        yield Api(url, samples, keys[0], keys[1], document_id)


def switch_off(database_url: str) -> int:
    """Let everybody see every row; of how many tables."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        guarded = owner.execute(
            "SELECT relname FROM pg_class"
            " WHERE relrowsecurity AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        for (name,) in guarded:
            owner.execute(
                sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY").format(sql.Identifier(name))
            )
    return len(guarded)
