"""``/api/v1/chat``, ``/answers``, ``/retrieve`` and ``/models``."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Request
from starlette.responses import Response

from app.auth.caller import Caller
from app.auth.gate import require
from app.chat.answer import Answer
from app.chat.brought_keys import brought_keys
from app.chat.events import Answered, Begun, ChatEvent, Restarted, Said
from app.chat.frames import Frames, nothing_follows, retell, tell
from app.chat.pipeline import ChatPipeline
from app.chat.record import AnswerNotFound
from app.chat.recording import Recordings
from app.chat.retelling import named_in, still_stands
from app.chat.schemas import (
    AnswerOut,
    ChatIn,
    ModelList,
    ModelOut,
    RetrieveIn,
    RetrieveOut,
)
from app.http.departure import unless_gone
from app.http.idempotency import (
    DOCUMENTED_KEY,
    Idempotency,
    KeyedRequest,
    Turn,
    fingerprint,
    idempotency_key,
)
from app.http.problems import documented_problems
from app.http.sse import NOTHING_FOLLOWS, sse_response
from app.llm.completion import Provider

router = APIRouter(prefix="/api/v1", tags=["chat"])

Asker = Annotated[Caller, Depends(require("chat"))]
Streaming = bool | Literal["auto"]
#: The longest answer that "auto" sends as JSON (design: contract, Chat).
AUTO_CHARS = 300
_EVENTS: dict[str, Any] = {
    "description": "Server-sent events: meta, sources, delta, citation, reset; one done or error."
    " While a long document is read in parts also progress: how many are done, of how many.",
    "content": {"text/event-stream": {}},
}


async def pipeline(request: Request) -> ChatPipeline:
    """The chat pipeline of this process."""
    found: ChatPipeline = request.app.state.house.chat
    return found


async def recordings(request: Request) -> Recordings:
    """What was told of the answers of all processes."""
    found: Recordings = request.app.state.house.recordings
    return found


async def provider(request: Request) -> Provider:
    """The provider router of this process."""
    found: Provider = request.app.state.house.provider
    return found


Pipeline = Annotated[ChatPipeline, Depends(pipeline)]
Told = Annotated[Recordings, Depends(recordings)]


@router.post(
    "/chat",
    operation_id="chat",
    response_model=AnswerOut,
    responses={200: _EVENTS, **documented_problems(401, 402, 403, 409, 413, 415, 422, 503)},
    openapi_extra={"parameters": [DOCUMENTED_KEY]},
)
async def chat(request: Request, caller: Asker, body: ChatIn) -> Response:
    """Answer a question from the caller's documents, every claim with its page.

    With `"stream": true`, or `Accept: text/event-stream`, the answer comes as server-sent events;
    with `"auto"` only when it is longer than 300 characters.
    """
    house = request.app.state.house
    streaming = _streaming(request, body)
    question = body.to_question(brought_keys(request))
    async with AsyncExitStack() as stack:
        turn = await turn_of(
            request, caller, stack, lambda: (body.model_dump_json(), str(streaming))
        )
        if isinstance(turn, Response):
            return turn
        events: AsyncGenerator[ChatEvent] = house.chat.stream(caller, question)
        stack.push_async_callback(events.aclose)
        first = await unless_gone(request, _opening(events, streaming))
        if isinstance(last := first[-1], Answered) and streaming is not True:
            response = _whole(last.answer, request)
            if turn is not None:
                await turn.keep(response, last.answer.rests_on)
            return response
        begun = first[0]
        assert isinstance(begun, Begun)  # noqa: S101 - as every stream begins
        frames = tell(
            first,
            events,
            Frames(request.scope),
            house.recordings.record(caller, begun.answer_id),
            turn,
        )
        return sse_response(frames, headers=_timing(begun), closing=stack.pop_all())


def _streaming(request: Request, body: ChatIn) -> Streaming:
    return True if _accepts_events(request.headers.get("accept", "")) else body.stream


def _accepts_events(header: str) -> bool:
    """Whether ``Accept`` names events, and not by the weight (RFC 9110, 12.4.2) of zero."""
    for kind in header.lower().split(","):
        name, *parameters = (part.strip() for part in kind.split(";"))
        if name == "text/event-stream":
            return all(p.removeprefix("q=").strip("0.") for p in parameters if p.startswith("q="))
    return False


async def turn_of(
    request: Request,
    caller: Caller,
    stack: AsyncExitStack,
    asked: Callable[[], tuple[bytes | str, ...]],
) -> Response | Turn | None:
    """What an ``Idempotency-Key`` asks for: the answer given before, or the turn to make it.

    ``asked`` gives what the question is told from others by.
    """
    key = idempotency_key(request)
    if key is None:
        return None
    once: Idempotency = request.app.state.house.idempotency
    keyed = KeyedRequest(caller.tenant_id, caller.id, key, fingerprint(request.url.path, *asked()))
    stands = partial(still_stands, request.app.state.house.pool, caller.tenant_id)
    return await once.begin(keyed, stack, stands)


async def _opening(events: AsyncGenerator[ChatEvent], streaming: Streaming) -> list[ChatEvent]:
    """The events that come before it is known how they are sent; for JSON, only the last one."""
    first: list[ChatEvent] = []
    chars = 0
    async for event in events:
        if streaming is not False or isinstance(event, Answered):
            first.append(event)
        if isinstance(event, Restarted):
            chars = 0
        elif isinstance(event, Said):
            chars += len(event.text)
        if streaming is True or (streaming == "auto" and chars > AUTO_CHARS):
            break
    return first


def _whole(answer: Answer, request: Request) -> Response:
    """The answer as JSON."""
    timings = answer.timings
    spans = {
        "embedding": timings.embedding_ms,
        "search": timings.search_ms,
        "generation": timings.generation_ms,
        "total": timings.total_ms,
    }
    return Response(
        AnswerOut.json_of(answer, request.scope["state"]["trace_id"]),
        media_type="application/json",
        headers={"X-Docent-Provider": answer.provider, "Server-Timing": _spans(spans)},
    )


def _timing(begun: Begun) -> dict[str, str]:
    found = begun.retrieved
    return {"Server-Timing": _spans({"embedding": found.embedding_ms, "search": found.search_ms})}


def _spans(spans: dict[str, float]) -> str:
    return ", ".join(f"{name};dur={ms:.1f}" for name, ms in spans.items())


@router.get(
    "/answers/{answer_id}/events",
    operation_id="answer_events",
    response_class=Response,
    responses={200: _EVENTS, 204: NOTHING_FOLLOWS, **documented_problems(401, 403, 404, 422, 503)},
)
async def answer_events(
    request: Request,
    caller: Asker,
    recordings: Told,
    answer_id: Annotated[str, Path(max_length=64, examples=["ans_ks2v7m4q6x3y5z7a2b4c6d8e9f"])],
    last_event_id: Annotated[int, Header(ge=0, le=10**9)] = 0,
) -> Response:
    """Take up a streamed answer again, for ten minutes and with the credential that asked.

    The events after `Last-Event-ID` are told, those to come included; 204 when there are none.
    """
    told = await recordings.find(caller, answer_id)
    if not await still_stands(request.app.state.house.pool, caller.tenant_id, named_in(told)):
        raise AnswerNotFound
    if nothing_follows(told, last_event_id):
        return Response(status_code=204)
    recorded = recordings.replay(caller, answer_id, after=last_event_id)
    return sse_response(retell(recorded, Frames(request.scope), after=last_event_id))


@router.post(
    "/retrieve",
    operation_id="retrieve",
    responses=documented_problems(401, 403, 413, 415, 422, 503),
)
async def retrieve(caller: Asker, pipeline: Pipeline, body: RetrieveIn) -> RetrieveOut:
    """Find the passages an answer would rest on; no language model is asked."""
    return RetrieveOut.of(await pipeline.retrieve(caller, body.to_question()))


@router.get("/models", operation_id="list_models", responses=documented_problems(401, 403, 503))
async def models(caller: Asker, provider: Annotated[Provider, Depends(provider)]) -> ModelList:
    """List the models a question may name, in the order in which they are tried."""
    return ModelList(items=[ModelOut.of(model) for model in provider.models()])
