"""Where callers make keys, see them and revoke them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from app.auth.api_keys import store
from app.auth.api_keys.store import KeyListing, NewKey, StoredKey
from app.auth.audit import AuditEvent, Origin, record
from app.auth.caller import Caller
from app.auth.keys import hash_key, new_key
from app.errors import NotAllowed, NotFound
from app.infra.ids import new_id
from app.infra.postgres import Connection, Pool, tenant_transaction

Bound = TypeVar("Bound", int, float, datetime)


class KeyNotFound(NotFound):
    """There is no such key."""

    code = "key_not_found"


class ScopeNotHeld(NotAllowed):
    """A key may do no more than its maker."""

    code = "scope_not_held"


class KeyDesk:
    """Keys of one caller at a time.

    Users manage the keys that are theirs, whatever credential of theirs is used; everybody else
    needs the scope ``admin``, which lets manage all keys of the tenant. Every method raises
    NotAllowed for who may not, and DatabaseUnavailable.
    """

    def __init__(self, pool: Pool, secret: bytes) -> None:
        """``secret`` keys the hashes."""
        self._pool = pool
        self._secret = secret

    async def make(self, caller: Caller, wanted: NewKey, by: Origin) -> tuple[StoredKey, str]:
        """A key as it is stored, and the key itself, which is nowhere from then on.

        It belongs to the user of the caller. What a key without the scope ``admin`` makes has no
        later end, no higher limit and no larger budget than itself.

        Raises:
            ScopeNotHeld: the caller lacks a scope that the key is to have.
        """
        _check_manager(caller)
        if caller.client_id is not None:  # they would outlive the consent that it was given
            raise NotAllowed("A client makes no keys.")
        if missing := wanted.scopes - caller.scopes:
            raise ScopeNotHeld(missing_scopes=sorted(missing))
        if wanted.budget_usd is not None and "admin" not in caller.scopes:
            raise NotAllowed("Only administrators set budgets.", required_scope="admin")
        key, key_id = new_key(), new_id("key")
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            await store.add_key(
                connection,
                await _bounded(connection, caller, wanted),
                key_id=key_id,
                tenant_id=caller.tenant_id,
                user_id=caller.user_id,
                key_hash=hash_key(key, self._secret),
            )
            details = {"scopes": sorted(wanted.scopes)}
            await record(
                connection,
                AuditEvent(caller.tenant_id, "key.create", by, key_id, details=details),
            )
            return await _found(connection, caller, key_id), key

    async def list(
        self, caller: Caller, *, everybodys: bool, after: str | None, limit: int
    ) -> tuple[Sequence[StoredKey], bool]:
        """The caller's own keys or, for administrators, ``everybodys``; and whether more follow."""
        _check_manager(caller)
        if everybodys and "admin" not in caller.scopes:
            raise NotAllowed("Other people's keys need 'admin'.", required_scope="admin")
        listing = KeyListing(limit, after, caller.user_id, everybodys)
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            found = await store.list_keys(connection, caller.tenant_id, listing)
        return found[:limit], len(found) > limit

    async def get(self, caller: Caller, key_id: str) -> StoredKey:
        """One key.

        Raises:
            KeyNotFound: also when it is another user's, or another tenant's.
        """
        _check_manager(caller)
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            return await _found(connection, caller, key_id)

    async def revoke(self, caller: Caller, key_id: str, by: Origin) -> None:
        """Make a key void from the next request on.

        Raises:
            KeyNotFound: as for :meth:`get`.
        """
        _check_manager(caller)
        async with tenant_transaction(self._pool, caller.tenant_id) as connection:
            await _found(connection, caller, key_id)
            if await store.revoke_key(connection, key_id):
                await record(connection, AuditEvent(caller.tenant_id, "key.revoke", by, key_id))


def _check_manager(caller: Caller) -> None:
    if caller.user_id is None and "admin" not in caller.scopes:
        raise NotAllowed("Keys that are nobody's need 'admin'.", required_scope="admin")
    if caller.client_id is not None and "admin" not in caller.scopes:  # its user consented to less
        raise NotAllowed("A client manages its user's keys with 'admin' only.")


async def _found(connection: Connection, caller: Caller, key_id: str) -> StoredKey:
    key = await store.find_key(connection, caller.tenant_id, key_id)
    if key is None or ("admin" not in caller.scopes and key.user_id != caller.user_id):
        raise KeyNotFound
    return key


async def _bounded(connection: Connection, caller: Caller, wanted: NewKey) -> NewKey:
    """``wanted``, with no more than the key has that makes it."""
    maker = await store.find_key(connection, caller.tenant_id, caller.id)
    if maker is None or "admin" in caller.scopes:
        return wanted
    return replace(
        wanted,
        expires_at=_tighter(wanted.expires_at, maker.expires_at),
        requests_per_minute=_tighter(wanted.requests_per_minute, maker.requests_per_minute),
        budget_usd=maker.budget_usd,
    )


def _tighter(one: Bound | None, other: Bound | None) -> Bound | None:
    bounds = [bound for bound in (one, other) if bound is not None]
    return min(bounds, default=None)
