"""The table of authorization codes; every function runs in a tenant transaction."""

from dataclasses import dataclass

from app.auth.oauth.authorization import Authorization
from app.infra.postgres import Connection


@dataclass(frozen=True, slots=True)
class Code:
    """A code, found by its hash."""

    client_id: str
    user_id: str
    redirect_uri: str
    challenge: str
    scopes: frozenset[str]
    #: It is too old, or its user was shut out or had all tokens voided since.
    lapsed: bool
    #: What it was redeemed for.
    family_id: str | None


async def add_code(
    connection: Connection,
    authorization: Authorization,
    *,
    user_id: str,
    scopes: frozenset[str],
    code_hash: bytes,
    ttl_s: int,
) -> None:
    """Record a code."""
    await connection.execute(
        "INSERT INTO authorization_codes (code_hash, tenant_id, client_id, user_id, redirect_uri,"
        " challenge, scopes, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, now() + make_interval(secs => %s))",
        (
            code_hash,
            authorization.client.tenant_id,
            authorization.client.id,
            user_id,
            authorization.redirect_uri,
            authorization.challenge,
            sorted(scopes),
            ttl_s,
        ),
    )


async def lock_code(connection: Connection, code_hash: bytes) -> Code | None:
    """A code, kept from being redeemed by anybody else meanwhile."""
    cursor = await connection.execute(
        "SELECT a.client_id, a.user_id, a.redirect_uri, a.challenge, a.scopes, a.family_id,"
        " a.expires_at <= clock_timestamp() OR u.suspended_at IS NOT NULL"
        " OR u.tokens_since > a.created_at AS lapsed"
        " FROM authorization_codes a JOIN users u ON u.tenant_id = a.tenant_id AND u.id = a.user_id"
        " WHERE a.tenant_id = current_setting('app.tenant') AND a.code_hash = %s"
        " FOR UPDATE OF a FOR SHARE OF u",
        (code_hash,),
    )
    row = await cursor.fetchone()
    return None if row is None else Code(**{**row, "scopes": frozenset(row["scopes"])})


async def redeem_code(connection: Connection, code_hash: bytes, family_id: str) -> None:
    """Note what a code, which is locked, was redeemed for."""
    await connection.execute(
        "UPDATE authorization_codes SET family_id = %s"
        " WHERE tenant_id = current_setting('app.tenant') AND code_hash = %s",
        (family_id, code_hash),
    )
