"""``Idempotency-Key``: the same request again gets the first answer, and is not carried out twice.

The first answer is kept in PostgreSQL for a day, by tenant and credential. While it is being made
its maker holds a lease, so that one who died is replaced within seconds.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import Request
from psycopg.types.json import Jsonb
from starlette.responses import Response

from app.errors import Conflict, InvalidRequest, Unavailable
from app.infra.postgres import DatabaseUnavailable, Pool, tenant_transaction

log = structlog.get_logger(__name__)
#: Design: contract, Conventions.
MAX_KEY = 255
#: A route that takes a key says so in the OpenAPI document: it is no parameter that FastAPI knows.
DOCUMENTED_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same request under the same key within 24 hours gets the first answer.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_KEY,
        "pattern": "^[!-~]([ -~]*[!-~])?$",
    },
}
#: A maker that has not renewed its lease for so long is gone.
LEASE_S, RENEWED_EVERY_S = 10.0, 3.0
#: Headers that are part of the answer.
KEPT_HEADERS = (
    "content-type",
    "location",
    "cache-control",
    "x-accel-buffering",
    "x-docent-provider",
)

_TAKE = """
    INSERT INTO idempotent_requests (tenant_id, caller, key, fingerprint, holder, lease_until)
    VALUES (%(tenant)s, %(caller)s, %(key)s, %(fingerprint)s, %(holder)s,
            now() + make_interval(secs => %(lease_s)s))
    ON CONFLICT (tenant_id, caller, key) DO UPDATE SET fingerprint = excluded.fingerprint,
        holder = excluded.holder, lease_until = excluded.lease_until, status = NULL, headers = NULL,
        body = NULL, created_at = now()
    WHERE idempotent_requests.created_at < now() - interval '24 hours'
       OR (idempotent_requests.status IS NULL AND idempotent_requests.lease_until < now()
           AND idempotent_requests.fingerprint = excluded.fingerprint)
    RETURNING holder"""
_MINE = " WHERE tenant_id = %(tenant)s AND caller = %(caller)s AND key = %(key)s"
_FORGET = f"DELETE FROM idempotent_requests{_MINE}"  # noqa: S608 - constants
#: Whether a response that rests on these documents may be given again.
Stands = Callable[[list[str]], Awaitable[bool]]
#: Where they are kept, among the headers.
_RESTS_ON = "docent-rests-on"


class KeyReused(InvalidRequest):
    """This Idempotency-Key was sent with another request."""

    code = "idempotency_key_reused"


class StillRunning(Conflict):
    """The first request with this Idempotency-Key is not finished; try again shortly."""

    code, retryable = "idempotency_in_progress", True


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request that carries a key; ``fingerprint`` is the SHA-256 of what it asks."""

    tenant_id: str
    caller: str
    key: str
    fingerprint: bytes


def idempotency_key(request: Request) -> str | None:
    """The request's key, or None.

    Raises:
        InvalidRequest: when it is empty, longer than 255 characters or not printable.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise InvalidRequest(f"Idempotency-Key must be 1 to {MAX_KEY} printable characters.")
    return key


def fingerprint(*parts: bytes | str | None) -> bytes:
    """The SHA-256 of ``parts``, in this order."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(b"-" if data is None else b"%d:" % len(data) + data)
    return digest.digest()


async def _always(_: list[str]) -> bool:
    return True


class Idempotency:
    """Carries out keyed requests once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def once(self, keyed: KeyedRequest, work: Callable[[], Awaitable[Response]]) -> Response:
        """The response of ``work``, or the one that was given before.

        Only what succeeded is kept: after an error the same key may be tried again.

        Raises:
            KeyReused, StillRunning: instead of carrying it out.
            Exception: whatever ``work`` raises.
        """
        async with AsyncExitStack() as stack:
            turn = await self.begin(keyed, stack)
            if isinstance(turn, Response):
                return turn
            response = await work()
            if response.status_code < 300:  # noqa: PLR2004
                await turn.keep(response)
            return response

    async def begin(
        self, keyed: KeyedRequest, stack: AsyncExitStack, stands: Stands = _always
    ) -> "Response | Turn":
        """The response that was given before, or the turn to make it, until ``stack`` closes.

        A key whose turn ends without a response that was kept may be used again, and so may one
        whose response, by ``stands``, must not be given any more.

        Raises:
            KeyReused, StillRunning: it is neither.
        """
        values = {
            "tenant": keyed.tenant_id,
            "caller": keyed.caller,
            "key": keyed.key,
            "fingerprint": keyed.fingerprint,
            "holder": secrets.token_hex(8),
            "lease_s": LEASE_S,
        }
        known = await self._take(values)
        if known is not None:
            replay = _replay(known, keyed.fingerprint)
            if await stands(known["headers"].get(_RESTS_ON, "").split()):
                return replay
            await self._change({**values, "holder": known["holder"]}, _FORGET)
            if (known := await self._take(values)) is not None:
                return _replay(known, keyed.fingerprint)  # somebody else was as quick
        turn = Turn(self, values)
        renewing = asyncio.create_task(self._renew(values))

        async def end(_type: object, error: BaseException | None, _trace: object) -> None:
            renewing.cancel()
            # While the database is away the lease ends by itself: nobody has to wait twice.
            if not turn.kept and not isinstance(error, DatabaseUnavailable):
                await asyncio.shield(self._forget(values))

        stack.push_async_exit(end)
        return turn

    async def _take(self, values: dict[str, Any]) -> dict[str, Any] | None:
        """Take the key (None), or find who has it."""
        async with tenant_transaction(self._pool, values["tenant"]) as connection:
            cursor = await connection.execute(_TAKE, values)
            if await cursor.fetchone() is not None:
                return None
            cursor = await connection.execute(
                "SELECT fingerprint, holder, status, headers, body"  # noqa: S608 - constants
                f" FROM idempotent_requests{_MINE}",
                values,
            )
            row = await cursor.fetchone()
        if row is None:
            raise StillRunning  # forgotten this very moment
        return row

    async def _renew(self, values: dict[str, Any]) -> None:
        while True:
            await asyncio.sleep(RENEWED_EVERY_S)
            with suppress(Unavailable):
                await self._change(
                    values,
                    "UPDATE idempotent_requests"  # noqa: S608 - constants
                    f" SET lease_until = now() + make_interval(secs => %(lease_s)s){_MINE}",
                )

    async def keep(
        self, values: dict[str, Any], response: Response, rests_on: Iterable[str]
    ) -> None:
        """Keep ``response`` as the answer to the request of ``values``."""
        headers = {
            name: response.headers[name] for name in KEPT_HEADERS if name in response.headers
        }
        headers[_RESTS_ON] = " ".join(rests_on)
        await self._change(
            {
                **values,
                "status": response.status_code,
                "headers": Jsonb(headers),
                "body": bytes(response.body),
            },
            "UPDATE idempotent_requests SET status = %(status)s,"  # noqa: S608 - constants
            " headers = %(headers)s,"
            f" body = %(body)s{_MINE}",
        )

    async def _forget(self, values: dict[str, Any]) -> None:
        try:
            await self._change(values, _FORGET)
        except Unavailable as error:
            log.warning("idempotency_key_kept", error=type(error).__name__)  # till its lease ends

    async def _change(self, values: dict[str, Any], statement: str) -> None:
        async with tenant_transaction(self._pool, values["tenant"]) as connection:
            await connection.execute(f"{statement} AND holder = %(holder)s", values)


class Turn:
    """The right to make the answer to one keyed request."""

    def __init__(self, kept_by: Idempotency, values: dict[str, Any]) -> None:
        self._kept_by = kept_by
        self._values = values
        self.kept = False

    async def keep(self, response: Response, rests_on: Iterable[str] = ()) -> None:
        """Let ``response`` be what the same request gets again, while these documents stand."""
        await self._kept_by.keep(self._values, response, rests_on)
        self.kept = True


def _replay(known: dict[str, Any], asked: bytes) -> Response:
    if known["fingerprint"] != asked:
        raise KeyReused
    if known["status"] is None:
        raise StillRunning
    headers = {name: said for name, said in known["headers"].items() if name in KEPT_HEADERS}
    headers["Idempotent-Replayed"] = "true"
    return Response(known["body"], status_code=known["status"], headers=headers)
