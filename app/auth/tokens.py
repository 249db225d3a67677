"""Access tokens and the refresh tokens they are renewed with.

An access token is a JWT that says to which family it belongs; the family, its user and its client
are looked up at every use, in one query, so that what is revoked, suspended or disabled is out with
the next request. A refresh token is 256 random bits, stored as a keyed hash, and good for one use.
"""

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from app.auth import token_store as store
from app.auth.access_token import Claims, kid_of, signed, verified
from app.auth.audit import OPERATOR, AuditEvent, Origin, record
from app.auth.caller import Caller
from app.auth.keys import hash_key
from app.auth.signing_keys import SigningKeys
from app.auth.token_store import Family
from app.auth.user import User
from app.errors import NotAuthenticated
from app.infra.ids import new_id
from app.infra.postgres import Connection, Pool, tenant_transaction
from app.settings import Settings

#: The claim ``client_id`` of a token from our own login; no client's id looks like it.
OWN_CLIENT = "docent"
#: Longer than any refresh token.
_MAX_CHARS = 128


class RefreshRefused(NotAuthenticated):
    """This refresh token is not valid; sign in again."""

    code = "refresh_refused"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What somebody is let in with, and how they get the next one."""

    access_token: str
    #: None for a service account, which asks again with its own credentials.
    refresh_token: str | None
    expires_in_s: int
    scopes: frozenset[str]


class Tokens:
    """Issues, renews, revokes and checks tokens; every method raises DatabaseUnavailable."""

    def __init__(self, pool: Pool, secret: bytes, keys: SigningKeys, settings: Settings) -> None:
        """``secret`` keys the hashes of refresh tokens."""
        self._pool = pool
        self._secret = secret
        self._keys = keys
        self._issuer = settings.issuer
        self._access_ttl_s = settings.access_token_ttl_s
        self._refresh_ttl_s = settings.refresh_token_ttl_s

    async def issue(
        self, user: User, *, client_id: str | None, scopes: Iterable[str] | None = None
    ) -> TokenPair:
        """Tokens for ``user``, who has just signed in; None as ``client_id`` is our own login.

        They may do ``scopes`` as far as the user may; None is all of it.

        Raises:
            NotAuthenticated: the user was suspended, or their tokens voided, since they were read.
        """
        granted = user.scopes if scopes is None else user.scopes & frozenset(scopes)
        family = Family(new_id("fam"), user.tenant_id, user.id, client_id, granted)
        async with tenant_transaction(self._pool, user.tenant_id) as connection:
            if not await store.holds(connection, user):
                raise NotAuthenticated
            refresh_token = await self.begin(connection, family)
        return await self.pair(family, refresh_token)

    async def issue_to_client(
        self, client_id: str, tenant_id: str, scopes: frozenset[str], by: Origin
    ) -> TokenPair:
        """An access token for a service account, which acts for itself."""
        family = Family(new_id("fam"), tenant_id, None, client_id, scopes)
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await store.add_family(connection, family, ttl_s=self._access_ttl_s)
            await record(connection, issued(family, by))
        return await self.pair(family, None)

    async def begin(self, connection: Connection, family: Family) -> str:
        """Record ``family`` in the open transaction; its first refresh token, for :meth:`pair`."""
        await store.add_family(connection, family, ttl_s=self._access_ttl_s)
        return await self._add_refresh_token(connection, family)

    async def pair(
        self, family: Family, refresh_token: str | None, scopes: frozenset[str] | None = None
    ) -> TokenPair:
        """Sign an access token of ``family``, which is recorded, for no more than ``scopes``."""
        granted = family.scopes if scopes is None else family.scopes & scopes
        key = await self._keys.signer()
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": family.user_id or family.client_id,
            "tenant": family.tenant_id,
            "client_id": family.client_id or OWN_CLIENT,
            "scope": " ".join(sorted(granted)),
            "iat": now,
            "nbf": now,
            "exp": now + self._access_ttl_s,
            "jti": secrets.token_urlsafe(16),
            "family": family.id,
        }
        token = signed(claims, key.kid, key.private)
        return TokenPair(token, refresh_token, self._access_ttl_s, granted)

    async def refresh(
        self, refresh_token: str, *, client_id: str | None, scopes: frozenset[str] | None = None
    ) -> TokenPair:
        """New tokens for ``refresh_token``, which is used up; for ``scopes`` if they are less.

        Whoever brings one that was used already ends its whole family: one of the two has stolen
        it. Of any number that bring it at once, the first is served and the others end the family.

        Raises:
            RefreshRefused: it is unknown, lapsed, used, revoked, or another client's.
        """
        digest = self._digest(refresh_token)
        found = digest and await store.find_refresh_token(self._pool, digest)
        if not digest or not found:
            raise RefreshRefused
        tenant_id, family_id = found
        successor = None
        async with tenant_transaction(self._pool, tenant_id) as connection:
            family = await store.lock_family(connection, family_id)
            if family is None or family.client_id != client_id:
                raise RefreshRefused
            outcome = await store.use_refresh_token(connection, digest)
            if outcome == "replayed":
                await self.end_replayed(connection, family)
            elif outcome == "used":
                successor = await self._add_refresh_token(connection, family)
        if successor is None:  # only now: what was revoked is to stay so
            raise RefreshRefused
        return await self.pair(family, successor, scopes)

    async def revoke(self, token: str, *, client_id: str | None, by: Origin = OPERATOR) -> None:
        """Make ``token``, of either kind, void with its whole family, if it is that client's.

        One that is unknown, or void already, is none of anybody's concern (RFC 7009, 2.2).
        """
        digest = self._digest(token)
        found = digest and await store.find_refresh_token(self._pool, digest)
        if not found:
            try:
                claims = await self._claims(token)
            except NotAuthenticated:
                return
            holder = await store.find_holder(self._pool, claims.family_id)
            if holder is None:
                return
            found = holder["tenant_id"], claims.family_id
        tenant_id, family_id = found
        async with tenant_transaction(self._pool, tenant_id) as connection:
            if await store.revoke_family(connection, family_id, client_id):
                event = AuditEvent(tenant_id, "token.revoke", by, family_id)
                await record(connection, event)

    async def caller(self, access_token: str) -> Caller:
        """Who holds ``access_token``, with what both it and its user's role (or client) allow.

        Raises:
            NotAuthenticated: it is not valid, or no more; the message does not say which.
        """
        claims = await self._claims(access_token)
        holder = await store.find_holder(self._pool, claims.family_id)
        if holder is None:
            raise NotAuthenticated
        return Caller(
            holder["tenant_id"],
            holder["user_id"] or holder["client_id"],
            claims.scopes & frozenset(holder["scopes"]),
            tenant_budget_usd=holder["tenant_budget_usd"],
            corpus_revision=holder["corpus_revision"],
            restricted=holder["restricted"],
            user_id=holder["user_id"],
            role=holder["role"],
            client_id=holder["client_id"],
        )

    async def end_replayed(self, connection: Connection, family: Family) -> None:
        """End a family of which something was used twice, in the open transaction."""
        await store.revoke_family(connection, family.id, family.client_id)
        by = Origin(actor=family.client_id or family.user_id, user_id=family.user_id)
        event = AuditEvent(family.tenant_id, "token.replay", by, family.id, "refused")
        await record(connection, event)

    async def _claims(self, access_token: str) -> Claims:
        key = await self._keys.find(kid_of(access_token))
        if key is None:
            raise NotAuthenticated
        return verified(access_token, key, issuer=self._issuer)

    async def _add_refresh_token(self, connection: Connection, family: Family) -> str:
        token = f"dr_{secrets.token_urlsafe(32)}"
        digest = hash_key(token, self._secret)
        await store.add_refresh_token(connection, family, digest, ttl_s=self._refresh_ttl_s)
        return token

    def _digest(self, token: str) -> bytes | None:
        """What a refresh token is stored as; None for what cannot be one."""
        plausible = token.isascii() and len(token) <= _MAX_CHARS
        return hash_key(token, self._secret) if plausible else None


def issued(family: Family, by: Origin) -> AuditEvent:
    """What is written down of the first tokens of a client's family."""
    who = replace(by, actor=family.client_id, user_id=family.user_id)
    details = {"scopes": " ".join(sorted(family.scopes))}
    return AuditEvent(family.tenant_id, "token.issue", who, family.id, details=details)
