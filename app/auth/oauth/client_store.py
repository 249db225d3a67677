"""The table of clients: found before their tenant is known, made and listed within it."""

from typing import Any, LiteralString

from app.auth.oauth.client import Client, ListedClient
from app.infra.postgres import Connection, Pool, fetch_all

_LISTED: LiteralString = """
    SELECT id, name, secret_hash IS NULL AS public, redirect_uris, scopes, grants, created_at,
           disabled_at
    FROM oauth_clients WHERE tenant_id = %(tenant_id)s"""


async def find_client(pool: Pool, client_id: str) -> Client | None:
    """A client that is not disabled, of whichever tenant."""
    rows = await fetch_all(pool, "SELECT * FROM find_oauth_client(%(id)s)", {"id": client_id})
    return _client(rows[0]) if rows else None


async def add_client(connection: Connection, client: Client) -> None:
    """Record a client."""
    await connection.execute(
        "INSERT INTO oauth_clients"
        " (id, tenant_id, name, secret_hash, redirect_uris, scopes, grants)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (
            client.id,
            client.tenant_id,
            client.name,
            client.secret_hash,
            list(client.redirect_uris),
            sorted(client.scopes),
            sorted(client.grants),
        ),
    )


async def get_listed(connection: Connection, tenant_id: str, client_id: str) -> ListedClient | None:
    """One client of the tenant, disabled or not."""
    cursor = await connection.execute(
        f"{_LISTED} AND id = %(id)s", {"tenant_id": tenant_id, "id": client_id}
    )
    row = await cursor.fetchone()
    return None if row is None else ListedClient(**row)


async def list_clients(
    connection: Connection, tenant_id: str, *, after: str | None, limit: int
) -> list[ListedClient]:
    """Newest first; one more than ``limit`` when there are more."""
    cursor = await connection.execute(
        f"{_LISTED} AND (%(after)s::text IS NULL OR (created_at, id) <"  # noqa: S608
        " (SELECT created_at, id FROM oauth_clients"
        " WHERE tenant_id = %(tenant_id)s AND id = %(after)s))"
        " ORDER BY created_at DESC, id DESC LIMIT %(limit)s + 1",
        {"tenant_id": tenant_id, "after": after, "limit": limit},
    )
    return [ListedClient(**row) for row in await cursor.fetchall()]


async def disable_client(connection: Connection, client_id: str) -> bool:
    """Shut a client out, with all its tokens; False when it was already."""
    cursor = await connection.execute(
        "UPDATE oauth_clients SET disabled_at = now()"
        " WHERE tenant_id = current_setting('app.tenant') AND id = %s AND disabled_at IS NULL",
        (client_id,),
    )
    return cursor.rowcount == 1


def _client(row: dict[str, Any]) -> Client:
    return Client(
        id=row["id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        secret_hash=row["secret_hash"],
        redirect_uris=tuple(row["redirect_uris"]),
        scopes=frozenset(row["scopes"]),
        grants=frozenset(row["grants"]),
    )
