"""Progress as it happens: server-sent events of one job, and the WebSocket of a whole tenant."""

import time
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Path, Request, WebSocket
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from app.auth.audit import AuditEvent, AuditLog, Origin
from app.auth.caller import Caller
from app.auth.gate import WEBSOCKET_PATH, origin, require
from app.documents.job import Job
from app.http.problems import documented_problems
from app.http.sse import NOTHING_FOLLOWS, frame, sse_response
from app.infra.events import LOST, Event, EventHub
from app.infra.postgres import DatabaseUnavailable
from app.infra.times import rfc3339
from app.ingestion.board import JobBoard
from app.ingestion.schemas import JobOut
from app.ingestion.websocket import (
    BROADCAST,
    MAX_MESSAGE_BYTES,
    MAX_SUBSCRIPTIONS,
    Conversation,
)

router = APIRouter()

Reader = Annotated[Caller, Depends(require("docs:read"))]
Admin = Annotated[Caller, Depends(require("admin"))]
JobId = Annotated[str, Path(max_length=64, examples=["job_ks2v7m4q6x3y5z7a2b4c6d8e9f"])]
#: How often the job itself is read: always, lest a publisher was cut off, and without Redis.
_REREAD_S, _REREAD_ALONE_S = 5.0, 1.0


@router.get(
    "/api/v1/jobs/{job_id}/events",
    tags=["jobs"],
    operation_id="job_events",
    response_class=Response,
    responses={
        200: {"content": {"text/event-stream": {}}},
        204: NOTHING_FOLLOWS,
        **documented_problems(401, 403, 404, 422, 503),
    },
)
async def job_events(
    caller: Reader,
    request: Request,
    job_id: JobId,
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
) -> Response:
    """Follow a job: `progress` events that carry it, and one `done` when it has ended.

    The first event is the job as it is. With `Last-Event-ID` those missed since come first; 204
    when `done` was the last.
    """
    house = request.app.state.house
    board: JobBoard = house.board
    job = await board.get(caller.tenant_id, job_id)
    if job.finished and last_event_id == rfc3339(job.updated_at):
        return Response(status_code=204)
    progress = Progress(board, house.events, caller.tenant_id, job)
    return sse_response(progress.frames(last_event_id or None))


class Progress:
    """The events of one job for one client."""

    def __init__(self, board: JobBoard, events: EventHub, tenant_id: str, job: Job) -> None:
        self._board = board
        self._events = events
        self._tenant_id = tenant_id
        self._job_id = job.id
        self._topic = job.document_id
        self._told: dict[str, Any] = {}
        self._ended = False
        self._read_at = time.monotonic()

    async def frames(self, after: str | None) -> AsyncGenerator[bytes, None]:
        """Frames until the job has ended; the job is read when events cannot be relied on."""
        async with self._events.subscribe(self._tenant_id, [self._topic], after) as subscription:
            if after is None:
                for data in await self._present(subscription.began_at):
                    yield data
            wait_s = 0.0 if after is not None else _REREAD_ALONE_S
            while not self._ended:
                taken = await subscription.take(wait_s)
                wait_s = _REREAD_S if self._events.live else _REREAD_ALONE_S
                # Read now and then in any case: who may see it no more is told nothing more of it.
                if not taken or LOST in taken or time.monotonic() - self._read_at > _REREAD_S:
                    for data in await self._present(None):
                        yield data
                for event in taken:
                    for data in self._heard(event):
                        yield data

    async def _present(self, event_id: str | None) -> list[bytes]:
        """The job as the database has it, unless that was told already.

        Raises:
            JobNotFound: the client may not see it any more.
        """
        self._read_at = time.monotonic()
        try:
            job = await self._board.get(self._tenant_id, self._job_id)
        except DatabaseUnavailable:
            return []  # the next time, or the next event
        return self._tell(JobOut.of(job).model_dump(mode="json"), event_id)

    def _heard(self, event: Event) -> list[bytes]:
        job = event.payload.get("job", {})
        return self._tell(job, event.id) if job.get("id") == self._job_id else []

    def _tell(self, job: dict[str, Any], event_id: str | None) -> list[bytes]:
        # Times are of one form, so that they compare as text: nobody is told the past as news.
        if self._ended or job == self._told or job["updated_at"] < self._told.get("updated_at", ""):
            return []
        self._told = job
        self._ended = job["status"] not in ("queued", "running")
        if not self._ended:
            return [frame("progress", orjson.dumps(job), event_id)]
        # Not its place among the events, which it may have none of: who comes back with this id is
        # known to have been told, and only until the job is retried.
        return [frame("done", orjson.dumps(job), job["updated_at"])]


@router.websocket(WEBSOCKET_PATH)
async def follow_documents(socket: WebSocket) -> None:
    """Follow any number of documents, and ask questions; see the contract for its messages."""
    house = socket.app.state.house
    await Conversation(
        socket,
        credentials=house.credentials,
        board=house.board,
        events=house.events,
        limiter=house.limiter,
        answers=house.spoken,
    ).hold()


class SocketInfo(BaseModel):
    """The tenant's WebSockets on the process that answers."""

    connections: int
    max_subscriptions: int
    max_message_bytes: int


class Broadcast(BaseModel):
    """A message to everyone of the tenant who is connected."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(min_length=1, max_length=4000)


@router.get(
    f"{WEBSOCKET_PATH}/info",
    tags=["events"],
    operation_id="websocket_info",
    responses=documented_problems(401, 403, 503),
)
async def websocket_info(caller: Admin, request: Request) -> SocketInfo:
    """Count the tenant's WebSockets on the process that answers, and tell their limits."""
    events: EventHub = request.app.state.house.events
    return SocketInfo(
        connections=events.count(caller.tenant_id, BROADCAST),
        max_subscriptions=MAX_SUBSCRIPTIONS,
        max_message_bytes=MAX_MESSAGE_BYTES,
    )


@router.post(
    f"{WEBSOCKET_PATH}/broadcast",
    tags=["events"],
    operation_id="websocket_broadcast",
    status_code=204,
    response_class=Response,
    responses=documented_problems(401, 403, 413, 415, 422, 503),
)
async def websocket_broadcast(
    caller: Admin,
    request: Request,
    by: Annotated[Origin, Depends(origin)],
    asked: Broadcast,
) -> None:
    """Send `{"type": "broadcast", "message": …}` to the tenant's WebSockets on every process."""
    events: EventHub = request.app.state.house.events
    audit: AuditLog = request.app.state.house.audit
    await audit.record(AuditEvent(caller.tenant_id, "broadcast", by))
    message = {"type": "broadcast", "message": asked.message}
    await events.publish(caller.tenant_id, BROADCAST, {"message": message})
