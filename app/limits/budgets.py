"""Budgets of tenants and keys: a cost is reserved before it is caused, and settled after.

All workers count in one Redis, so that together they never reserve more than a budget has left.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import structlog

from app.errors import AppError, Unavailable
from app.infra.redis import LEFT_ALONE_S, Guarded, RedisAway, RedisLeftAlone
from app.limits.ledger import Charge, Ledger, Limits, Refusal, Spending, new_hold
from app.limits.money import Month, budget_micros, cost_micros, usd

log = structlog.get_logger(__name__)
#: Costs that wait for Redis to come back; some hours of answers, some megabytes.
MAX_OWED = 10_000


class BudgetSpent(AppError):
    """The budget of this month is spent."""

    status, code = 402, "budget_spent"


class BudgetUnknown(Exception):
    """Redis is away, so nobody knows what is left; whatever costs money is to be left out.

    No :class:`AppError`: answers that cost nothing can still be given.
    """


class SpendingUnavailable(Unavailable):
    """What was spent is not known at the moment; try again shortly."""

    code = "spending_unavailable"


class Account(Protocol):
    """Who pays; a budget of None leaves it to the settings."""

    @property
    def tenant_id(self) -> str: ...
    @property
    def key_id(self) -> str: ...
    @property
    def tenant_budget_usd(self) -> float | None: ...
    @property
    def key_budget_usd(self) -> float | None: ...


class Budgets:
    """Reserves and settles for this process.

    While Redis is away costs are kept here and counted when it is back; they are lost when the
    process ends before that.
    """

    def __init__(
        self,
        redis: Guarded,
        *,
        tenant_budget_usd: float | None = None,
        key_budget_usd: float | None = None,
        hold_s: float = 120.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Count in ``redis``.

        Args:
            redis: Shared by all workers.
            tenant_budget_usd: Of a tenant without one of its own; None = no budget.
            key_budget_usd: Of a key without one of its own; None = no budget.
            hold_s: How long a hold counts unless it is settled; longer than any answer takes.
            clock: Tells the month.
        """
        self._ledger = Ledger(redis)
        self._tenant_budget_usd, self._key_budget_usd = tenant_budget_usd, key_budget_usd
        self._hold_s = hold_s
        self._clock = clock
        self._owed: deque[Charge] = deque(maxlen=MAX_OWED)
        self._payer: asyncio.Task[None] | None = None
        self._closed = False

    async def reserve(self, account: Account, cost_usd: float) -> "Hold":
        """Put ``cost_usd``, the most an attempt may cost, aside.

        What costs nothing always fits; then, and without any budget, Redis is not asked.

        Raises:
            BudgetSpent: it does not fit; retryable if it would, but for answers under way.
            BudgetUnknown: there is a budget, and Redis is away.
            ValueError: the cost is negative or not finite.
        """
        wanted = Charge(
            account.tenant_id, account.key_id, Month.of(self._clock()), cost_micros(cost_usd)
        )
        limits = Limits(
            budget_micros(self.tenant_budget_usd(account.tenant_budget_usd)),
            budget_micros(self.key_budget_usd(account.key_budget_usd)),
        )
        if not wanted.micros or limits == Limits(None, None):
            return Hold(self._settle, wanted)
        await self._pay()
        wanted = replace(wanted, hold=new_hold(account.key_id, wanted.micros))
        try:
            held = await self._ledger.hold(wanted, limits, hold_s=self._hold_s)
        except RedisLeftAlone as error:
            raise BudgetUnknown from error
        except (RedisAway, asyncio.CancelledError) as error:
            # It may be held all the same, and nobody would settle it.
            await self._settle(replace(wanted, micros=0))
            if isinstance(error, RedisAway):
                raise BudgetUnknown from error
            raise
        if isinstance(held, Refusal):
            raise _spent(held, limits, wanted)
        return Hold(self._settle, replace(wanted, expires_ms=held))

    def tenant_budget_usd(self, own_usd: float | None) -> float | None:
        """What a tenant may spend in a month, given its own budget."""
        return self._tenant_budget_usd if own_usd is None else own_usd

    def key_budget_usd(self, own_usd: float | None) -> float | None:
        """What a key may spend in a month, given its own budget."""
        return self._key_budget_usd if own_usd is None else own_usd

    async def spending(self, tenant_id: str) -> tuple[Month, Spending, dict[str, Spending]]:
        """Of this month: of the tenant, and by key.

        Raises:
            SpendingUnavailable: Redis is away.
        """
        await self._pay()
        month = Month.of(self._clock())
        try:
            return month, *await self._ledger.spending(tenant_id, month)
        except RedisAway as error:
            raise SpendingUnavailable from error

    async def close(self) -> None:
        """Count what is owed, if Redis is there."""
        self._closed = True
        if self._payer is not None:
            self._payer.cancel()
            await asyncio.wait({self._payer})
        await self._send()
        if self._owed:
            log.error(
                "costs_lost", answers=len(self._owed), usd=usd(sum(c.micros for c in self._owed))
            )

    async def _settle(self, cost: Charge) -> None:
        if cost.micros or cost.hold:
            self._owed.append(cost)
            await self._pay()

    async def _pay(self) -> None:
        """Send what is owed; what cannot be sent now is sent when Redis is back."""
        try:
            await self._send()
        finally:
            waited_for = self._payer is not None and not self._payer.done()
            if self._owed and not (waited_for or self._closed):
                self._payer = asyncio.create_task(self._keep_sending())

    async def _keep_sending(self) -> None:
        # Who asks next may ask another worker, to which what is owed here is not told.
        while self._owed:
            await asyncio.sleep(LEFT_ALONE_S)
            await self._send()

    async def _send(self) -> None:
        """Send what is owed, oldest first, until Redis is away."""
        while self._owed:
            cost = self._owed.popleft()
            arrived = False
            try:
                await self._ledger.charge(cost)
                arrived = True
            except RedisAway:
                return
            finally:  # cancelled, too: a client that leaves has cost what it has cost
                if not arrived:
                    self._owed.appendleft(replace(cost, again=True))


class Hold:
    """Money put aside for one attempt; lapses by itself when it is never settled."""

    def __init__(self, settle: Callable[[Charge], Awaitable[None]], wanted: Charge) -> None:
        self._settle = settle
        self._wanted = wanted
        self._settled = False

    async def settle(self, cost_usd: float | None) -> None:
        """Count ``cost_usd`` instead, which may be more; the first call counts, the others do not.

        None, and what is no cost (a provider said so), stand for all that was put aside. Redis
        being away is nothing to the caller: the cost is counted when it is back.
        """
        if self._settled:
            return
        self._settled = True
        try:
            micros = self._wanted.micros if cost_usd is None else cost_micros(cost_usd)
        except ValueError:
            log.warning("cost_not_understood", cost_usd=str(cost_usd))
            micros = self._wanted.micros
        await self._settle(replace(self._wanted, micros=micros))


def _spent(refusal: Refusal, limits: Limits, wanted: Charge) -> BudgetSpent:
    limit = limits.tenant_micros if refusal.budget == "tenant" else limits.key_micros
    assert limit is not None  # noqa: S101 - what does not exist refuses nothing
    error = BudgetSpent(
        f"What is left of this {refusal.budget}'s budget of the month does not cover the answer.",
        budget=refusal.budget,
        limit_usd=usd(limit),
        spent_usd=usd(refusal.spent_micros),
        reset_at=wanted.month.ends_at.isoformat().replace("+00:00", "Z"),
    )
    error.retryable = refusal.spent_micros + wanted.micros <= limit
    return error
