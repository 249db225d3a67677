"""Budgets in a real Redis: never exceeded, whoever reserves at once, whatever dies on the way."""

import asyncio
import math
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.infra.redis import Guarded, open_redis
from app.limits.budgets import Budgets, BudgetSpent, BudgetUnknown
from app.limits.ledger import Spending
from tests.conftest import ROOT, FreshDatabase
from tests.integration.budget_parts import Account, Faulty, own_redis

#: The session's Redis is shared; a test's tenant is its own.
RESERVE = """
import asyncio, sys
from app.infra.redis import Guarded, open_redis
from app.limits.budgets import Budgets, BudgetSpent
from tests.integration.budget_parts import Account
async def main(url, tenant):
    async with open_redis(url, timeout_s=30) as redis:
        budgets = Budgets(Guarded(redis))
        account = Account(tenant, tenant_budget_usd=1.0)
        sys.stdin.readline()
        async def fits():
            try:
                await budgets.reserve(account, 0.01)
            except BudgetSpent:
                return False
            return True
        print(sum(await asyncio.gather(*(fits() for _ in range(50)))))
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def redis(database: FreshDatabase) -> AsyncIterator[Redis]:
    async with open_redis(database.redis_url, timeout_s=10) as redis:
        yield redis


@pytest.fixture
def budgets(redis: Redis) -> Budgets:
    return Budgets(Guarded(redis))


@pytest.fixture
def tenant() -> str:
    return f"ten_{uuid.uuid4().hex}"


async def spent_by(budgets: Budgets, tenant: str) -> Spending:
    _, total, _ = await budgets.spending(tenant)
    return total


async def test_a_reservation_is_settled_by_what_was_spent(budgets: Budgets, tenant: str) -> None:
    account = Account(tenant, tenant_budget_usd=1.0, key_budget_usd=1.0)
    hold = await budgets.reserve(account, 0.5)
    assert await spent_by(budgets, tenant) == Spending(0, 500_000)
    await hold.settle(0.2)
    await hold.settle(0.3)
    month, total, by_key = await budgets.spending(tenant)
    assert total == Spending(200_000, 0)
    assert by_key == {"key_1": total}
    assert month.starts_at <= datetime.now(UTC) < month.ends_at


async def test_what_does_not_fit_is_refused_and_says_which_budget(
    redis: Redis, tenant: str
) -> None:
    budgets = Budgets(Guarded(redis), clock=lambda: datetime(2026, 12, 5, tzinfo=UTC))
    small = Account(tenant, "key_1", tenant_budget_usd=1.0, key_budget_usd=0.3)
    await (await budgets.reserve(small, 0.3)).settle(0.3)
    with pytest.raises(BudgetSpent) as caught:
        await budgets.reserve(small, 0.000001)
    error = caught.value
    assert (error.status, error.code, error.retryable) == (402, "budget_spent", False)
    assert error.extras == {
        "budget": "key",
        "limit_usd": 0.3,
        "spent_usd": 0.3,
        "reset_at": "2027-01-01T00:00:00Z",
    }
    other = Account(tenant, "key_2", tenant_budget_usd=1.0)
    with pytest.raises(BudgetSpent) as caught:
        await budgets.reserve(other, 0.71)
    assert (caught.value.extras["budget"], caught.value.extras["spent_usd"]) == ("tenant", 0.3)
    held = await budgets.reserve(other, 0.7)
    with pytest.raises(BudgetSpent) as caught:
        await budgets.reserve(other, 0.1)
    assert caught.value.retryable, "only an answer that is under way stands in its way"
    await held.settle(0.0)
    await budgets.reserve(other, 0.1)


async def test_tenants_and_keys_do_not_pay_for_each_other(budgets: Budgets, tenant: str) -> None:
    one, two = (Account(tenant, key, key_budget_usd=0.1) for key in ("key_1", "key_2"))
    await budgets.reserve(one, 0.1)
    await budgets.reserve(two, 0.1)
    await budgets.reserve(Account(f"{tenant}x", tenant_budget_usd=0.1), 0.1)
    with pytest.raises(BudgetSpent):
        await budgets.reserve(one, 0.1)


@pytest.mark.parametrize("most", [{"tenant_budget_usd": 1.0}, {"key_budget_usd": 1.0}])
async def test_200_at_once_over_several_connections_stay_within(
    database: FreshDatabase, tenant: str, most: dict[str, float]
) -> None:
    async with AsyncExitStack() as stack:
        workers = [
            Budgets(
                Guarded(
                    await stack.enter_async_context(open_redis(database.redis_url, timeout_s=30))
                )
            )
            for _ in range(4)
        ]
        tried = await asyncio.gather(
            *(workers[n % 4].reserve(Account(tenant, **most), 0.01) for n in range(200)),
            return_exceptions=True,
        )
        assert sum(isinstance(one, BudgetSpent) for one in tried) == 100
        holds = [one for one in tried if not isinstance(one, BaseException)]
        assert len(holds) == 100
        assert await spent_by(workers[0], tenant) == Spending(0, 1_000_000)
        await asyncio.gather(*(hold.settle(0.01) for hold in holds))
        assert await spent_by(workers[0], tenant) == Spending(1_000_000, 0)


async def test_200_at_once_from_several_processes_stay_within(
    database: FreshDatabase, budgets: Budgets, tenant: str
) -> None:
    command = [sys.executable, "-c", RESERVE, database.redis_url, tenant]
    processes = [
        subprocess.Popen(  # noqa: ASYNC220 - nothing else runs on this loop
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    reserved = [process.communicate(timeout=60)[0] for process in processes]
    assert sum(map(int, reserved)) == 100, reserved
    assert await spent_by(budgets, tenant) == Spending(0, 1_000_000)


async def test_the_hold_of_a_worker_that_died_lapses(redis: Redis, tenant: str) -> None:
    dying, living = Budgets(Guarded(redis), hold_s=0), Budgets(Guarded(redis))
    account = Account(tenant, tenant_budget_usd=1.0)
    lapsed = await dying.reserve(account, 1.0)
    assert await spent_by(living, tenant) == Spending(0, 0)
    hold = await living.reserve(account, 1.0)
    with pytest.raises(BudgetSpent):
        await living.reserve(account, 0.1)
    await lapsed.settle(0.4)  # it was only slow
    await hold.settle(0.9)
    assert await spent_by(living, tenant) == Spending(1_300_000, 0)


async def test_an_answer_may_cost_more_than_was_put_aside(budgets: Budgets, tenant: str) -> None:
    account = Account(tenant, tenant_budget_usd=1.0)
    await (await budgets.reserve(account, 0.1)).settle(5.0)
    assert await spent_by(budgets, tenant) == Spending(5_000_000, 0)
    with pytest.raises(BudgetSpent) as caught:
        await budgets.reserve(account, 0.1)
    assert caught.value.extras["spent_usd"] == 5.0


@pytest.mark.parametrize("told", [None, math.nan, math.inf, -1.0])
async def test_a_cost_nobody_knows_is_all_that_was_put_aside(
    budgets: Budgets, tenant: str, told: float | None
) -> None:
    await (await budgets.reserve(Account(tenant, tenant_budget_usd=1.0), 0.1)).settle(told)
    assert await spent_by(budgets, tenant) == Spending(100_000, 0)


async def test_huge_sums_are_counted_and_do_not_break(budgets: Budgets, tenant: str) -> None:
    account = Account(tenant, tenant_budget_usd=99_999_999.0)
    await (await budgets.reserve(Account(tenant), 1e300)).settle(1e300)
    assert await spent_by(budgets, tenant) == Spending(10**12, 0)
    hold = await budgets.reserve(account, 1e6)
    assert await spent_by(budgets, tenant) == Spending(10**12, 10**12)
    await hold.settle(0.000001)
    assert await spent_by(budgets, tenant) == Spending(10**12 + 1, 0)
    with pytest.raises(BudgetSpent):
        await budgets.reserve(Account(tenant, tenant_budget_usd=999_999.0), 1e300)


async def test_spending_is_counted_without_a_budget_too(budgets: Budgets, tenant: str) -> None:
    await (await budgets.reserve(Account(tenant), 0.5)).settle(0.25)
    free = await budgets.reserve(Account(tenant, tenant_budget_usd=0.0), 0.0)
    await free.settle(0.01)
    assert await spent_by(budgets, tenant) == Spending(260_000, 0)


async def test_a_month_begins_at_nothing_and_the_one_before_is_forgotten(
    redis: Redis, tenant: str
) -> None:
    now = datetime(2026, 5, 31, 23, 59, tzinfo=UTC)
    budgets = Budgets(Guarded(redis), clock=lambda: now)
    account = Account(tenant, tenant_budget_usd=1.0)
    await (await budgets.reserve(account, 0.8)).settle(0.8)
    late = await budgets.reserve(account, 0.2)
    may, june = (f"budget:{{{tenant}}}:2026-{month}" for month in ("05", "06"))
    now = datetime(2026, 6, 1, tzinfo=UTC)
    hold = await budgets.reserve(account, 0.8)
    await late.settle(0.2)
    assert await redis.hget(may, "total") == b"1000000", "it counts where it was reserved"
    assert await redis.ttl(may) == -1
    await hold.settle(0.7)
    assert await spent_by(budgets, tenant) == Spending(700_000, 0)
    assert await redis.ttl(may) > 30 * 86_400
    assert await redis.ttl(june) == -1, "a Redis that is full must not evict it"


async def test_costs_wait_for_a_redis_that_is_away(redis: Redis, tenant: str) -> None:
    faulty = Faulty(redis)
    budgets, account = Budgets(faulty), Account(tenant, tenant_budget_usd=1.0)
    holds = [await budgets.reserve(account, 0.2) for _ in range(3)]
    faulty.away = True
    await holds[0].settle(0.1)
    faulty.away, faulty.loses_answers = False, True
    await holds[1].settle(0.2)
    faulty.loses_answers = False
    await holds[2].settle(0.2)
    assert await spent_by(budgets, tenant) == Spending(500_000, 0), "each once"


async def test_a_client_that_leaves_has_cost_what_it_has_cost(redis: Redis, tenant: str) -> None:
    faulty = Faulty(redis)
    budgets, account = Budgets(faulty), Account(tenant, tenant_budget_usd=1.0)
    hold = await budgets.reserve(account, 0.2)
    faulty.keeps_waiting = True
    settling = asyncio.create_task(hold.settle(0.1))
    await faulty.waited_for.wait()
    settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await settling
    faulty.keeps_waiting = False
    await budgets.close()
    assert await spent_by(budgets, tenant) == Spending(100_000, 0)


async def test_a_frozen_redis_refuses_what_costs_and_loses_nothing(
    tmp_path: Path, tenant: str
) -> None:
    with own_redis(tmp_path) as (url, process):
        async with open_redis(url, timeout_s=1) as redis:
            budgets = Budgets(Guarded(redis, left_alone_s=0))
            account = Account(tenant, tenant_budget_usd=1.0)
            hold = await budgets.reserve(account, 0.3)
            os.kill(process.pid, signal.SIGSTOP)
            try:
                with pytest.raises(BudgetUnknown):
                    await budgets.reserve(account, 0.1)
                await budgets.reserve(Account(tenant), 0.1)
                await budgets.reserve(account, 0.0)
                await hold.settle(0.25)
            finally:
                os.kill(process.pid, signal.SIGCONT)
            await redis.ping()
            total = await spent_by(budgets, tenant)
            assert total.spent_micros == 250_000, "sent twice, counted once"
            assert total.held_micros == 0, "the refused one had arrived, and is given back"


async def test_a_redis_that_is_full_goes_on_counting(tmp_path: Path, tenant: str) -> None:
    """Each script begins with a command that frees memory; Redis then lets it finish."""
    with own_redis(tmp_path) as (url, _):
        async with open_redis(url, timeout_s=10) as redis:
            budgets = Budgets(Guarded(redis, left_alone_s=0))
            account = Account(tenant, tenant_budget_usd=1.0)
            hold = await budgets.reserve(account, 0.3)
            await redis.config_set("maxmemory", "1")
            with pytest.raises(RedisError):
                await redis.set("anything", "else")
            await redis.script_flush()
            await hold.settle(0.25)
            await budgets.reserve(account, 0.1)
            assert await spent_by(budgets, tenant) == Spending(250_000, 100_000)


async def test_what_redis_forgets_is_forgotten(tmp_path: Path, tenant: str) -> None:
    """ADR 11 says so; who settles afterwards still counts."""
    with own_redis(tmp_path) as (url, _):
        async with open_redis(url, timeout_s=10) as redis:
            budgets = Budgets(Guarded(redis))
            account = Account(tenant, tenant_budget_usd=1.0)
            await (await budgets.reserve(account, 0.5)).settle(0.5)
            hold = await budgets.reserve(account, 0.5)
            await redis.flushall()
            await hold.settle(0.4)
            assert await spent_by(budgets, tenant) == Spending(400_000, 0)
