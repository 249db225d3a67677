"""``/api/v1/sessions``: what was said in the caller's conversations."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.chat.memory import Memory
from app.chat.routes import Asker
from app.chat.session_schemas import (
    SessionList,
    SessionOut,
    SessionQuery,
    SessionTurns,
    TurnOut,
)
from app.http.convertors import TEXT
from app.http.problems import documented_problems

router = APIRouter(prefix="/api/v1/sessions", tags=["chat"])

SessionId = Annotated[
    str, Path(min_length=1, max_length=128, examples=["ses_ks2v7m4q6x3y5z7a2b4c6d8e9f"])
]


async def memory(request: Request) -> Memory:
    """The memory of this process."""
    found: Memory = request.app.state.house.memory
    return found


Remembered = Annotated[Memory, Depends(memory)]


@router.get(
    "", operation_id="list_sessions", responses=documented_problems(401, 403, 409, 422, 503)
)
async def list_sessions(
    caller: Asker, memory: Remembered, query: Annotated[SessionQuery, Query()]
) -> SessionList:
    """List the caller's conversations of the last thirty days, last used first."""
    found, has_more = await memory.sessions(caller, after=query.after, limit=query.limit)
    return SessionList(
        items=[SessionOut.of(session) for session in found],
        has_more=has_more,
        next=found[-1].id if has_more else None,
    )


@router.get(
    f"/{{session_id:{TEXT}}}",
    operation_id="get_session",
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def get_session(caller: Asker, memory: Remembered, session_id: SessionId) -> SessionTurns:
    """Read a conversation: its last thirty questions and answers."""
    turns = await memory.read(caller, session_id)
    return SessionTurns(id=session_id, turns=[TurnOut.of(turn) for turn in turns])


@router.delete(
    f"/{{session_id:{TEXT}}}",
    status_code=204,
    operation_id="reset_session",
    responses=documented_problems(401, 403, 404, 422, 503),
)
async def reset_session(caller: Asker, memory: Remembered, session_id: SessionId) -> Response:
    """Forget a conversation, with the answers to it under way; its id may be used again."""
    await memory.forget(caller, session_id)
    return Response(status_code=204)
