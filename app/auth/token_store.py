"""The tables of token families and refresh tokens.

What takes a connection runs in the caller's tenant transaction.
"""

from dataclasses import dataclass
from typing import Any, Literal

from app.auth.user import User
from app.infra.postgres import Connection, Pool, fetch_all


@dataclass(frozen=True, slots=True)
class Family:
    """All tokens that descend from one login, code or request of a service account."""

    id: str
    tenant_id: str
    #: None = the client itself.
    user_id: str | None
    #: None = our own login.
    client_id: str | None
    scopes: frozenset[str]


async def find_holder(pool: Pool, family_id: str) -> dict[str, Any] | None:
    """Whose tokens a family's are and what they may do now; None when that is nothing."""
    rows = await fetch_all(pool, "SELECT * FROM find_token_family(%(id)s)", {"id": family_id})
    return rows[0] if rows else None


async def find_refresh_token(pool: Pool, token_hash: bytes) -> tuple[str, str] | None:
    """The tenant and the family of a refresh token, used or not."""
    rows = await fetch_all(pool, "SELECT * FROM find_refresh_token(%(hash)s)", {"hash": token_hash})
    return (rows[0]["tenant_id"], rows[0]["family_id"]) if rows else None


async def holds(connection: Connection, user: User) -> bool:
    """Whether ``user`` is neither suspended nor had tokens voided since it was read.

    It stays so until the transaction ends: whoever wants to change that waits.
    """
    cursor = await connection.execute(
        "SELECT FROM users WHERE tenant_id = %s AND id = %s AND suspended_at IS NULL"
        " AND tokens_since = %s FOR SHARE",
        (user.tenant_id, user.id, user.tokens_since),
    )
    return await cursor.fetchone() is not None


async def add_family(connection: Connection, family: Family, *, ttl_s: int) -> None:
    """Record a family that has no tokens yet."""
    await connection.execute(
        "INSERT INTO token_families (id, tenant_id, user_id, client_id, scopes, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, now() + make_interval(secs => %s))",
        (
            family.id,
            family.tenant_id,
            family.user_id,
            family.client_id,
            sorted(family.scopes),
            ttl_s,
        ),
    )


async def lock_family(connection: Connection, family_id: str) -> Family | None:
    """A family that can still be used, kept from being used by anybody else meanwhile."""
    cursor = await connection.execute(
        "SELECT f.id, f.tenant_id, f.user_id, f.client_id, f.scopes FROM token_families f"
        " LEFT JOIN users u ON u.tenant_id = f.tenant_id AND u.id = f.user_id"
        " LEFT JOIN oauth_clients c ON c.tenant_id = f.tenant_id AND c.id = f.client_id"
        " WHERE f.tenant_id = current_setting('app.tenant') AND f.id = %s"
        " AND f.revoked_at IS NULL AND u.suspended_at IS NULL"
        " AND c.disabled_at IS NULL AND (u.id IS NULL OR u.tokens_since <= f.created_at)"
        " FOR UPDATE OF f",
        (family_id,),
    )
    row = await cursor.fetchone()
    return None if row is None else Family(**{**row, "scopes": frozenset(row["scopes"])})


async def revoke_family(connection: Connection, family_id: str, client_id: str | None) -> bool:
    """Make every token of a family void, if it is that client's; False when nothing changed."""
    cursor = await connection.execute(
        "UPDATE token_families SET revoked_at = now()"
        " WHERE tenant_id = current_setting('app.tenant') AND id = %s"
        " AND client_id IS NOT DISTINCT FROM %s AND revoked_at IS NULL",
        (family_id, client_id),
    )
    return cursor.rowcount == 1


async def add_refresh_token(
    connection: Connection, family: Family, token_hash: bytes, *, ttl_s: int
) -> None:
    """Record a refresh token; its family lives as long."""
    await connection.execute(
        "INSERT INTO refresh_tokens (token_hash, tenant_id, family_id, expires_at)"
        " VALUES (%s, %s, %s, now() + make_interval(secs => %s))",
        (token_hash, family.tenant_id, family.id, ttl_s),
    )
    await connection.execute(
        "UPDATE token_families SET expires_at = greatest(expires_at,"
        " now() + make_interval(secs => %s)) WHERE tenant_id = %s AND id = %s",
        (ttl_s, family.tenant_id, family.id),
    )


async def use_refresh_token(
    connection: Connection, token_hash: bytes
) -> Literal["used", "replayed", "lapsed"]:
    """Use a refresh token, whose family is locked; ``replayed``: it was used before."""
    cursor = await connection.execute(
        "UPDATE refresh_tokens SET used_at = now()"
        " WHERE tenant_id = current_setting('app.tenant') AND token_hash = %s"
        " AND used_at IS NULL AND expires_at > now()",
        (token_hash,),
    )
    if cursor.rowcount:
        return "used"
    cursor = await connection.execute(
        "SELECT FROM refresh_tokens WHERE tenant_id = current_setting('app.tenant')"
        " AND token_hash = %s AND used_at IS NOT NULL",
        (token_hash,),
    )
    return "lapsed" if await cursor.fetchone() is None else "replayed"
