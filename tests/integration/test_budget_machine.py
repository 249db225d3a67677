"""Random lives of budgets against a plain model, on a real Redis that comes and goes."""

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.infra.redis import open_redis
from app.limits.budgets import Budgets, BudgetSpent, BudgetUnknown, Hold
from tests.conftest import FreshDatabase
from tests.integration.budget_parts import Account, Faulty

TENANT_MICROS = 1000
#: The third key has no budget of its own.
KEYS = (("key_1", 600), ("key_2", 300), ("key_3", None))
NUMBERS = itertools.count()
KEY = st.integers(0, len(KEYS) - 1)
COST = st.integers(0, 700)


class BudgetMachine(RuleBasedStateMachine):
    """Every rule does one thing to the product and to the model; the invariant compares them."""

    def __init__(self, redis_url: str) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.stack = AsyncExitStack()
        redis = self.run(self.stack.enter_async_context(open_redis(redis_url, timeout_s=30)))
        self.redis = Faulty(redis)
        self.now = datetime(2026, 11, 30, tzinfo=UTC)
        self.tenant = f"ten_machine_{os.getpid()}_{next(NUMBERS)}"
        self.budgets = Budgets(self.redis, clock=lambda: self.now)
        self.dying = Budgets(self.redis, clock=lambda: self.now, hold_s=0)
        # The model, in micro-dollars: spent by month and key, held by key for each hold.
        self.spent: Counter[tuple[str, str]] = Counter()
        self.held: dict[int, tuple[str, int]] = {}
        self.open: list[tuple[int | None, str, int, str, Hold]] = []
        self.ids = itertools.count()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run(coroutine)

    def month(self) -> str:
        return f"{self.now:%Y-%m}"

    def has(self, key: str | None) -> tuple[int, int]:
        """Spent this month and held, by a key or (None) by all."""
        spent = sum(
            cost
            for (month, whose), cost in self.spent.items()
            if month == self.month() and key in (None, whose)
        )
        return spent, sum(cost for whose, cost in self.held.values() if key in (None, whose))

    def refusal(self, key: str, budget: int | None, cost: int) -> tuple[str, int] | None:
        for name, limit, whose in (("tenant", TENANT_MICROS, None), ("key", budget, key)):
            spent, held = self.has(whose)
            if cost and limit is not None and spent + held + cost > limit:
                return name, spent
        return None

    @rule(number=KEY, cost=COST, dies=st.booleans())
    def reserve(self, number: int, cost: int, dies: bool) -> None:
        key, budget = KEYS[number]
        account = Account(
            self.tenant, key, TENANT_MICROS / 1e6, None if budget is None else budget / 1e6
        )
        refusal = self.refusal(key, budget, cost)
        budgets = self.dying if dies else self.budgets
        try:
            hold = self.run(budgets.reserve(account, cost / 1e6))
        except BudgetSpent as error:
            assert refusal is not None
            told = error.extras["budget"], round(error.extras["spent_usd"] * 1e6)
            assert told == refusal
            assert not self.redis.away
        except BudgetUnknown:
            assert self.redis.away
            assert cost > 0
        else:
            assert refusal is None or (cost == 0)
            name = next(self.ids) if cost and not dies else None
            if name is not None:
                self.held[name] = key, cost
            self.open.append((name, key, cost, self.month(), hold))

    @precondition(lambda self: self.open)
    @rule(number=st.integers(0, 99), cost=COST | st.none(), lost=st.booleans())
    def settle(self, number: int, cost: int | None, lost: bool) -> None:
        """Sometimes the answer of Redis is lost, and the same is sent again later."""
        name, key, put_aside, month, hold = self.open.pop(number % len(self.open))
        self.redis.loses_answers = lost and name is not None
        self.run(hold.settle(None if cost is None else cost / 1e6))
        self.redis.loses_answers = False
        self.run(hold.settle(0.0005))  # nothing: it is settled
        self.held.pop(name, None)  # type: ignore[arg-type]
        self.spent[month, key] += put_aside if cost is None else cost

    @rule()
    def redis_goes_or_comes(self) -> None:
        self.redis.away = not self.redis.away

    @precondition(lambda self: self.month() < "2027-02")
    @rule()
    def the_month_ends(self) -> None:
        self.now = (self.now + timedelta(days=31)).replace(day=1)

    @invariant()
    def the_counters_are_the_models(self) -> None:
        if self.redis.away:
            return
        self.run(self.dying.close())  # what its settlements owe is counted as well
        _, total, by_key = self.run(self.budgets.spending(self.tenant))
        assert (total.spent_micros, total.held_micros) == self.has(None)
        for key, _ in KEYS:
            found = by_key.get(key)
            assert self.has(key) == ((found.spent_micros, found.held_micros) if found else (0, 0))

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.loop.close()


def test_budgets_are_what_a_plain_model_says(database: FreshDatabase) -> None:
    run_state_machine_as_test(
        lambda: BudgetMachine(database.redis_url),
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
