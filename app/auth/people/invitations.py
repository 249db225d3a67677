"""Invitations: codes that let somebody register, once, with a role."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import token_urlsafe
from typing import LiteralString

from app.auth.audit import AuditEvent, Origin, record
from app.auth.caller import Caller, Role
from app.auth.keys import hash_key
from app.auth.people.authority import authority
from app.errors import NotAllowed, NotFound
from app.infra.ids import new_id
from app.infra.postgres import Connection, Pool, fetch_all, tenant_transaction

_INVITATIONS: LiteralString = """
    SELECT id, email, role, created_by, created_at, expires_at, used_at, used_by
    FROM invitations WHERE tenant_id = %(tenant_id)s"""


class InvitationNotFound(NotFound):
    """There is no such invitation."""

    code = "invitation_not_found"


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation, without its code; ``email`` None = whoever has the code."""

    id: str
    email: str | None
    role: Role
    created_by: str | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    used_by: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an invitation that can be used leads."""

    invitation_id: str
    tenant_id: str
    email: str | None
    role: Role


class Invitations:
    """The invitations of one tenant at a time; every method raises DatabaseUnavailable."""

    def __init__(self, pool: Pool, secret: bytes) -> None:
        """``secret`` keys the hashes of codes."""
        self._pool = pool
        self._secret = secret

    async def make(
        self, caller: Caller, *, email: str | None, role: Role, days: int, by: Origin
    ) -> tuple[Invitation, str]:
        """Invite somebody: the invitation and its code, which is nowhere from then on.

        Raises:
            NotAllowed: the caller is no owner, and the role is.
        """
        code, invitation_id = token_urlsafe(32), new_id("inv")
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            if not (await authority(connection, caller)).is_owner and role == "owner":
                raise NotAllowed("Only an owner makes owners.")
            await connection.execute(
                "INSERT INTO invitations"
                " (id, tenant_id, code_hash, email, role, created_by, expires_at)"
                " VALUES (%(id)s, %(tenant)s, %(hash)s, %(email)s, %(role)s, %(by)s,"
                " now() + make_interval(days => %(days)s))",
                {
                    "id": invitation_id,
                    "tenant": caller.tenant_id,
                    "hash": hash_key(code, self._secret),
                    "email": email,
                    "role": role,
                    "by": by.actor,
                    "days": days,
                },
            )
            event = AuditEvent(
                caller.tenant_id, "invitation.create", by, invitation_id, details={"role": role}
            )
            await record(connection, event)
            return await _found(connection, caller.tenant_id, invitation_id), code

    async def list(
        self, tenant_id: str, *, after: str | None, limit: int
    ) -> tuple[Sequence[Invitation], bool]:
        """Invitations, newest first, used and lapsed ones too, and whether more follow."""
        async with tenant_transaction(self._pool, tenant_id) as connection:
            cursor = await connection.execute(
                f"{_INVITATIONS} AND (%(after)s::text IS NULL OR (created_at, id) <"  # noqa: S608
                " (SELECT created_at, id FROM invitations"
                " WHERE tenant_id = %(tenant_id)s AND id = %(after)s))"
                " ORDER BY created_at DESC, id DESC LIMIT %(limit)s + 1",
                {"tenant_id": tenant_id, "after": after, "limit": limit},
            )
            found = [Invitation(**row) for row in await cursor.fetchall()]
        return found[:limit], len(found) > limit

    async def withdraw(self, tenant_id: str, invitation_id: str, by: Origin) -> None:
        """Let an invitation lapse now; one that was used, or has lapsed, stays as it is.

        Raises:
            InvitationNotFound: also when it is another tenant's.
        """
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await _found(connection, tenant_id, invitation_id)
            cursor = await connection.execute(
                "UPDATE invitations SET expires_at = now()"
                " WHERE tenant_id = %s AND id = %s AND used_at IS NULL AND expires_at > now()",
                (tenant_id, invitation_id),
            )
            if cursor.rowcount:
                event = AuditEvent(tenant_id, "invitation.withdraw", by, invitation_id)
                await record(connection, event)

    async def place(self, code: str) -> Place | None:
        """Where ``code`` leads; None when it is none, was used, or has lapsed."""
        if not code.isascii():
            return None
        rows = await fetch_all(
            self._pool,
            "SELECT id AS invitation_id, tenant_id, email, role FROM find_invitation(%(hash)s)",
            {"hash": hash_key(code, self._secret)},
        )
        return Place(**rows[0]) if rows else None


async def use_invitation(connection: Connection, invitation_id: str, *, user_id: str) -> bool:
    """Use it up in the open tenant transaction; False when somebody else just has."""
    cursor = await connection.execute(
        "UPDATE invitations SET used_at = now(), used_by = %s"
        " WHERE tenant_id = current_setting('app.tenant') AND id = %s"
        " AND used_at IS NULL AND expires_at > now()",
        (user_id, invitation_id),
    )
    return cursor.rowcount == 1


async def _found(connection: Connection, tenant_id: str, invitation_id: str) -> Invitation:
    cursor = await connection.execute(
        f"{_INVITATIONS} AND id = %(id)s", {"tenant_id": tenant_id, "id": invitation_id}
    )
    row = await cursor.fetchone()
    if row is None:
        raise InvitationNotFound
    return Invitation(**row)
