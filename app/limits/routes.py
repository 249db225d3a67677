"""``/api/v1/admin/usage``: what the tenant and its keys spent this month."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from app.auth.caller import Caller
from app.auth.gate import require
from app.http.problems import documented_problems
from app.limits.budgets import Budgets
from app.limits.ledger import Spending
from app.limits.money import Month, usd
from app.limits.schemas import KeySpending, SpendingOut, TenantUsage, UsageQuery
from app.limits.store import budgets_of

router = APIRouter(prefix="/api/v1/admin", tags=["admin"])


@router.get("/usage", operation_id="usage", responses=documented_problems(401, 403, 422, 503))
async def usage(
    request: Request,
    caller: Annotated[Caller, Depends(require("admin"))],
    query: Annotated[UsageQuery, Query()],
) -> TenantUsage:
    """List what the tenant and each of its keys spent this month, and may spend."""
    budgets: Budgets = request.app.state.house.budgets
    pool = request.app.state.house.pool
    tenant, keys = await budgets_of(
        pool, caller.tenant_id, after=query.after, limit=query.limit + 1
    )
    month, total, by_key = await budgets.spending(caller.tenant_id)
    items = [
        KeySpending(
            key_id=key.id,
            name=key.name,
            **_spending(month, by_key.get(key.id, Spending()), budgets.key_budget_usd(key.usd)),
        )
        for key in keys[: query.limit]
    ]
    has_more = len(keys) > query.limit
    return TenantUsage(
        tenant=SpendingOut(**_spending(month, total, budgets.tenant_budget_usd(tenant.usd))),
        items=items,
        has_more=has_more,
        next=items[-1].key_id if has_more else None,
    )


def _spending(month: Month, spending: Spending, budget_usd: float | None) -> dict[str, Any]:
    return {
        "spent_usd": usd(spending.spent_micros),
        "held_usd": usd(spending.held_micros),
        "budget_usd": budget_usd,
        "reset_at": month.ends_at,
    }
