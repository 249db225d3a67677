"""The table of keys, as their makers see it; every function runs in a tenant transaction."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from app.infra.postgres import Connection

_KEYS: LiteralString = """
    SELECT id, name, user_id, scopes, created_at, expires_at, revoked_at, last_used_at,
           requests_per_minute, budget_usd::float8 AS budget_usd
    FROM api_keys WHERE tenant_id = %(tenant_id)s"""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be made; None is no end, no limit and no budget of its own."""

    name: str
    scopes: frozenset[str]
    expires_at: datetime | None = None
    requests_per_minute: int | None = None
    budget_usd: float | None = None


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key, without what it is."""

    id: str
    name: str
    #: Whose it is; None = an operator's.
    user_id: str | None
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    requests_per_minute: int | None
    budget_usd: float | None


async def find_key(connection: Connection, tenant_id: str, key_id: str) -> StoredKey | None:
    """One key of the tenant, revoked or not."""
    cursor = await connection.execute(
        f"{_KEYS} AND id = %(id)s", {"tenant_id": tenant_id, "id": key_id}
    )
    row = await cursor.fetchone()
    return None if row is None else _key(row)


@dataclass(frozen=True, slots=True)
class KeyListing:
    """Which keys are listed; ``after`` is the id of the page before's last."""

    limit: int
    after: str | None
    #: None with ``everybodys`` False = the keys that are nobody's.
    user_id: str | None
    everybodys: bool


async def list_keys(connection: Connection, tenant_id: str, listing: KeyListing) -> list[StoredKey]:
    """Newest first; one more than ``limit`` when there are more."""
    cursor = await connection.execute(
        f"{_KEYS} AND (%(everybodys)s OR user_id IS NOT DISTINCT FROM %(user)s)"  # noqa: S608
        " AND (%(after)s::text IS NULL OR (created_at, id) <"
        " (SELECT created_at, id FROM api_keys"
        " WHERE tenant_id = %(tenant_id)s AND id = %(after)s))"
        " ORDER BY created_at DESC, id DESC LIMIT %(limit)s + 1",
        {
            "tenant_id": tenant_id,
            "everybodys": listing.everybodys,
            "user": listing.user_id,
            "after": listing.after,
            "limit": listing.limit,
        },
    )
    return [_key(row) for row in await cursor.fetchall()]


async def add_key(
    connection: Connection,
    key: NewKey,
    *,
    key_id: str,
    tenant_id: str,
    user_id: str | None,
    key_hash: bytes,
) -> None:
    """Record a key."""
    await connection.execute(
        "INSERT INTO api_keys (id, tenant_id, user_id, name, key_hash, scopes, expires_at,"
        " requests_per_minute, budget_usd) VALUES (%(id)s, %(tenant)s, %(user)s, %(name)s,"
        " %(hash)s, %(scopes)s, %(expires)s, %(requests)s, %(budget)s)",
        {
            "id": key_id,
            "tenant": tenant_id,
            "user": user_id,
            "name": key.name,
            "hash": key_hash,
            "scopes": sorted(key.scopes),
            "expires": key.expires_at,
            "requests": key.requests_per_minute,
            "budget": key.budget_usd,
        },
    )


async def revoke_key(connection: Connection, key_id: str) -> bool:
    """Make a key void from the next request on; False when it was already."""
    cursor = await connection.execute(
        "UPDATE api_keys SET revoked_at = now()"
        " WHERE tenant_id = current_setting('app.tenant') AND id = %s AND revoked_at IS NULL",
        (key_id,),
    )
    return cursor.rowcount == 1


def _key(row: dict[str, Any]) -> StoredKey:
    return StoredKey(**{**row, "scopes": tuple(row["scopes"])})
