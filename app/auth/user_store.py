"""The table of users: found before their tenant is known, listed and changed within it.

All but the first two run in the caller's tenant transaction; row-level security bounds them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg

from app.auth.caller import Role
from app.auth.user import User
from app.errors import Conflict
from app.infra.postgres import Connection, Pool, fetch_all

#: A temporary password that nobody has changed lapses.
TEMPORARY_DAYS = 3
_MEMBERS: LiteralString = """
    SELECT u.id, u.tenant_id, u.email, u.name, u.role, role_scopes(u.role) AS scopes,
           u.suspended_at IS NOT NULL AS suspended, u.tokens_since,
           t.budget_usd::float8 AS tenant_budget_usd, u.created_at, u.last_login_at
    FROM users u JOIN tenants t ON t.id = u.tenant_id
    WHERE u.tenant_id = %(tenant_id)s"""


class EmailTaken(Conflict):
    """Somebody is registered with this e-mail address."""

    code = "email_taken"


class SignsInElsewhere(Conflict):
    """An identity provider vouches for this user, who has no password here."""

    code = "signs_in_elsewhere"


@dataclass(frozen=True, slots=True)
class Member:
    """A user as their tenant's administrators see them."""

    user: User
    created_at: datetime
    last_login_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to be made; ``temporary``: the password is to be changed, and lapses."""

    id: str
    email: str
    name: str
    role: Role
    password_hash: str
    temporary: bool = False


async def find_user(
    pool: Pool, *, user_id: str | None = None, email: str | None = None
) -> User | None:
    """The user with that id or that e-mail address, suspended or not; None when unknown.

    Raises:
        DatabaseUnavailable: when the database does not answer.
    """
    found = await find_with_password(pool, user_id=user_id, email=email)
    return None if found is None else found[0]


async def find_with_password(
    pool: Pool, *, user_id: str | None = None, email: str | None = None
) -> tuple[User, str | None] | None:
    """As :func:`find_user`, with the hash of the password.

    That is None for who has none, and when a temporary one has lapsed.

    Raises:
        DatabaseUnavailable: when the database does not answer.
    """
    rows = await fetch_all(
        pool,
        "SELECT * FROM find_user(%(id)s, %(email)s)",
        {"id": user_id, "email": None if email is None else email.lower()},
    )
    return (_user(rows[0]), rows[0]["password_hash"]) if rows else None


def _user(row: dict[str, Any]) -> User:
    return User(
        id=row["id"],
        tenant_id=row["tenant_id"],
        email=row["email"],
        name=row["name"],
        role=row["role"],
        scopes=frozenset(row["scopes"]),
        suspended=row["suspended"],
        tokens_since=row["tokens_since"],
        tenant_budget_usd=row["tenant_budget_usd"],
    )


def _member(row: dict[str, Any]) -> Member:
    return Member(_user(row), row["created_at"], row["last_login_at"])


async def find_member(connection: Connection, tenant_id: str, user_id: str) -> Member | None:
    """A user of the tenant."""
    cursor = await connection.execute(
        f"{_MEMBERS} AND u.id = %(id)s", {"tenant_id": tenant_id, "id": user_id}
    )
    row = await cursor.fetchone()
    return None if row is None else _member(row)


@dataclass(frozen=True, slots=True)
class MemberListing:
    """What a list of users is narrowed by; ``after`` is the id of the page before's last."""

    limit: int
    after: str
    part: str | None = None
    role: Role | None = None


async def list_members(
    connection: Connection, tenant_id: str, wanted: MemberListing
) -> list[Member]:
    """In the order of their ids; one more than ``limit`` when there are more."""
    cursor = await connection.execute(
        f"{_MEMBERS} AND u.id > %(after)s AND (%(role)s::text IS NULL OR u.role = %(role)s)"
        " AND (%(part)s::text IS NULL OR strpos(u.email, lower(%(part)s)) > 0"
        " OR strpos(lower(u.name), lower(%(part)s)) > 0) ORDER BY u.id LIMIT %(limit)s + 1",
        {
            "tenant_id": tenant_id,
            "after": wanted.after,
            "part": wanted.part,
            "role": wanted.role,
            "limit": wanted.limit,
        },
    )
    return [_member(row) for row in await cursor.fetchall()]


async def add_user(connection: Connection, tenant_id: str, user: NewUser) -> None:
    """Record a user.

    Raises:
        EmailTaken: somebody has the address already, in whichever tenant.
    """
    try:
        await connection.execute(
            "INSERT INTO users (id, tenant_id, email, name, role, password_hash, password_until)"
            " VALUES (%(id)s, %(tenant)s, %(email)s, %(name)s, %(role)s, %(hash)s,"
            " CASE WHEN %(temporary)s THEN now() + make_interval(days => %(days)s) END)",
            {
                "id": user.id,
                "tenant": tenant_id,
                "email": user.email,
                "name": user.name,
                "role": user.role,
                "hash": user.password_hash,
                "temporary": user.temporary,
                "days": TEMPORARY_DAYS,
            },
        )
    except psycopg.errors.UniqueViolation as error:
        raise EmailTaken from error


async def remember_login(
    connection: Connection, user_id: str, *, stored: str, renewed: str | None
) -> None:
    """Note that somebody signed in, and keep their password as ``renewed`` from now on."""
    await connection.execute(
        "UPDATE users SET last_login_at = now(), password_hash = CASE WHEN password_hash ="
        " %(stored)s THEN coalesce(%(renewed)s, password_hash) ELSE password_hash END"
        " WHERE tenant_id = current_setting('app.tenant') AND id = %(id)s",
        {"id": user_id, "stored": stored, "renewed": renewed},
    )


async def change_password(
    connection: Connection, user_id: str, password_hash: str, *, temporary: bool
) -> None:
    """Replace the password and void all tokens; a ``temporary`` one lapses.

    Raises:
        SignsInElsewhere: the user has no password.
    """
    cursor = await connection.execute(
        "UPDATE users SET password_hash = %(hash)s, tokens_since = clock_timestamp(),"
        " password_until = CASE WHEN %(temporary)s THEN now() + make_interval(days => %(days)s) END"
        " WHERE tenant_id = current_setting('app.tenant') AND id = %(id)s"
        " AND oidc_issuer IS NULL",
        {
            "id": user_id,
            "hash": password_hash,
            "temporary": temporary,
            "days": TEMPORARY_DAYS,
        },
    )
    if not cursor.rowcount:
        raise SignsInElsewhere


async def void_tokens(connection: Connection, user_id: str) -> None:
    """Make every token that was issued until now void."""
    await connection.execute(
        "UPDATE users SET tokens_since = clock_timestamp()"
        " WHERE tenant_id = current_setting('app.tenant') AND id = %s",
        (user_id,),
    )


async def rename_user(connection: Connection, user_id: str, name: str) -> None:
    """Call a user something else."""
    await connection.execute(
        "UPDATE users SET name = %s WHERE tenant_id = current_setting('app.tenant') AND id = %s",
        (name, user_id),
    )


async def change_role(connection: Connection, user_id: str, role: Role) -> None:
    """Give a user another role, from the next request on."""
    await connection.execute(
        "UPDATE users SET role = %s WHERE tenant_id = current_setting('app.tenant') AND id = %s",
        (role, user_id),
    )


async def change_suspension(connection: Connection, user_id: str, *, suspended: bool) -> None:
    """Shut a user out, or let them in again; tokens from before stay void."""
    await connection.execute(
        "UPDATE users SET tokens_since = clock_timestamp(),"
        " suspended_at = CASE WHEN %s THEN now() END"
        " WHERE tenant_id = current_setting('app.tenant') AND id = %s",
        (suspended, user_id),
    )


async def lock_members(connection: Connection, tenant_id: str) -> None:
    """Wait until nobody else changes who may do what in the tenant, and keep it so."""
    await connection.execute("SELECT FROM tenants WHERE id = %s FOR NO KEY UPDATE", (tenant_id,))


async def count_owners(connection: Connection, tenant_id: str) -> int:
    """How many owners of the tenant are not suspended."""
    cursor = await connection.execute(
        "SELECT count(*) AS owners FROM users"
        " WHERE tenant_id = %s AND role = 'owner' AND suspended_at IS NULL",
        (tenant_id,),
    )
    row = await cursor.fetchone()
    return 0 if row is None else int(row["owners"])
