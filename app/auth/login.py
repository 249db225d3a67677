"""Who signs in by e-mail address and password, and how often somebody may get it wrong."""

import asyncio
from dataclasses import replace
from typing import Protocol

import structlog

from app.auth.audit import AuditEvent, AuditLog, Origin, record
from app.auth.passwords import Passwords
from app.auth.user import User, normal_email
from app.auth.user_store import find_with_password, remember_login
from app.errors import InvalidRequest, NotAllowed, NotAuthenticated
from app.infra.postgres import Pool, tenant_transaction

log = structlog.get_logger(__name__)
#: No refusal comes sooner, whatever was looked up, checked and written down before it.
REFUSAL_S = 0.5


class Attempts(Protocol):
    """Counts what did not succeed, of each IP address and of each e-mail address."""

    async def take(self, ip: str, email: str) -> None:
        """Count one attempt, before it is made.

        Raises:
            AppError: too many have failed, or nobody knows how many.
        """

    async def give_back(self, ip: str, email: str) -> None:
        """Count it no more: it succeeded."""


class WrongPassword(NotAuthenticated):
    """The e-mail address or the password is wrong."""

    code = "login_failed"


class OldPasswordWrong(NotAllowed):
    """The old password is wrong."""

    code = "wrong_password"


class Logins:
    """Checks passwords; strangers are told nothing but yes or no, and no faster than that."""

    def __init__(self, pool: Pool, passwords: Passwords, attempts: Attempts) -> None:
        self._pool = pool
        self._passwords = passwords
        self._attempts = attempts

    async def check(
        self, email: str, password: str, *, ip: str, request_id: str | None = None
    ) -> User:
        """Whose e-mail address and password these are.

        Raises:
            WrongPassword: there is no such user, the password is another, or the user is suspended;
                it does not say which.
            AppError: too many attempts have failed (429), or they cannot be counted (503).
            DatabaseUnavailable: users cannot be looked up.
        """
        try:
            email = normal_email(email)
        except InvalidRequest:
            email = ""  # nobody's, which is found out like anybody else's
        by = Origin(ip=ip, request_id=request_id)
        await self._attempts.take(ip, email)
        due = asyncio.get_running_loop().time() + REFUSAL_S
        user, stored = await find_with_password(self._pool, email=email) or (None, None)
        right = await self._passwords.verify(password, stored)
        if user is None or stored is None or not right or user.suspended:
            await self._refuse(user, by)
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            raise WrongPassword
        await self._attempts.give_back(ip, email)
        renewed = await self._passwords.hash(password) if self._passwords.outdated(stored) else None
        async with tenant_transaction(self._pool, user.tenant_id) as connection:
            await remember_login(connection, user.id, stored=stored, renewed=renewed)
            who = replace(by, actor=user.id, user_id=user.id)
            await record(connection, AuditEvent(user.tenant_id, "login", who, user.id))
        return user

    async def check_own(self, user_id: str, password: str, *, ip: str) -> User:
        """The user, if it is their password: for what a token is not enough for.

        Raises:
            OldPasswordWrong: it is another.
            AppError, DatabaseUnavailable: as for :meth:`check`.
        """
        user, stored = await find_with_password(self._pool, user_id=user_id) or (None, None)
        if user is None:
            raise NotAuthenticated
        await self._attempts.take(ip, user.email)
        if not await self._passwords.verify(password, stored):
            raise OldPasswordWrong
        await self._attempts.give_back(ip, user.email)
        return user

    async def _refuse(self, user: User | None, by: Origin) -> None:
        if user is None:  # of no tenant, so in no tenant's audit log
            log.info("login_refused", ip=by.ip)
            return
        details = {"reason": "suspended" if user.suspended else "password"}
        event = AuditEvent(user.tenant_id, "login", by, user.id, "refused", details)
        await AuditLog(self._pool).record(event)
