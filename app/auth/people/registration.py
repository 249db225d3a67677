"""How somebody becomes a user: invited, into a tenant of their own, or by an operator."""

from dataclasses import dataclass, replace
from typing import Literal

from app.auth.audit import OPERATOR, AuditEvent, Origin, record
from app.auth.caller import Role
from app.auth.login import Attempts
from app.auth.passwords import Passwords, check_strength, temporary_password
from app.auth.people.invitations import Invitations, Place, use_invitation
from app.auth.user import normal_email, normal_name
from app.auth.user_store import Member, NewUser, add_user, find_member
from app.errors import NotAllowed
from app.infra.ids import new_id
from app.infra.postgres import Connection, Pool, tenant_transaction

Mode = Literal["off", "invite", "open"]


class RegistrationOff(NotAllowed):
    """Nobody can register here."""

    code = "registration_off"


class InvitationInvalid(NotAllowed):
    """A valid invitation is needed: unused, not lapsed, and for this e-mail address."""

    code = "invitation_invalid"


@dataclass(frozen=True, slots=True)
class Registrant:
    """Who wants to register; the address and the name are normal already."""

    email: str
    name: str
    password: str
    invitation: str | None = None


class Registration:
    """Lets people in, as far as ``mode`` allows."""

    def __init__(
        self,
        pool: Pool,
        passwords: Passwords,
        attempts: Attempts,
        invitations: Invitations,
        *,
        mode: Mode,
    ) -> None:
        self._pool = pool
        self._passwords = passwords
        self._attempts = attempts
        self._invitations = invitations
        self._mode = mode

    async def register(self, wanted: Registrant, by: Origin) -> Member:
        """Make a user: of the invitation's tenant, else owner of a new one, never of another.

        Raises:
            RegistrationOff, InvitationInvalid: there is no way in; nothing is told of anybody.
            EmailTaken: whoever has a way in learns this, there is no other answer to give.
            WeakPassword: the password is not accepted.
            AppError: too many attempts have failed (429), or they cannot be counted (503).
            DatabaseUnavailable: the database is away; nobody was made.
        """
        if self._mode == "off":
            raise RegistrationOff
        check_strength(wanted.password, email=wanted.email)
        ip = by.ip or ""
        await self._attempts.take(ip, wanted.email)
        place = await self._place(wanted)
        tenant_id = place.tenant_id if place else new_id("ten")
        user = NewUser(
            new_id("usr"),
            wanted.email,
            wanted.name,
            place.role if place else "owner",
            await self._passwords.hash(wanted.password),
        )
        async with tenant_transaction(self._pool, tenant_id) as connection:
            if place is None:
                # The id makes the name one that nobody else has, nor gives to a tenant of theirs.
                name = f"{wanted.name} ({tenant_id})"
                await connection.execute("SELECT open_tenant(%s, %s)", (tenant_id, name))
            member = await _add(
                connection, tenant_id, user, replace(by, actor=user.id, user_id=user.id)
            )
            if place and not await use_invitation(connection, place.invitation_id, user_id=user.id):
                raise InvitationInvalid
        await self._attempts.give_back(ip, wanted.email)
        return member

    async def _place(self, wanted: Registrant) -> Place | None:
        """Where the invitation leads; None = to a tenant of their own."""
        if wanted.invitation is None and self._mode == "open":
            return None
        place = await self._invitations.place(wanted.invitation or "")
        if place is None or place.email not in (None, wanted.email):
            raise InvitationInvalid
        return place


async def add_by_operator(
    pool: Pool, tenant_id: str, *, email: str, name: str, role: Role, passwords: Passwords
) -> str:
    """Make a user, and the temporary password they sign in with first.

    Raises:
        InvalidRequest: for an address or a name that is none.
        EmailTaken: somebody has the address already.
        DatabaseUnavailable: the database is away.
    """
    password = temporary_password()
    user = NewUser(
        new_id("usr"),
        normal_email(email),
        normal_name(name),
        role,
        await passwords.hash(password),
        temporary=True,
    )
    async with tenant_transaction(pool, tenant_id) as connection:
        await _add(connection, tenant_id, user, OPERATOR)
    return password


async def _add(connection: Connection, tenant_id: str, user: NewUser, by: Origin) -> Member:
    await add_user(connection, tenant_id, user)
    event = AuditEvent(tenant_id, "user.register", by, user.id, details={"role": user.role})
    await record(connection, event)
    member = await find_member(connection, tenant_id, user.id)
    assert member is not None  # noqa: S101 - it was made just now
    return member
