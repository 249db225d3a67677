"""``/api/v1/admin/audit``: what was done, by whom, from where, and whether they were let."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import Response, StreamingResponse

from app.auth.audit import Outcome
from app.auth.audit_log.store import LoggedEvent, Wanted, list_events
from app.auth.caller import Caller
from app.auth.gate import require
from app.http.problems import documented_problems
from app.http.wire import WITHOUT_NUL, PageOfList, Time, WrittenTime
from app.infra.postgres import Pool, tenant_transaction

router = APIRouter(prefix="/api/v1/admin", tags=["admin"])

NDJSON = "application/x-ndjson"
#: Events of an export that are read at a time; no connection is held while they are sent.
_BATCH = 500
Word = Annotated[str | None, StringConstraints(max_length=200, pattern=WITHOUT_NUL)]


class AuditQuery(PageOfList):
    """What the log is narrowed by."""

    actor: Word = Field(None, description="A key, client or user; a user's keys are found too.")
    action: Word = Field(None, examples=["key.create"])
    target: Word = Field(None, description="The id of what it was done to.")
    outcome: Outcome | None = None
    since: WrittenTime | None = None
    until: WrittenTime | None = Field(None, description="Before this moment.")
    format: Literal["json", "ndjson"] = Field(
        "json", description="`ndjson` exports all that follows, one event a line."
    )

    def to_wanted(self) -> Wanted:
        """What is looked for."""
        return Wanted(self.actor, self.action, self.target, self.outcome, self.since, self.until)


class AuditEventOut(BaseModel):
    """One event."""

    id: str
    at: Time
    actor: str | None = Field(description="null = a stranger, or an operator at the machine")
    user_id: str | None = Field(description="Whose key or token the actor is")
    action: str
    target: str | None
    outcome: Outcome
    ip: str | None
    request_id: str | None
    details: dict[str, Any]

    @classmethod
    def of(cls, event: LoggedEvent) -> "AuditEventOut":
        """The wire shape of ``event``."""
        return cls.model_validate(event, from_attributes=True)


class AuditList(BaseModel):
    """One page of the log."""

    items: list[AuditEventOut]
    has_more: bool
    next: str | None = Field(description="Pass as `after` to go on.")


@router.get(
    "/audit",
    operation_id="audit",
    response_model=AuditList,
    responses={
        200: {"content": {NDJSON: {"schema": {"type": "string"}}}},
        **documented_problems(401, 403, 422, 503),
    },
)
async def audit(
    request: Request,
    caller: Annotated[Caller, Depends(require("admin"))],
    query: Annotated[AuditQuery, Query()],
) -> AuditList | Response:
    """List the audit log, newest first, or export it."""
    pool: Pool = request.app.state.house.pool
    if query.format == "ndjson":
        lines = _lines(pool, caller.tenant_id, query.to_wanted(), query.after)
        return StreamingResponse(lines, media_type=NDJSON)
    found = await _events(
        pool, caller.tenant_id, query.to_wanted(), after=query.after, limit=query.limit + 1
    )
    items = [AuditEventOut.of(event) for event in found[: query.limit]]
    has_more = len(found) > query.limit
    return AuditList(items=items, has_more=has_more, next=items[-1].id if has_more else None)


async def _events(
    pool: Pool, tenant_id: str, wanted: Wanted, *, after: str | None, limit: int
) -> list[LoggedEvent]:
    async with tenant_transaction(pool, tenant_id) as connection:
        return await list_events(connection, tenant_id, wanted, after=after, limit=limit)


async def _lines(
    pool: Pool, tenant_id: str, wanted: Wanted, after: str | None
) -> AsyncIterator[str]:
    """Every event that follows ``after``, as a line of JSON; cut when the database goes away."""
    while found := await _events(pool, tenant_id, wanted, after=after, limit=_BATCH):
        for event in found:
            yield AuditEventOut.of(event).model_dump_json() + "\n"
        after = found[-1].id
