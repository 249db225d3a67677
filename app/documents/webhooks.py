"""Webhooks: the tables of a tenant's callbacks and of what was delivered to them.

Every function runs in the caller's tenant transaction; row-level security bounds it as well.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.types.json import Jsonb

from app.infra.ids import new_id
from app.infra.postgres import Connection

WebhookEvent = Literal["document.ready", "document.failed"]
DeliveryStatus = Literal["queued", "delivered", "dead"]
#: (connection, tenant id, delivery id, turn): records a delivery's job in the open transaction.
#: ``turn`` says how many of the tenant's go before it; another tenant's with fewer overtakes it.
Deliver = Callable[[Connection, str, str, int], Awaitable[None]]
#: Of each webhook, when a tenant's waiting deliveries are counted.
_LOOKED_AT = 100
_WEBHOOK = "id, url, events, created_at"
_DELIVERY = (
    "id, webhook_id, event, status, attempts, response_status, error, created_at, delivered_at"
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where a tenant wants to be called, and on which events."""

    id: str
    url: str
    events: Sequence[WebhookEvent]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one webhook; ``response_status`` and ``error`` are the last attempt's."""

    id: str
    webhook_id: str
    event: WebhookEvent
    status: DeliveryStatus
    attempts: int
    response_status: int | None
    error: str | None
    created_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one try of a delivery needs; ``attempts`` counts it."""

    id: str
    event: WebhookEvent
    payload: dict[str, Any]
    attempts: int
    created_at: datetime
    url: str
    secret: str
    removed: bool


async def enqueue_event(
    connection: Connection,
    tenant_id: str,
    event: WebhookEvent,
    payload: dict[str, Any],
    deliver: Deliver,
) -> None:
    """Have the tenant's webhooks called, if the caller's transaction commits."""
    before = await waiting_deliveries(connection, tenant_id)
    cursor = await connection.execute(
        "SELECT id FROM webhooks"
        " WHERE tenant_id = %s AND disabled_at IS NULL AND %s = ANY (events)",
        (tenant_id, event),
    )
    for turn, webhook in enumerate(await cursor.fetchall(), before):
        delivery_id = new_id("dlv")
        await connection.execute(
            "INSERT INTO webhook_deliveries (id, tenant_id, webhook_id, event, payload)"
            " VALUES (%s, %s, %s, %s, %s)",
            (delivery_id, tenant_id, webhook["id"], event, Jsonb(payload)),
        )
        await deliver(connection, tenant_id, delivery_id, turn)


async def waiting_deliveries(connection: Connection, tenant_id: str) -> int:
    """How many deliveries of a tenant wait, of the newest few of each webhook."""
    cursor = await connection.execute(
        "SELECT count(*) AS waiting FROM webhooks w CROSS JOIN LATERAL"
        " (SELECT d.status FROM webhook_deliveries d"
        " WHERE d.tenant_id = w.tenant_id AND d.webhook_id = w.id"
        " ORDER BY d.created_at DESC, d.id DESC LIMIT %s) newest"
        " WHERE w.tenant_id = %s AND w.disabled_at IS NULL AND newest.status = 'queued'",
        (_LOOKED_AT, tenant_id),
    )
    row = await cursor.fetchone()
    return 0 if row is None else int(row["waiting"])


async def add_webhook(
    connection: Connection, tenant_id: str, *, url: str, secret: str, events: Sequence[WebhookEvent]
) -> Webhook:
    """Record a webhook."""
    cursor = await connection.execute(
        "INSERT INTO webhooks (id, tenant_id, url, secret, events)"  # noqa: S608 - constants
        f" VALUES (%s, %s, %s, %s, %s) RETURNING {_WEBHOOK}",
        (new_id("whk"), tenant_id, url, secret, list(events)),
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an insert returns its row
    return Webhook(**row)


async def list_webhooks(
    connection: Connection, tenant_id: str, *, after: str | None, limit: int
) -> list[Webhook]:
    """Newest first; one more than ``limit`` when there are more."""
    cursor = await connection.execute(
        f"SELECT {_WEBHOOK} FROM webhooks WHERE tenant_id = %(tenant)s"  # noqa: S608 - constants
        " AND disabled_at IS NULL AND (%(after)s::text IS NULL OR (created_at, id) <"
        " (SELECT a.created_at, a.id FROM webhooks a"
        " WHERE a.tenant_id = %(tenant)s AND a.id = %(after)s))"
        " ORDER BY created_at DESC, id DESC LIMIT %(limit)s + 1",
        {"tenant": tenant_id, "after": after, "limit": limit},
    )
    return [Webhook(**row) for row in await cursor.fetchall()]


async def has_webhook(connection: Connection, tenant_id: str, webhook_id: str) -> bool:
    """Whether the tenant has this webhook."""
    cursor = await connection.execute(
        "SELECT FROM webhooks WHERE tenant_id = %s AND id = %s AND disabled_at IS NULL",
        (tenant_id, webhook_id),
    )
    return await cursor.fetchone() is not None


async def remove_webhook(connection: Connection, tenant_id: str, webhook_id: str) -> bool:
    """Call it no more, and forget its secret; False when there is none."""
    cursor = await connection.execute(
        "UPDATE webhooks SET disabled_at = now(), secret = ''"
        " WHERE tenant_id = %s AND id = %s AND disabled_at IS NULL",
        (tenant_id, webhook_id),
    )
    return cursor.rowcount == 1


async def list_deliveries(
    connection: Connection, webhook_id: str, *, after: str | None, limit: int
) -> list[Delivery]:
    """Newest first; one more than ``limit`` when there are more."""
    cursor = await connection.execute(
        f"SELECT {_DELIVERY} FROM webhook_deliveries"  # noqa: S608
        " WHERE tenant_id = current_setting('app.tenant') AND webhook_id = %(webhook)s"
        " AND (%(after)s::text IS NULL OR (created_at, id) <"
        " (SELECT a.created_at, a.id FROM webhook_deliveries a"
        " WHERE a.tenant_id = current_setting('app.tenant') AND a.id = %(after)s))"
        " ORDER BY created_at DESC, id DESC LIMIT %(limit)s + 1",
        {"webhook": webhook_id, "after": after, "limit": limit},
    )
    return [Delivery(**row) for row in await cursor.fetchall()]


async def has_delivery(connection: Connection, webhook_id: str, delivery_id: str) -> bool:
    """Whether this was, or is to be, delivered to the webhook."""
    cursor = await connection.execute(
        "SELECT FROM webhook_deliveries WHERE tenant_id = current_setting('app.tenant')"
        " AND id = %s AND webhook_id = %s",
        (delivery_id, webhook_id),
    )
    return await cursor.fetchone() is not None


async def requeue_delivery(
    connection: Connection, webhook_id: str, delivery_id: str
) -> Delivery | None:
    """Let a delivery that is not queued be tried anew; None when there is none."""
    cursor = await connection.execute(
        "UPDATE webhook_deliveries SET status = 'queued', attempts = 0, delivered_at = NULL"  # noqa: S608
        " WHERE tenant_id = current_setting('app.tenant') AND id = %s AND webhook_id = %s"
        " AND status <> 'queued'"
        f" RETURNING {_DELIVERY}",
        (delivery_id, webhook_id),
    )
    row = await cursor.fetchone()
    return None if row is None else Delivery(**row)


async def begin_attempt(connection: Connection, delivery_id: str) -> Attempt | None:
    """Count one more try; None when the delivery is no longer queued."""
    cursor = await connection.execute(
        "UPDATE webhook_deliveries d SET attempts = d.attempts + 1 FROM webhooks w"
        " WHERE d.tenant_id = current_setting('app.tenant') AND w.tenant_id = d.tenant_id"
        " AND d.id = %s AND d.status = 'queued' AND w.id = d.webhook_id"
        " RETURNING d.id, d.event, d.payload, d.attempts, d.created_at, w.url, w.secret,"
        " w.disabled_at IS NOT NULL AS removed",
        (delivery_id,),
    )
    row = await cursor.fetchone()
    return None if row is None else Attempt(**row)


async def end_attempt(
    connection: Connection,
    delivery_id: str,
    status: DeliveryStatus,
    *,
    response_status: int | None,
    error: str | None,
) -> None:
    """Say how a try ended; ``queued`` when another follows."""
    await connection.execute(
        "UPDATE webhook_deliveries SET status = %(status)s, response_status = %(response)s,"
        " error = %(error)s,"
        " delivered_at = CASE WHEN %(status)s = 'delivered' THEN clock_timestamp() END"
        " WHERE tenant_id = current_setting('app.tenant') AND id = %(id)s AND status = 'queued'",
        {"status": status, "response": response_status, "error": error, "id": delivery_id},
    )
