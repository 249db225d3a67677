"""Users that an identity provider vouches for: found by issuer and subject, made at first sight."""

from collections.abc import Callable
from dataclasses import replace

import psycopg

from app.auth.audit import AuditEvent, Origin, record
from app.auth.caller import Role
from app.auth.oauth.openid import Identity
from app.auth.user import User, normal_email, normal_name
from app.auth.user_store import EmailTaken, find_user
from app.errors import InvalidRequest, NotAllowed
from app.infra.ids import new_id
from app.infra.postgres import Connection, Pool, fetch_all, tenant_transaction


class Suspended(NotAllowed):
    """This account is suspended."""

    code = "suspended"


class OpenIdUsers:
    """The users of one issuer, all of one tenant; every method raises DatabaseUnavailable."""

    def __init__(self, pool: Pool, issuer: str, *, tenant: str, role: Role) -> None:
        """Whoever comes for the first time gets ``role`` in the tenant of that name."""
        self._pool = pool
        self._issuer = issuer
        self._tenant = tenant
        self._role = role

    async def sign_in(self, identity: Identity, by: Origin) -> User:
        """The user that ``identity`` is, made if they are new; never told by an e-mail address.

        Raises:
            Suspended: they are shut out.
            EmailTaken: their address is somebody else's here, who may not be them.
        """
        user_id = await self._find(identity) or await self._make(identity, by)
        user = await find_user(self._pool, user_id=user_id)
        if user is None or user.suspended:
            raise Suspended
        async with tenant_transaction(self._pool, user.tenant_id) as connection:
            await connection.execute(
                "UPDATE users SET last_login_at = now() WHERE tenant_id = %s AND id = %s",
                (user.tenant_id, user.id),
            )
            who = replace(by, actor=user.id, user_id=user.id)
            details = {"issuer": self._issuer}
            await record(
                connection, AuditEvent(user.tenant_id, "login", who, user.id, details=details)
            )
        return user

    async def _find(self, identity: Identity) -> str | None:
        rows = await fetch_all(
            self._pool,
            "SELECT id FROM find_oidc_user(%(issuer)s, %(subject)s)",
            {"issuer": self._issuer, "subject": identity.subject},
        )
        return str(rows[0]["id"]) if rows else None

    async def _make(self, identity: Identity, by: Origin) -> str:
        # Not only read, but as harmless to run twice.
        [row] = await fetch_all(
            self._pool,
            "SELECT tenant_of_issuer(%(id)s, %(name)s) AS id",
            {"id": new_id("ten"), "name": self._tenant},
        )
        user_id = new_id("usr")
        try:
            async with tenant_transaction(self._pool, row["id"]) as connection:
                await self._add(connection, user_id, row["id"], identity)
                event = AuditEvent(row["id"], "user.register", by, user_id)
                await record(connection, event)
        except psycopg.errors.UniqueViolation as error:
            if (found := await self._find(identity)) is None:
                raise EmailTaken from error
            return found  # they came through two doors at once
        return user_id

    async def _add(
        self, connection: Connection, user_id: str, tenant_id: str, identity: Identity
    ) -> None:
        await connection.execute(
            "INSERT INTO users (id, tenant_id, email, name, role, oidc_issuer, oidc_subject)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (
                user_id,
                tenant_id,
                # Nobody's, when the issuer vouches for none (RFC 2606).
                _or(normal_email, identity.email, f"{user_id}@users.invalid"),
                _or(normal_name, identity.name, "New user"),
                self._role,
                self._issuer,
                identity.subject,
            ),
        )


def _or(normal: Callable[[str], str], text: str | None, otherwise: str) -> str:
    try:
        return normal(text or "")
    except InvalidRequest:
        return otherwise
