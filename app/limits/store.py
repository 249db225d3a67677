"""The budgets that stand in the database, of one tenant."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.infra.postgres import Pool, tenant_transaction


@dataclass(frozen=True, slots=True)
class Budget:
    """A tenant's or key's budget for a month; ``usd`` is None when it has none of its own."""

    id: str
    name: str
    usd: float | None


async def budgets_of(
    pool: Pool, tenant_id: str, *, after: str, limit: int
) -> tuple[Budget, Sequence[Budget]]:
    """The tenant's budget, and its keys' in the order of their ids, revoked ones too.

    Raises:
        DatabaseUnavailable: when the database does not answer.
    """
    async with tenant_transaction(pool, tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT id, name, budget_usd::float8 AS usd FROM tenants WHERE id = %s",
            (tenant_id,),
            binary=True,
        )
        [tenant] = [Budget(**row) for row in await cursor.fetchall()]
        cursor = await connection.execute(
            "SELECT id, name, budget_usd::float8 AS usd FROM api_keys"
            " WHERE tenant_id = %s AND id > %s ORDER BY id LIMIT %s",
            (tenant_id, after, limit),
            binary=True,
        )
        return tenant, [Budget(**row) for row in await cursor.fetchall()]
