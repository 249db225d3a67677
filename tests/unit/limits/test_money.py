"""Money is whole micro-dollars, rounded against the spender; months are calendar months of UTC."""

import math
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.limits.money import MAX_COST_USD, Month, budget_micros, cost_micros, usd

COSTS = st.floats(0, MAX_COST_USD)


@pytest.mark.parametrize(
    ("cost_usd", "micros"),
    [(0, 0), (-0.0, 0), (0.00025, 250), (0.07, 70_000),
     (1e-9, 1), (5e-324, 1), (1.0000001, 1_000_001),
     (29, 29_000_000), (1e300, 10**12)],
)  # fmt: skip
def test_a_cost_is_rounded_up(cost_usd: float, micros: int) -> None:
    assert cost_micros(cost_usd) == micros


@pytest.mark.parametrize("cost_usd", [math.nan, math.inf, -math.inf, -1e-9])
def test_what_is_no_cost_is_refused(cost_usd: float) -> None:
    with pytest.raises(ValueError, match="cost"):
        cost_micros(cost_usd)


@given(COSTS)
def test_rounding_never_lets_anybody_spend_more(amount_usd: float) -> None:
    # What is written down counts, 0.07 and not the binary fraction next to it.
    written = Fraction(repr(amount_usd)) * 1_000_000
    budget = budget_micros(amount_usd)
    assert budget is not None
    assert budget <= written <= cost_micros(amount_usd)
    assert cost_micros(amount_usd) - budget <= 1


@given(st.integers(0, 10**14))
def test_a_counter_is_told_as_it_is(micros: int) -> None:
    assert budget_micros(usd(micros)) == micros


def test_no_budget_is_none() -> None:
    assert budget_micros(None) is None
    assert budget_micros(0) == 0


@pytest.mark.parametrize(
    ("moment", "name", "ends", "before"),
    [(datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC), "2026-05", (2026, 6), "2026-04"),
     (datetime(2026, 12, 1, tzinfo=UTC), "2026-12", (2027, 1), "2026-11"),
     (datetime(2027, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2026-12", (2027, 1),
      "2026-11"),
     (datetime(2028, 1, 31, tzinfo=UTC), "2028-01", (2028, 2), "2027-12")],
)  # fmt: skip
def test_months_are_of_utc(moment: datetime, name: str, ends: tuple[int, int], before: str) -> None:
    month = Month.of(moment)
    assert (month.name, month.before.name) == (name, before)
    assert month.ends_at == datetime(*ends, 1, tzinfo=UTC)
    assert Month.of(month.ends_at).before == month
