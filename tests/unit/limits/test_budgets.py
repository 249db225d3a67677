"""What budgets decide without Redis: what is free or unlimited is nobody's business."""

import math
from types import SimpleNamespace

import pytest

from app.infra.redis import Guarded, RedisAway
from app.limits.budgets import Budgets, BudgetUnknown, SpendingUnavailable


class Away(Guarded):
    """Is never there; counts how often it was asked."""

    asked = 0

    def __init__(self) -> None:
        """It needs no client."""

    async def run(self, command: object) -> None:  # type: ignore[override]
        self.asked += 1
        raise RedisAway


def payer(tenant_budget_usd: float | None = None, key_budget_usd: float | None = None):
    return SimpleNamespace(
        tenant_id="ten_1",
        key_id="key_1",
        tenant_budget_usd=tenant_budget_usd,
        key_budget_usd=key_budget_usd,
    )


@pytest.mark.parametrize(
    ("account", "cost_usd"), [(payer(), 5.0), (payer(1.0, 1.0), 0.0), (payer(0.0, 0.0), 0.0)]
)
async def test_without_a_budget_or_a_cost_redis_is_not_asked(account, cost_usd: float) -> None:
    redis = Away()
    hold = await Budgets(redis).reserve(account, cost_usd)
    await hold.settle(0.0)
    assert redis.asked == 0


@pytest.mark.parametrize(
    ("own", "default"),
    [({"tenant_budget_usd": 1.0}, {}), ({"key_budget_usd": 1.0}, {}),
     ({}, {"tenant_budget_usd": 1.0}), ({}, {"key_budget_usd": 1.0})],
)  # fmt: skip
async def test_with_a_budget_and_no_redis_nobody_knows(own, default) -> None:
    with pytest.raises(BudgetUnknown):
        await Budgets(Away(), **default).reserve(payer(**own), 0.001)


async def test_without_redis_nobody_knows_what_was_spent() -> None:
    with pytest.raises(SpendingUnavailable) as caught:
        await Budgets(Away()).spending("ten_1")
    assert (caught.value.status, caught.value.retryable) == (503, True)


@pytest.mark.parametrize("cost_usd", [math.nan, math.inf, -0.01])
@pytest.mark.parametrize("account", [payer(), payer(1.0)])
async def test_what_is_no_cost_is_not_reserved(account, cost_usd: float) -> None:
    with pytest.raises(ValueError, match="cost"):
        await Budgets(Away()).reserve(account, cost_usd)


async def test_a_settlement_never_fails() -> None:
    redis = Away()
    budgets = Budgets(redis)
    for cost_usd in (0.5, None, math.nan):
        await (await budgets.reserve(payer(), 5.0)).settle(cost_usd)
    await budgets.close()
    assert redis.asked == 4, "each sends the oldest first, and stops there"


def test_a_budget_of_ones_own_goes_before_the_setting() -> None:
    budgets = Budgets(Away(), tenant_budget_usd=5.0, key_budget_usd=1.0)
    assert (budgets.tenant_budget_usd(None), budgets.tenant_budget_usd(0.0)) == (5.0, 0.0)
    assert (budgets.key_budget_usd(None), budgets.key_budget_usd(9.0)) == (1.0, 9.0)
