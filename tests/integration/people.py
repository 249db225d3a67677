"""The parts of people on a real database, with hashes that cost nothing."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher

from app.auth.api_keys.service import KeyDesk
from app.auth.audit import Origin
from app.auth.caller import Caller, Role
from app.auth.keys import KeyRing, create_key
from app.auth.login import Logins
from app.auth.passwords import Passwords
from app.auth.people.account import Account
from app.auth.people.invitations import Invitations
from app.auth.people.registration import Mode, Registrant, Registration
from app.auth.people.roster import Roster
from app.auth.user import User
from app.auth.user_store import find_user
from app.infra.postgres import Pool, open_pool
from tests.conftest import FreshDatabase
from tests.fakes import CountedAttempts
from tests.integration.workshop import owner_rows

SECRET = b"secret"
PASSWORD = "a quiet river runs"
BY = Origin(ip="192.0.2.7", request_id="r1")


@dataclass
class Town:
    """Everything about people, for tests."""

    url: str
    pool: Pool
    passwords: Passwords
    attempts: CountedAttempts
    ring: KeyRing
    desk: KeyDesk
    logins: Logins
    account: Account
    roster: Roster
    invitations: Invitations

    def registration(self, mode: Mode) -> Registration:
        return Registration(self.pool, self.passwords, self.attempts, self.invitations, mode=mode)

    async def operator(self, tenant: str, *scopes: str) -> Caller:
        """Who holds a key that an operator made, by default one that may do everything."""
        more = {"scopes": scopes} if scopes else {}
        key = create_key(self.url, SECRET, tenant=tenant, name="operator", **more)  # type: ignore[arg-type]
        return await self.ring.caller(key)

    async def settle(self, tenant: str, role: Role) -> tuple[Caller, User]:
        """A user who has come by an invitation, signed in."""
        operator = await self.operator(tenant)
        _, code = await self.invitations.make(operator, email=None, role=role, days=1, by=BY)
        email = f"{uuid.uuid4().hex}@example.com"
        await self.registration("invite").register(Registrant(email, "Ann", PASSWORD, code), BY)
        user = await find_user(self.pool, email=email)
        assert user is not None
        return signed_in(user), user

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Ask as the owner, past every policy."""
        return owner_rows(self.url, query, *values)

    def events(self, tenant_id: str, *, since: int = 0) -> list[tuple[str, str, str | None]]:
        """Action, outcome and target of what was written down of a tenant, oldest first."""
        rows = self.rows(
            "SELECT action, outcome, target FROM audit_events WHERE tenant_id = %s ORDER BY at",
            tenant_id,
        )
        return [(row["action"], row["outcome"], row["target"]) for row in rows][since:]


def signed_in(user: User) -> Caller:
    """The caller that an access token of the user stands for."""
    return Caller(user.tenant_id, user.id, user.scopes, user_id=user.id, role=user.role)


@asynccontextmanager
async def open_town(database: FreshDatabase) -> AsyncIterator[Town]:
    async with open_pool(database.database_url, size=8, timeout_s=5) as pool:
        passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        attempts = CountedAttempts()
        logins = Logins(pool, passwords, attempts)
        yield Town(
            database.database_url, pool, passwords, attempts, KeyRing(pool, SECRET),
            KeyDesk(pool, SECRET), logins, Account(pool, passwords, logins),
            Roster(pool, passwords), Invitations(pool, SECRET),
        )  # fmt: skip
