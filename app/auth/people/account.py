"""What callers may see of themselves, and change."""

from dataclasses import dataclass

from app.auth.api_keys.store import StoredKey, find_key
from app.auth.audit import AuditEvent, Origin, record
from app.auth.caller import Caller
from app.auth.login import Logins
from app.auth.passwords import Passwords, check_strength
from app.auth.user_store import (
    Member,
    change_password,
    find_member,
    rename_user,
    void_tokens,
)
from app.errors import NotAllowed
from app.infra.postgres import Connection, Pool, tenant_transaction


class NobodysCredential(NotAllowed):
    """This credential belongs to no user."""

    code = "no_user"


@dataclass(frozen=True, slots=True)
class Self:
    """Who the caller is."""

    tenant_name: str
    member: Member | None
    key: StoredKey | None


class Account:
    """The caller's own; every method raises DatabaseUnavailable."""

    def __init__(self, pool: Pool, passwords: Passwords, logins: Logins) -> None:
        self._pool = pool
        self._passwords = passwords
        self._logins = logins

    async def describe(self, caller: Caller) -> Self:
        """Who the caller is."""
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            return await _describe(connection, caller)

    async def rename(self, caller: Caller, name: str, by: Origin) -> Self:
        """Call the caller's user something else.

        Raises:
            NobodysCredential: there is none.
            NotAllowed: a client acts for them.
        """
        user_id = _changeable(caller)
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            await rename_user(connection, user_id, name)
            await record(connection, AuditEvent(caller.tenant_id, "user.rename", by, user_id))
            return await _describe(connection, caller)

    async def log_out(self, caller: Caller, by: Origin) -> None:
        """Make every token of the caller's user void, also when a client asks for it; keys stay.

        Raises:
            NobodysCredential: there is none.
        """
        user_id = _user_of(caller)
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            await void_tokens(connection, user_id)
            await record(connection, AuditEvent(caller.tenant_id, "logout", by, user_id))

    async def change_password(self, caller: Caller, old: str, new: str, by: Origin) -> None:
        """Replace the password, and make every token void; keys stay.

        Raises:
            NobodysCredential: there is no user.
            NotAllowed: a client acts for them.
            WrongPassword: the old one is another.
            WeakPassword: the new one is not accepted.
            SignsInElsewhere: the user has no password.
            AppError: as ``Logins.check`` raises it.
        """
        user_id = _changeable(caller)
        user = await self._logins.check_own(user_id, old, ip=by.ip or "")
        check_strength(new, email=user.email)
        password_hash = await self._passwords.hash(new)
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            await change_password(connection, user_id, password_hash, temporary=False)
            await record(connection, AuditEvent(caller.tenant_id, "password.change", by, user_id))


def _user_of(caller: Caller) -> str:
    if caller.user_id is None:
        raise NobodysCredential
    return caller.user_id


def _changeable(caller: Caller) -> str:
    if caller.client_id is not None:  # what its user consented to are scopes, and this is in none
        raise NotAllowed("A client does not change its user's account.")
    return _user_of(caller)


async def _describe(connection: Connection, caller: Caller) -> Self:
    cursor = await connection.execute("SELECT name FROM tenants WHERE id = %s", (caller.tenant_id,))
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the caller's credential refers to it
    member = key = None
    if caller.user_id is not None:
        member = await find_member(connection, caller.tenant_id, caller.user_id)
    if caller.kind == "key":
        key = await find_key(connection, caller.tenant_id, caller.id)
    return Self(row["name"], member, key)
