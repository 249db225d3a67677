"""Calling webhooks: signed, tried again with growing pauses, given up with a reason.

A delivery is a job of the queue, recorded in the transaction of what it tells about. It arrives at
least once: the receiver tells repetitions by the ``Docent-Delivery`` header.
"""

import hashlib
import hmac
import math
import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import orjson
import procrastinate
import structlog
from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job

from app.auth.audit import OPERATOR, AuditEvent, Origin, record
from app.documents.webhooks import (
    Attempt,
    Deliver,
    Delivery,
    DeliveryStatus,
    Webhook,
    WebhookEvent,
    add_webhook,
    begin_attempt,
    end_attempt,
    has_delivery,
    has_webhook,
    list_deliveries,
    list_webhooks,
    remove_webhook,
    requeue_delivery,
    waiting_deliveries,
)
from app.errors import AppError, Conflict, NotFound
from app.infra.fetch import checked_url, post
from app.infra.postgres import Connection, Pool, tenant_transaction
from app.ingestion.deferral import driver_errors
from app.settings import Settings

__all__ = ["WEBHOOK_QUEUE", "Deliver", "Deliverer", "Webhooks", "register_webhooks", "signature"]

log = structlog.get_logger(__name__)
WEBHOOK_QUEUE = "webhooks"
TASK = "deliver_webhook"
#: A receiver that has to do more answers first and works later.
TIMEOUT_S = 10.0
#: 10 s, 40 s, 3 min, 11 min, 43 min, 3 h, 6 h: a receiver may be away for a night.
_GROWTH = 4.0
_LONGEST_WAIT_S = 21_600.0


class WebhookNotFound(NotFound):
    """There is no such webhook."""

    code = "webhook_not_found"


class DeliveryNotFound(NotFound):
    """There is no such delivery."""

    code = "delivery_not_found"


class DeliveryNotRetryable(Conflict):
    """The delivery is still waiting for its turn."""

    code = "delivery_not_retryable"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a delivery is tried."""

    attempts: int = 8
    first_wait_s: float = 10.0
    timeout_s: float = TIMEOUT_S

    def wait_s(self, attempt: int) -> float:
        """The pause after try number ``attempt`` (from 1), half to one and a half of its mean.

        The spread keeps the deliveries of a receiver that was away from coming back all at once.
        """
        mean_s = min(self.first_wait_s * math.pow(_GROWTH, attempt - 1), _LONGEST_WAIT_S)
        return mean_s * random.uniform(0.5, 1.5)  # noqa: S311 - nothing secret


class _TryAgain(Exception):
    """The delivery failed this time."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("the delivery failed; another try follows")
        self.wait_s = wait_s


class _Pauses(BaseRetryStrategy):
    """Tries again when the failed try says so; after any other error, in a while."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        """When the job runs again."""
        wait_s = exception.wait_s if isinstance(exception, _TryAgain) else 30.0
        return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=wait_s))


class Deliverer:
    """Makes one try of one delivery at a time."""

    def __init__(self, pool: Pool, *, patience: Patience, allow_private: bool) -> None:
        self._pool = pool
        self._patience = patience
        self._allow_private = allow_private

    async def deliver(self, *, tenant_id: str, delivery_id: str) -> None:
        """Call the webhook, and write down how that went.

        Raises:
            _TryAgain: it did not go well, and another try is due.
            DatabaseUnavailable: then nothing is known; it may be called once more for the same.
        """
        async with tenant_transaction(self._pool, tenant_id) as connection:
            attempt = await begin_attempt(connection, delivery_id)
        if attempt is None:
            return
        status, error = await self._call(attempt)
        last = attempt.removed or attempt.attempts >= self._patience.attempts
        ended: DeliveryStatus = "delivered" if error is None else "dead" if last else "queued"
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await end_attempt(connection, delivery_id, ended, response_status=status, error=error)
        if ended == "dead":
            log.warning("webhook_given_up", delivery_id=delivery_id, error=error)
        if ended == "queued":
            raise _TryAgain(self._patience.wait_s(attempt.attempts))

    async def _call(self, attempt: Attempt) -> tuple[int | None, str | None]:
        """The answer's status, if one came, and what was wrong, if anything was."""
        if attempt.removed:
            return None, "The webhook was removed."
        body = orjson.dumps(
            {
                "id": attempt.id,
                "event": attempt.event,
                "created_at": attempt.created_at,
                "data": attempt.payload,
            }
        )
        headers = {
            "Content-Type": "application/json",
            "Docent-Event": attempt.event,
            "Docent-Delivery": attempt.id,
            "Docent-Signature": signature(attempt.secret, body, int(time.time())),
        }
        try:
            status = await post(
                attempt.url,
                body,
                headers,
                timeout_s=self._patience.timeout_s,
                allow_private=self._allow_private,
            )
        except AppError as error:
            return None, error.detail
        if 200 <= status < 300:  # noqa: PLR2004
            return status, None
        return status, f"The receiver answered {status}."


def signature(secret: str, body: bytes, now_s: int) -> str:
    """The ``Docent-Signature`` header: the time, and HMAC-SHA256 over ``<time>.<body>`` in hex.

    The receiver computes the same and refuses old times, so that a recorded call is worth nothing.
    """
    digest = hmac.new(secret.encode(), b"%d." % now_s + body, hashlib.sha256).hexdigest()
    return f"t={now_s},v1={digest}"


def register_webhooks(
    app: procrastinate.App, pool: Pool, settings: Settings, *, patience: Patience | None = None
) -> Deliver:
    """Make the task known to ``app``; what records a delivery's job in an open transaction."""
    deliverer = Deliverer(
        pool, patience=patience or Patience(), allow_private=settings.allow_private_urls
    )
    task = app.task(name=TASK, queue=WEBHOOK_QUEUE, retry=_Pauses())(deliverer.deliver)

    async def deliver(connection: Connection, tenant_id: str, delivery_id: str, turn: int) -> None:
        with driver_errors():
            await task.configure(connection=connection, priority=-turn).defer_async(
                tenant_id=tenant_id, delivery_id=delivery_id
            )

    return deliver


class Webhooks:
    """What callers may do with their tenant's webhooks."""

    def __init__(self, pool: Pool, deliver: Deliver, *, allow_private: bool) -> None:
        self._pool = pool
        self._deliver = deliver
        self._allow_private = allow_private

    async def create(
        self, tenant_id: str, url: str, events: Sequence[WebhookEvent], *, by: Origin = OPERATOR
    ) -> tuple[Webhook, str]:
        """A new webhook and its secret, which is not shown again.

        Raises:
            UrlRefused: the URL is not one we open.
        """
        checked_url(url, allow_private=self._allow_private)
        secret = f"whsec_{secrets.token_urlsafe(32)}"
        async with tenant_transaction(self._pool, tenant_id) as connection:
            found = await add_webhook(
                connection, tenant_id, url=url, secret=secret, events=list(dict.fromkeys(events))
            )
            # Its host only: the rest of a URL is often a secret.
            details = {"host": urlsplit(url).hostname, "events": list(found.events)}
            event = AuditEvent(tenant_id, "webhook.create", by, found.id, details=details)
            await record(connection, event)
        return found, secret

    async def list(
        self, tenant_id: str, *, after: str | None, limit: int
    ) -> tuple[list[Webhook], bool]:
        """Webhooks, newest first, and whether there are more."""
        async with tenant_transaction(self._pool, tenant_id) as connection:
            found = await list_webhooks(connection, tenant_id, after=after, limit=limit)
        return found[:limit], len(found) > limit

    async def remove(self, tenant_id: str, webhook_id: str, *, by: Origin = OPERATOR) -> None:
        """Call it no more; deliveries still waiting are given up.

        Raises:
            WebhookNotFound: also when it is another tenant's.
        """
        async with tenant_transaction(self._pool, tenant_id) as connection:
            removed = "\0" not in webhook_id and await remove_webhook(
                connection, tenant_id, webhook_id
            )
            if not removed:
                raise WebhookNotFound
            await record(connection, AuditEvent(tenant_id, "webhook.delete", by, webhook_id))

    async def deliveries(
        self, tenant_id: str, webhook_id: str, *, after: str | None, limit: int
    ) -> tuple[Sequence[Delivery], bool]:
        """What was delivered to a webhook, newest first, and whether there is more.

        Raises:
            WebhookNotFound: also when it is another tenant's.
        """
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await _known(connection, tenant_id, webhook_id)
            found = await list_deliveries(connection, webhook_id, after=after, limit=limit)
        return found[:limit], len(found) > limit

    async def retry(
        self, tenant_id: str, webhook_id: str, delivery_id: str, *, by: Origin = OPERATOR
    ) -> Delivery:
        """Deliver once more, with all tries anew.

        Raises:
            WebhookNotFound: also when it is another tenant's.
            DeliveryNotFound: there is none.
            DeliveryNotRetryable: it is queued.
        """
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await _known(connection, tenant_id, webhook_id)
            if "\0" in delivery_id or not await has_delivery(connection, webhook_id, delivery_id):
                raise DeliveryNotFound
            found = await requeue_delivery(connection, webhook_id, delivery_id)
            if found is None:
                raise DeliveryNotRetryable
            turn = await waiting_deliveries(connection, tenant_id)
            await self._deliver(connection, tenant_id, delivery_id, turn)
            details = {"delivery_id": delivery_id}
            event = AuditEvent(tenant_id, "webhook.retry", by, webhook_id, details=details)
            await record(connection, event)
        return found


async def _known(connection: Connection, tenant_id: str, webhook_id: str) -> None:
    if "\0" in webhook_id or not await has_webhook(connection, tenant_id, webhook_id):
        raise WebhookNotFound
