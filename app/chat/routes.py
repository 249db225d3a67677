"""``/api/v1/chat``, ``/retrieve`` and ``/models``."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.auth.caller import Caller
from app.auth.gate import require
from app.chat.pipeline import ChatPipeline
from app.chat.schemas import (
    AnswerOut,
    ChatIn,
    ModelList,
    ModelOut,
    RetrieveIn,
    RetrieveOut,
)
from app.errors import InvalidRequest
from app.http.idempotency import Idempotency, KeyedRequest, fingerprint, idempotency_key
from app.http.problems import documented_problems
from app.llm.completion import Provider

router = APIRouter(prefix="/api/v1", tags=["chat"])

Asker = Annotated[Caller, Depends(require("chat"))]


class StreamingNotAvailable(InvalidRequest):
    """This version answers with JSON only: send "stream": false."""

    code = "streaming_not_available"


async def pipeline(request: Request) -> ChatPipeline:
    """The chat pipeline of this process."""
    found: ChatPipeline = request.app.state.house.chat
    return found


async def provider(request: Request) -> Provider:
    """The provider router of this process."""
    found: Provider = request.app.state.house.provider
    return found


Pipeline = Annotated[ChatPipeline, Depends(pipeline)]


@router.post(
    "/chat",
    operation_id="chat",
    response_model=AnswerOut,
    responses=documented_problems(401, 403, 409, 413, 415, 422, 503),
)
async def chat(
    request: Request, caller: Asker, pipeline: Pipeline, body: ChatIn
) -> AnswerOut | Response:
    """Answer a question from the caller's documents, every claim with its page."""
    wants_events = "text/event-stream" in request.headers.get("accept", "")
    if body.stream is True or wants_events:
        raise StreamingNotAvailable

    async def ask() -> AnswerOut:
        answer = await pipeline.answer(caller, body.to_question())
        return AnswerOut.of(answer, request.scope["state"]["request_id"])

    key = idempotency_key(request)
    if key is None:
        return await ask()

    async def work() -> Response:
        shape = (await ask()).model_dump_json().encode("utf-8", "replace")
        return Response(shape, media_type="application/json")

    asked = fingerprint(request.url.path, body.model_dump_json())
    once: Idempotency = request.app.state.house.idempotency
    return await once.once(KeyedRequest(caller.tenant_id, caller.key_id, key, asked), work)


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
