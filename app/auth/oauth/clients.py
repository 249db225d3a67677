"""Where administrators make clients and disable them, and where clients prove who they are."""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from app.auth.audit import AuditEvent, AuditLog, Origin, record
from app.auth.caller import Caller
from app.auth.keys import hash_key
from app.auth.oauth import client_store as store
from app.auth.oauth.client import Client, ListedClient
from app.auth.oauth.errors import InvalidClient
from app.errors import NotAllowed, NotFound
from app.infra.ids import new_id
from app.infra.postgres import Connection, Pool, tenant_transaction

_MAX_SECRET_CHARS = 128


class ClientNotFound(NotFound):
    """There is no such client."""

    code = "client_not_found"


@dataclass(frozen=True, slots=True)
class NewClient:
    """A client to be made; a ``public`` one gets no secret."""

    name: str
    public: bool
    redirect_uris: tuple[str, ...]
    scopes: frozenset[str]
    grants: frozenset[str]


class Clients:
    """The clients of all tenants; every method raises DatabaseUnavailable."""

    def __init__(self, pool: Pool, secret: bytes) -> None:
        """``secret`` keys the hashes of clients' secrets."""
        self._pool = pool
        self._secret = secret

    async def find(self, client_id: str) -> Client | None:
        """The client, unless it is disabled; whoever says it is that client has proven nothing."""
        return await store.find_client(self._pool, client_id)

    async def authenticate(self, client_id: str, secret: str | None, by: Origin) -> Client:
        """The client that ``secret`` proves; a public one has none.

        A wrong secret is in the audit log of the client's tenant.

        Raises:
            InvalidClient: unknown or disabled, or the secret is not right; it does not say which.
        """
        client = await self.find(client_id)
        if client is None or (client.secret_hash is None) is not (secret is None):
            raise InvalidClient
        if secret is not None and client.secret_hash is not None:
            plausible = secret.isascii() and len(secret) <= _MAX_SECRET_CHARS
            digest = hash_key(secret, self._secret) if plausible else b""
            if not hmac.compare_digest(digest, client.secret_hash):
                event = AuditEvent(client.tenant_id, "client.secret", by, client.id, "refused")
                await AuditLog(self._pool).record(event)
                raise InvalidClient
        return client

    async def make(
        self, caller: Caller, wanted: NewClient, by: Origin
    ) -> tuple[ListedClient, str | None]:
        """A client as it is listed, and its secret, which is nowhere from then on.

        Raises:
            NotAllowed: the caller lacks a scope that the client is to have, or is a client.
        """
        if caller.client_id is not None:  # disabling it would not disable what it made
            raise NotAllowed("A client makes no clients.")
        if missing := wanted.scopes - caller.scopes:
            raise NotAllowed(
                "A client may do no more than its maker.", missing_scopes=sorted(missing)
            )
        secret = None if wanted.public else f"ds_{secrets.token_urlsafe(32)}"
        client = Client(
            id=new_id("cli"),
            tenant_id=caller.tenant_id,
            name=wanted.name,
            secret_hash=None if secret is None else hash_key(secret, self._secret),
            redirect_uris=wanted.redirect_uris,
            scopes=wanted.scopes,
            grants=wanted.grants,
        )
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            await store.add_client(connection, client)
            details = {"scopes": " ".join(sorted(client.scopes)), "public": wanted.public}
            await record(
                connection,
                AuditEvent(caller.tenant_id, "client.create", by, client.id, details=details),
            )
            return await _listed(connection, caller, client.id), secret

    async def list(
        self, caller: Caller, *, after: str | None, limit: int
    ) -> tuple[Sequence[ListedClient], bool]:
        """The tenant's clients, disabled ones too; and whether more follow."""
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            found = await store.list_clients(connection, caller.tenant_id, after=after, limit=limit)
        return found[:limit], len(found) > limit

    async def disable(self, caller: Caller, client_id: str, by: Origin) -> None:
        """Shut a client out from the next request on, with every token it has.

        Raises:
            ClientNotFound: also when it is another tenant's.
        """
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            await _listed(connection, caller, client_id)
            if await store.disable_client(connection, client_id):
                event = AuditEvent(caller.tenant_id, "client.disable", by, client_id)
                await record(connection, event)


async def _listed(connection: Connection, caller: Caller, client_id: str) -> ListedClient:
    found = await store.get_listed(connection, caller.tenant_id, client_id)
    if found is None:
        raise ClientNotFound
    return found
