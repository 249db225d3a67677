"""The audit log: who did what to what, from where, and whether they were let.

An event is written in the transaction of the action itself: neither is there without the other.
Rows are never changed, which the database sees to. Secrets, and what documents say, are in none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from app.infra.ids import new_event_id
from app.infra.postgres import Connection, Pool, tenant_transaction

Outcome = Literal["ok", "refused", "failed"]
#: Longer values are cut: what is written down for good is not for strangers to fill.
_MOST_CHARS = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """Who acts, and from where."""

    #: The caller's id; None = nobody known yet, or an operator at the machine.
    actor: str | None = None
    #: Whose key or token the actor is.
    user_id: str | None = None
    ip: str | None = None
    request_id: str | None = None


#: A script that an operator runs.
OPERATOR = Origin()


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that was done, or tried."""

    tenant_id: str
    #: Such as ``key.create``.
    action: str
    by: Origin
    #: The id of what it was done to.
    target: str | None = None
    outcome: Outcome = "ok"
    details: Mapping[str, Any] = field(default_factory=dict)


_INSERT: LiteralString = """
    INSERT INTO audit_events
        (id, tenant_id, actor, user_id, action, target, outcome, ip, request_id, details)
    VALUES (%(id)s, %(tenant)s, %(actor)s, %(user)s, %(action)s, %(target)s, %(outcome)s,
            %(ip)s, %(request)s, %(details)s)"""


async def record(connection: Connection, event: AuditEvent) -> None:
    """Write ``event`` down in the open transaction, which has entered its tenant."""
    await connection.execute(_INSERT, _values(event))


def record_as_owner(connection: psycopg.Connection[Any], event: AuditEvent) -> None:
    """The same for an operator's program, which acts as the owner of the tables; blocks."""
    connection.execute(_INSERT, _values(event))


def _values(event: AuditEvent) -> dict[str, Any]:
    return {
        "id": new_event_id(),
        "tenant": event.tenant_id,
        "actor": event.by.actor,
        "user": event.by.user_id,
        "action": event.action,
        "target": _storable(event.target),
        "outcome": event.outcome,
        "ip": event.by.ip,
        "request": event.by.request_id,
        "details": Jsonb({name: _storable(value) for name, value in event.details.items()}),
    }


class AuditLog:
    """For what was refused, or done outside the database: it has no transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def record(self, event: AuditEvent) -> None:
        """Write ``event`` down in a transaction of its own.

        Raises:
            DatabaseUnavailable: the database does not answer, and nobody knows of the event.
        """
        async with tenant_transaction(self._pool, event.tenant_id) as connection:
            await record(connection, event)


def _storable(value: Any) -> Any:  # noqa: ANN401 - JSON
    """``value``; of a text what PostgreSQL can keep."""
    if not isinstance(value, str):
        return value
    return value[:_MOST_CHARS].replace("\0", "\ufffd").encode("utf-8", "replace").decode()
