"""Authorization codes: 256 random bits, for one client, one use and one minute."""

import base64
import hashlib
import hmac
import re
import secrets

from app.auth.audit import AuditEvent, Origin, record
from app.auth.keys import hash_key
from app.auth.oauth import code_store as store
from app.auth.oauth.authorization import Authorization
from app.auth.oauth.client import Client
from app.auth.oauth.errors import InvalidGrant
from app.auth.token_store import Family, holds
from app.auth.tokens import TokenPair, Tokens, issued
from app.auth.user import User
from app.errors import NotAuthenticated
from app.infra.ids import new_id
from app.infra.postgres import Connection, Pool, tenant_transaction

TTL_S = 60
_MAX_CHARS = 128
#: RFC 7636, 4.1.
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class Codes:
    """Issues codes and redeems them; both raise DatabaseUnavailable."""

    def __init__(self, pool: Pool, secret: bytes, tokens: Tokens) -> None:
        """``secret`` keys the hashes of codes."""
        self._pool = pool
        self._secret = secret
        self._tokens = tokens

    async def issue(self, authorization: Authorization, user: User, by: Origin) -> str:
        """A code for what ``user`` consented to, as far as they may do it themselves.

        Raises:
            NotAuthenticated: the user was shut out since they were read.
            SentBack: they may do nothing of what is asked for.
        """
        granted = authorization.scopes & user.scopes
        if not granted:
            raise authorization.refused()
        code = secrets.token_urlsafe(32)
        async with tenant_transaction(self._pool, user.tenant_id) as connection:
            if not await holds(connection, user):
                raise NotAuthenticated
            await store.add_code(
                connection,
                authorization,
                user_id=user.id,
                scopes=granted,
                code_hash=hash_key(code, self._secret),
                ttl_s=TTL_S,
            )
            details = {"scopes": " ".join(sorted(granted))}
            await record(
                connection,
                AuditEvent(
                    user.tenant_id, "client.consent", by, authorization.client.id, details=details
                ),
            )
        return code

    async def redeem(
        self, client: Client, code: str, *, redirect_uri: str, verifier: str, by: Origin
    ) -> TokenPair:
        """Tokens for ``code``, once.

        Of any number that redeem it at once the first is served. All others end what that one got:
        one of them has stolen it (RFC 6749, 4.1.2).

        Raises:
            InvalidGrant: it is unknown, lapsed, redeemed, another client's, or was asked for with
                another redirect or challenge; it does not say which.
        """
        if not code.isascii() or len(code) > _MAX_CHARS:
            raise InvalidGrant
        digest = hash_key(code, self._secret)
        async with tenant_transaction(self._pool, client.tenant_id) as connection:
            found = await store.lock_code(connection, digest)
            if found is None or found.client_id != client.id:
                raise InvalidGrant
            family_id = found.family_id or new_id("fam")
            family = Family(family_id, client.tenant_id, found.user_id, client.id, found.scopes)
            if found.family_id is not None:
                refresh_token = None
                await self._tokens.end_replayed(connection, family)
            elif (
                found.lapsed
                or found.redirect_uri != redirect_uri
                or not proves(verifier, found.challenge)
            ):
                raise InvalidGrant
            else:
                refresh_token = await self._redeem(connection, digest, family, by)
        if refresh_token is None:  # only now: what was revoked is to stay so
            raise InvalidGrant
        renewable = "refresh_token" in client.grants
        return await self._tokens.pair(family, refresh_token if renewable else None)

    async def _redeem(
        self, connection: Connection, code_hash: bytes, family: Family, by: Origin
    ) -> str:
        refresh_token = await self._tokens.begin(connection, family)
        await store.redeem_code(connection, code_hash, family.id)
        await record(connection, issued(family, by))
        return refresh_token


def proves(verifier: str, challenge: str) -> bool:
    """Whether ``verifier`` is what ``challenge`` was made of (RFC 7636, 4.6; S256)."""
    if not _VERIFIER.fullmatch(verifier):
        return False
    digest = hashlib.sha256(verifier.encode()).digest()
    made = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return hmac.compare_digest(made, challenge)
