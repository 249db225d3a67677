"""``/api/v1/webhooks``: where a tenant wants to be called, and what was delivered there."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from app.auth.audit import Origin
from app.auth.caller import Caller
from app.auth.gate import origin, require
from app.documents.webhooks import Delivery, DeliveryStatus, Webhook, WebhookEvent
from app.http.problems import documented_problems
from app.http.wire import PageOfList, Time
from app.infra.fetch import MAX_URL_CHARS
from app.ingestion.webhooks import Webhooks

router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"])

Admin = Annotated[Caller, Depends(require("admin"))]
By = Annotated[Origin, Depends(origin)]
WebhookId = Annotated[str, Path(max_length=64, examples=["whk_ks2v7m4q6x3y5z7a2b4c6d8e9f"])]
DeliveryId = Annotated[str, Path(max_length=64, examples=["dlv_ks2v7m4q6x3y5z7a2b4c6d8e9f"])]


class WebhookIn(BaseModel):
    """A webhook to be made."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL_CHARS)]
    events: list[WebhookEvent] = Field(min_length=1, max_length=10)


class WebhookOut(BaseModel):
    """A webhook."""

    id: str
    url: str
    events: list[WebhookEvent]
    created_at: Time

    @classmethod
    def of(cls, webhook: Webhook) -> "WebhookOut":
        """The wire shape of ``webhook``."""
        return cls(
            id=webhook.id,
            url=webhook.url,
            events=list(webhook.events),
            created_at=webhook.created_at,
        )


class NewWebhookOut(WebhookOut):
    """A webhook that was just made."""

    secret: str = Field(description="Signs every call; shown this once.")


class WebhookList(BaseModel):
    """One page of a list of webhooks."""

    items: list[WebhookOut]
    has_more: bool
    next: str | None = Field(description="Pass as `after` to go on.")


class DeliveryOut(BaseModel):
    """One event for one webhook."""

    id: str
    event: WebhookEvent
    status: DeliveryStatus = Field(description="`dead`: given up after its attempts.")
    attempts: int
    response_status: int | None
    error: str | None
    created_at: Time
    delivered_at: Time | None

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryOut":
        """The wire shape of ``delivery``."""
        return cls(
            id=delivery.id,
            event=delivery.event,
            status=delivery.status,
            attempts=delivery.attempts,
            response_status=delivery.response_status,
            error=delivery.error,
            created_at=delivery.created_at,
            delivered_at=delivery.delivered_at,
        )


class DeliveryList(BaseModel):
    """One page of a webhook's deliveries."""

    items: list[DeliveryOut]
    has_more: bool
    next: str | None = Field(description="Pass as `after` to go on.")


async def webhooks(request: Request) -> Webhooks:
    """The webhooks of this process."""
    found: Webhooks = request.app.state.house.webhooks
    return found


WebhooksHere = Annotated[Webhooks, Depends(webhooks)]


@router.post(
    "",
    operation_id="create_webhook",
    status_code=201,
    responses=documented_problems(401, 403, 413, 415, 422, 503),
)
async def create_webhook(
    caller: Admin, webhooks: WebhooksHere, by: By, asked: WebhookIn
) -> NewWebhookOut:
    """Have a URL called on events; the answer holds the secret, which is not shown again.

    Each call carries `Docent-Signature: t=<seconds>,v1=<hex>`, the HMAC-SHA256 of
    `<seconds>.<body>` under the secret. Anything but a 2xx answer within 10 s is tried again, eight
    times in all.
    """
    made, secret = await webhooks.create(caller.tenant_id, asked.url, asked.events, by=by)
    return NewWebhookOut(**WebhookOut.of(made).model_dump(), secret=secret)


@router.get("", operation_id="list_webhooks", responses=documented_problems(401, 403, 422, 503))
async def list_webhooks(
    caller: Admin, webhooks: WebhooksHere, query: Annotated[PageOfList, Query()]
) -> WebhookList:
    """List the tenant's webhooks, newest first."""
    found, more = await webhooks.list(caller.tenant_id, after=query.after, limit=query.limit)
    items = [WebhookOut.of(webhook) for webhook in found]
    return WebhookList(items=items, has_more=more, next=items[-1].id if more else None)


@router.delete(
    "/{webhook_id}",
    operation_id="delete_webhook",
    status_code=204,
    response_class=Response,
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def delete_webhook(
    caller: Admin, webhooks: WebhooksHere, by: By, webhook_id: WebhookId
) -> None:
    """Call a webhook no more; its secret is forgotten."""
    await webhooks.remove(caller.tenant_id, webhook_id, by=by)


@router.get(
    "/{webhook_id}/deliveries",
    operation_id="list_deliveries",
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def list_deliveries(
    caller: Admin,
    webhooks: WebhooksHere,
    webhook_id: WebhookId,
    query: Annotated[PageOfList, Query()],
) -> DeliveryList:
    """List what was delivered to a webhook, newest first."""
    found, more = await webhooks.deliveries(
        caller.tenant_id, webhook_id, after=query.after, limit=query.limit
    )
    items = [DeliveryOut.of(delivery) for delivery in found]
    return DeliveryList(items=items, has_more=more, next=items[-1].id if more else None)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/retry",
    operation_id="retry_delivery",
    status_code=202,
    responses=documented_problems(401, 403, 404, 409, 422, 503),
)
async def retry_delivery(
    caller: Admin, webhooks: WebhooksHere, by: By, webhook_id: WebhookId, delivery_id: DeliveryId
) -> DeliveryOut:
    """Deliver once more, with all attempts anew."""
    return DeliveryOut.of(await webhooks.retry(caller.tenant_id, webhook_id, delivery_id, by=by))
