"""A job as a trace, and its steps as spans; of a file, ids and counts only."""

from collections.abc import Awaitable
from typing import TypeVar

from app.infra.tracing import Span, Tracer, begin_span

T = TypeVar("T")


def begin_job(
    tracer: Tracer, *, tenant_id: str, document_id: str, version: int, attempt: int
) -> Span:
    """Begin the trace of an attempt at a job."""
    span = tracer.begin("ingest", kind="consumer")
    span.share("job", {"docent.tenant.id": tenant_id, "docent.document.id": document_id})
    span.note({"docent.document.version": version, "docent.job.attempt": attempt})
    return span


async def step(name: str, work: Awaitable[T]) -> T:
    """What ``work`` returns, and how long it took."""
    with begin_span(name, {}):
        return await work
