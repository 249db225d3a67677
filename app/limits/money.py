"""Sums of money and the months they are counted in.

Counters hold whole micro-dollars, because floats do not add up. A cost is rounded up and a budget
down, so that rounding never lets anybody spend more.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import isfinite

_MICROS = 1_000_000
#: More than any answer costs; what is above is counted as this, and the counters cannot overflow.
MAX_COST_USD = 1_000_000.0


def cost_micros(cost_usd: float) -> int:
    """A cost in micro-dollars, rounded up.

    Raises:
        ValueError: it is negative or not finite.
    """
    if not isfinite(cost_usd) or cost_usd < 0:
        raise ValueError(f"a cost of {cost_usd} US dollars")
    cost = Decimal(repr(float(min(cost_usd, MAX_COST_USD))))
    return int((cost * _MICROS).to_integral_value(ROUND_CEILING))


def budget_micros(budget_usd: float | None) -> int | None:
    """A budget in micro-dollars, rounded down; None stays what it is: no budget."""
    if budget_usd is None:
        return None
    return int((Decimal(repr(float(budget_usd))) * _MICROS).to_integral_value(ROUND_FLOOR))


def usd(micros: int) -> float:
    """Micro-dollars as US dollars."""
    return micros / _MICROS


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month, UTC."""

    starts_at: datetime

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        """The month of ``moment``, which knows its time zone."""
        return cls(moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0))

    @property
    def name(self) -> str:
        """Such as ``2026-05``."""
        return f"{self.starts_at:%Y-%m}"

    @property
    def ends_at(self) -> datetime:
        """The first moment of the next month: budgets are whole again."""
        return self._moved(1)

    @property
    def before(self) -> "Month":
        """The month before this one."""
        return Month(self._moved(-1))

    def _moved(self, months: int) -> datetime:
        years, month = divmod(self.starts_at.month - 1 + months, 12)
        return self.starts_at.replace(year=self.starts_at.year + years, month=month + 1)
