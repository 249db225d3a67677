"""The people of a tenant, as its administrators list and change them."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.auth import user_store
from app.auth.audit import AuditEvent, Origin, record
from app.auth.caller import Caller, Role
from app.auth.passwords import Passwords, temporary_password
from app.auth.people.authority import authority
from app.auth.user_store import Member, MemberListing
from app.errors import Conflict, NotAllowed, NotFound
from app.infra.postgres import Connection, Pool, tenant_transaction


class UserNotFound(NotFound):
    """There is no such user."""

    code = "user_not_found"


class LastOwner(Conflict):
    """A tenant keeps at least one owner who is not suspended."""

    code = "last_owner"


@dataclass(frozen=True, slots=True)
class Change:
    """Changes to a user; what is None stays as it is."""

    name: str | None = None
    role: Role | None = None
    suspended: bool | None = None


class Roster:
    """The users of one tenant at a time.

    Every method raises UserNotFound for others', and DatabaseUnavailable.
    """

    def __init__(self, pool: Pool, passwords: Passwords) -> None:
        self._pool = pool
        self._passwords = passwords

    async def list(self, tenant_id: str, wanted: MemberListing) -> tuple[Sequence[Member], bool]:
        """Users in the order of their ids, and whether more follow."""
        async with tenant_transaction(self._pool, tenant_id) as connection:
            found = await user_store.list_members(connection, tenant_id, wanted)
        return found[: wanted.limit], len(found) > wanted.limit

    async def get(self, tenant_id: str, user_id: str) -> Member:
        """One user."""
        async with tenant_transaction(self._pool, tenant_id) as connection:
            return await _found(connection, tenant_id, user_id)

    async def change(self, caller: Caller, user_id: str, change: Change, by: Origin) -> Member:
        """Rename a user, give them another role, shut them out or let them in again.

        Raises:
            NotAllowed: it is an owner, or to be one, and the caller is none; or the caller's role.
            LastOwner: nobody else is an owner who may sign in.
        """
        tenant_id = caller.tenant_id
        async with tenant_transaction(self._pool, tenant_id) as connection:
            before = await self._changeable(connection, caller, user_id, change.role)
            if user_id == caller.user_id and change.role not in (None, before.user.role):
                raise NotAllowed("Nobody changes their own role.")
            for event in await _apply(connection, before, change, by):
                await record(connection, event)
            was_owner = before.user.role == "owner" and not before.user.suspended
            if was_owner and not await user_store.count_owners(connection, tenant_id):
                raise LastOwner
            return await _found(connection, tenant_id, user_id)

    async def reset_password(self, caller: Caller, user_id: str, by: Origin) -> str:
        """A temporary password that lapses in three days; all tokens of the user are void.

        Raises:
            NotAllowed: it is an owner, and the caller is none.
            SignsInElsewhere: the user has no password.
        """
        password = temporary_password()
        password_hash = await self._passwords.hash(password)
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            await self._changeable(connection, caller, user_id, None)
            await user_store.change_password(connection, user_id, password_hash, temporary=True)
            event = AuditEvent(caller.tenant_id, "password.reset", by, user_id)
            await record(connection, event)
        return password

    @staticmethod
    async def _changeable(
        connection: Connection, caller: Caller, user_id: str, role: Role | None
    ) -> Member:
        allowed = await authority(connection, caller)
        member = await _found(connection, caller.tenant_id, user_id)
        if "owner" in (member.user.role, role) and not allowed.is_owner:
            raise NotAllowed("Only an owner changes owners, or makes them.")
        return member


async def _apply(
    connection: Connection, before: Member, change: Change, by: Origin
) -> Sequence[AuditEvent]:
    """Make the changes, and say which there were."""
    user = before.user
    made: list[tuple[str, dict[str, str | None]]] = []
    if change.name not in (None, user.name):
        await user_store.rename_user(connection, user.id, change.name)
        made.append(("user.rename", {}))
    if change.role not in (None, user.role):
        await user_store.change_role(connection, user.id, change.role)
        made.append(("user.role", {"from": user.role, "to": change.role}))
    if change.suspended not in (None, user.suspended):
        await user_store.change_suspension(connection, user.id, suspended=change.suspended)
        made.append(("user.suspend" if change.suspended else "user.readmit", {}))
    return [
        AuditEvent(user.tenant_id, action, by, user.id, details=details) for action, details in made
    ]


async def _found(connection: Connection, tenant_id: str, user_id: str) -> Member:
    member = await user_store.find_member(connection, tenant_id, user_id)
    if member is None:
        raise UserNotFound
    return member
