"""``GET /api/v1/admin/usage``: what was spent, by whom, of what, and who may know."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from app.auth.caller import Caller
from app.auth.keys import KeyRing, create_key, set_tenant_budget
from app.infra.postgres import open_pool
from app.infra.redis import Guarded, open_redis
from app.limits.budgets import Budgets
from app.limits.money import Month
from app.llm.completion import Account
from tests.acceptance.conftest import CANARY, Api, serving
from tests.acceptance.test_refusals import check_problem
from tests.conftest import SECRET

USAGE = "/api/v1/admin/usage"
TENANT = "usage"


def mint(api: Api, name: str, **more) -> str:
    url = api.database.database_url
    return create_key(url, SECRET.encode(), tenant=TENANT, name=name, **more)


async def spend(api: Api, key: str, *, spent_usd: float, held_usd: float) -> Caller:
    """What the router does for an answer that is done, and for one under way."""
    async with (
        open_pool(api.database.database_url, size=1, timeout_s=5) as pool,
        open_redis(api.database.redis_url, timeout_s=10) as redis,
    ):
        caller = await KeyRing(pool, SECRET.encode()).caller(key)
        budgets = Budgets(Guarded(redis))
        account = Account(
            caller.tenant_id, caller.id, caller.tenant_budget_usd, caller.key_budget_usd
        )
        await (await budgets.reserve(account, spent_usd)).settle(spent_usd)
        await budgets.reserve(account, held_usd)
    return caller


def test_an_administrator_sees_what_was_spent(api: Api) -> None:
    set_tenant_budget(api.database.database_url, TENANT, 20)
    boss, clerk = mint(api, "boss"), mint(api, "clerk", budget_usd=1.5)
    spender = asyncio.run(spend(api, clerk, spent_usd=0.25, held_usd=0.5))
    with api.client(boss) as client:
        usage = client.get(USAGE).json()
        reset_at = usage["tenant"]["reset_at"]
        assert datetime.fromisoformat(reset_at) == Month.of(datetime.now(UTC)).ends_at
        spending = {"spent_usd": 0.25, "held_usd": 0.5, "reset_at": reset_at}
        assert usage["tenant"] == {**spending, "budget_usd": 20.0}
        by_name = {item["name"]: item for item in usage["items"]}
        assert by_name["clerk"] == {
            **spending, "key_id": spender.id, "name": "clerk", "budget_usd": 1.5,
        }  # fmt: skip
        nothing = {"spent_usd": 0.0, "held_usd": 0.0, "budget_usd": None}
        assert by_name["boss"].items() >= nothing.items()

        first = client.get(USAGE, params={"limit": 1}).json()
        assert (len(first["items"]), first["has_more"]) == (1, True)
        rest = client.get(USAGE, params={"after": first["next"]}).json()
        assert (rest["has_more"], rest["next"]) == (False, None)
        assert [*first["items"], *rest["items"]] == usage["items"]


def test_other_tenants_are_not_in_it(api: Api) -> None:
    with api.client(api.other_key) as client:
        usage = client.get(USAGE)
        assert {item["name"] for item in usage.json()["items"]} == {"test"}
        assert usage.json()["tenant"]["spent_usd"] == 0
        assert CANARY not in usage.text


def test_who_is_no_administrator_is_told_nothing(api: Api, stranger: httpx.Client) -> None:
    check_problem(stranger.get(USAGE), 401, "not_authenticated")
    with api.client(api.mint("chat", "docs:read", "docs:write")) as client:
        problem = check_problem(client.get(USAGE), 403, "not_allowed")
        assert problem["required_scope"] == "admin"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "after=%00", "month=2026-01"])
def test_a_wrong_parameter_is_named(client: httpx.Client, query: str) -> None:
    problem = check_problem(client.get(f"{USAGE}?{query}"), 422, "invalid_request")
    assert problem["errors"][0]["field"] == query.partition("=")[0]


def test_without_redis_it_says_so_and_settings_give_budgets(api: Api, tmp_path: Path) -> None:
    with (
        serving(api.database, tmp_path, REDIS_URL=f"unix://{tmp_path}/no.sock") as (url, _),
        api.client() as client,
    ):
        check_problem(client.get(f"{url}{USAGE}", timeout=180), 503, "spending_unavailable")
    with (
        serving(api.database, tmp_path, TENANT_BUDGET_USD="9", KEY_BUDGET_USD="2") as (url, _),
        api.client() as client,
    ):
        usage = client.get(f"{url}{USAGE}", timeout=180).json()
        assert usage["tenant"]["budget_usd"] == 9
        assert {item["budget_usd"] for item in usage["items"]} == {2}


def test_it_is_documented(client: httpx.Client) -> None:
    operation = client.get("/openapi.json").json()["paths"][USAGE]["get"]
    assert operation["operationId"] == "usage"
    assert {"200", "401", "403", "422", "503"} <= set(operation["responses"])


def test_an_admin_sees_the_tenants_jobs(api: Api, client: httpx.Client) -> None:
    mine = client.get("/api/v1/jobs?limit=2").json()
    assert mine["items"]
    assert client.get("/api/v1/admin/jobs?limit=2").json() == mine
    with api.client(api.mint("admin")) as admin:
        assert admin.get("/api/v1/jobs").status_code == 403
        assert admin.get("/api/v1/admin/jobs?limit=2").json() == mine
