"""What was put aside is given back, also when nobody was told that it had been."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from app.infra.redis import Guarded, open_redis
from app.limits import budgets as module
from app.limits.budgets import Budgets, BudgetUnknown
from app.limits.ledger import Spending
from tests.conftest import FreshDatabase
from tests.integration.budget_parts import Account, Faulty


@pytest.fixture
async def redis(database: FreshDatabase) -> AsyncIterator[Redis]:
    async with open_redis(database.redis_url, timeout_s=10) as redis:
        yield redis


@pytest.fixture
def account() -> Account:
    return Account(f"ten_{uuid.uuid4().hex}", tenant_budget_usd=1.0)


async def seen_by_another(redis: Redis, account: Account) -> Spending:
    """What another worker finds, to which nobody owes anything."""
    _, total, _ = await Budgets(Guarded(redis)).spending(account.tenant_id)
    return total


async def test_a_client_that_leaves_while_money_is_put_aside_leaves_none_there(
    redis: Redis, account: Account
) -> None:
    faulty = Faulty(redis)
    faulty.keeps_waiting = True
    reserving = asyncio.create_task(Budgets(faulty).reserve(account, 0.2))
    await faulty.waited_for.wait()
    assert await seen_by_another(redis, account) == Spending(0, 200_000)
    faulty.keeps_waiting = False
    reserving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reserving
    assert await seen_by_another(redis, account) == Spending(0, 0)


async def test_money_that_nobody_knows_to_be_put_aside_is_given_back(
    redis: Redis, account: Account
) -> None:
    faulty = Faulty(redis)
    faulty.loses_answers = True
    with pytest.raises(BudgetUnknown):
        await Budgets(faulty).reserve(account, 0.2)
    assert await seen_by_another(redis, account) == Spending(0, 0)


async def test_what_is_owed_is_sent_before_anybody_asks_this_worker_again(
    redis: Redis, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEFT_ALONE_S", 0.01)
    faulty = Faulty(redis)
    budgets = Budgets(faulty)
    hold = await budgets.reserve(account, 0.2)
    faulty.away = True
    await hold.settle(0.1)
    assert await seen_by_another(redis, account) == Spending(0, 200_000)
    faulty.away, faulty.keeps_waiting = False, True
    async with asyncio.timeout(10):
        await faulty.waited_for.wait()
    assert await seen_by_another(redis, account) == Spending(100_000, 0)
    faulty.keeps_waiting = False
    await budgets.close()
