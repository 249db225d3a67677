"""Who is told about a job: listeners, of every step; webhooks, of its end."""

from typing import Any

from app.documents.job import Job
from app.documents.webhooks import Deliver, WebhookEvent, enqueue_event
from app.infra.events import EventHub
from app.infra.postgres import Connection
from app.ingestion.schemas import JobOut


class Announcer:
    """Tells listeners through Redis, which may be away, and webhooks through the job queue."""

    def __init__(self, events: EventHub, deliver: Deliver) -> None:
        self._events = events
        self._deliver = deliver

    async def progress(self, tenant_id: str, job: Job | None) -> None:
        """Tell listeners how a job stands; call it when that has been committed."""
        if job is not None:
            payload = {"job": _shape(job)}
            await self._events.publish(tenant_id, job.document_id, payload)

    async def finished(self, connection: Connection, tenant_id: str, job: Job) -> None:
        """Have webhooks told, if the caller's transaction commits."""
        event: WebhookEvent = "document.ready" if job.status == "succeeded" else "document.failed"
        await enqueue_event(connection, tenant_id, event, {"job": _shape(job)}, self._deliver)


def _shape(job: Job) -> dict[str, Any]:
    return JobOut.of(job).model_dump(mode="json")
