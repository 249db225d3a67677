"""The table of users: found, before their tenant is known, by exact id or e-mail address."""

from typing import Any

from app.auth.user import User
from app.infra.postgres import Pool, fetch_all


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
    """As :func:`find_user`, with the hash of the password; that is None for who has none.

    Raises:
        DatabaseUnavailable: when the database does not answer.
    """
    rows = await fetch_all(
        pool,
        "SELECT * FROM find_user(%(id)s, %(email)s)",
        {"id": user_id, "email": None if email is None else email.lower()},
    )
    return (user_of(rows[0]), rows[0]["password_hash"]) if rows else None


def user_of(row: dict[str, Any]) -> User:
    """The user of a row that has at least the columns of ``find_user()``."""
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
