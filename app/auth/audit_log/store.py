"""The audit log, read; every function runs in a tenant transaction."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.auth.audit import Outcome
from app.infra.postgres import Connection


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One row of the log."""

    id: str
    at: datetime
    actor: str | None
    user_id: str | None
    action: str
    target: str | None
    outcome: Outcome
    ip: str | None
    request_id: str | None
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list of events is narrowed by; ``actor`` may be a user whose key or token it was."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_events(
    connection: Connection, tenant_id: str, wanted: Wanted, *, after: str | None, limit: int
) -> list[LoggedEvent]:
    """Newest first; at most ``limit``, of those before the event ``after``."""
    conditions = {
        "after": "id < %(after)s",
        "actor": "%(actor)s IN (actor, user_id)",
        "action": "action = %(action)s",
        "target": "target = %(target)s",
        "outcome": "outcome = %(outcome)s",
        "since": "at >= %(since)s",
        "until": "at < %(until)s",
    }
    values = {
        "tenant": tenant_id,
        "limit": limit,
        "after": after,
        "actor": wanted.actor,
        "action": wanted.action,
        "target": wanted.target,
        "outcome": wanted.outcome,
        "since": wanted.since,
        "until": wanted.until,
    }
    narrowed = "".join(
        f" AND {condition}" for name, condition in conditions.items() if values[name] is not None
    )
    cursor = await connection.execute(
        "SELECT id, at, actor, user_id, action, target, outcome, ip, request_id, details"  # noqa: S608 - constants
        f" FROM audit_events WHERE tenant_id = %(tenant)s{narrowed}"
        " ORDER BY id DESC LIMIT %(limit)s",
        values,
    )
    return [LoggedEvent(**row) for row in await cursor.fetchall()]
