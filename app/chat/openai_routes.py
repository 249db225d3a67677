"""``/v1``: the OpenAI dialect over the same pipeline (ADR 0010)."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.chat.answer import Answer
from app.chat.brought_keys import brought_keys
from app.chat.openai_answer import CompletionOut
from app.chat.openai_schemas import ROUTER_MODEL, CompletionIn, OpenAiModel, OpenAiModelList
from app.chat.openai_stop import stopped
from app.chat.openai_stream import tell
from app.chat.routes import Asker, Pipeline, provider, turn_of
from app.errors import InvalidRequest, NotFound
from app.http.convertors import TEXT
from app.http.departure import unless_gone
from app.http.idempotency import DOCUMENTED_KEY
from app.http.openai_problems import documented_openai_errors
from app.http.sse import sse_response
from app.llm.completion import Provider

router = APIRouter(prefix="/v1", tags=["openai"])

Models = Annotated[Provider, Depends(provider)]
#: How clients name themselves that refuse a whole answer over an annotation they do not know.
_STRICT = ("pydantic-ai/", "ai/", "ai-sdk/")
_CHUNKS: dict[str, Any] = {
    "description": 'JSON, or with `"stream": true` chunks that are deltas, then `[DONE]`.',
    "content": {"text/event-stream": {}},
}


_KINDS = ("file_citation", "url_citation")
#: No parameter that FastAPI knows: errors in it are told in OpenAI's shape.
_DOCUMENTED_KIND: dict[str, Any] = {
    "name": "X-Docent-Annotations",
    "in": "header",
    "required": False,
    "description": "The type of the annotations; without it, clients known to be strict get"
    " `url_citation` and all others `file_citation`.",
    "schema": {"type": "string", "enum": list(_KINDS)},
}


class ModelNotFound(NotFound):
    """There is no such model; GET /v1/models lists those that can be asked for."""

    code = "model_not_found"


@router.post(
    "/chat/completions",
    operation_id="create_chat_completion",
    response_model=CompletionOut,
    responses={
        200: _CHUNKS,
        **documented_openai_errors(400, 401, 402, 403, 404, 409, 413, 415, 422, 503),
    },
    openapi_extra={"parameters": [DOCUMENTED_KEY, _DOCUMENTED_KIND]},
)
async def complete(
    request: Request, caller: Asker, pipeline: Pipeline, models: Models, body: CompletionIn
) -> Response:
    """Answer the last user message from the caller's documents.

    Earlier messages are the conversation. Citations are `annotations` of type `file_citation`;
    with the header `X-Docent-Annotations: url_citation`, of that type.
    Fields that are not listed here are ignored, `top_p`, `seed` and `tools` among them.
    """
    _check_model(body.model, models)
    question = body.to_question(brought_keys(request))
    async with AsyncExitStack() as stack:
        raw = await request.body()
        linked = wants_links(request)
        turn = await turn_of(request, caller, stack, lambda: (raw, "linked") if linked else (raw,))
        if isinstance(turn, Response):
            return turn
        if not body.stream:
            answer = await unless_gone(request, pipeline.answer(caller, question))
            response = _whole(stopped(answer, body.stops), body.model, linked=linked)
            if turn is not None:
                await turn.keep(response, answer.rests_on)
            return response
        usage = body.stream_options is not None and body.stream_options.include_usage
        events = pipeline.stream(caller, question)
        chunks = tell(
            events, body.model, include_usage=usage, linked=linked, turn=turn, stops=body.stops
        )
        stack.push_async_callback(chunks.aclose)
        # Until there is text, whatever goes wrong is a proper response, which clients try again.
        first = await unless_gone(request, anext(chunks))
        return sse_response(_resumed(first, chunks), closing=stack.pop_all())


def wants_links(request: Request) -> bool:
    """Whether the annotations are to be of OpenAI's own kind (ADR 0048)."""
    wanted = request.headers.get("x-docent-annotations")
    if wanted is None:
        return request.headers.get("user-agent", "").startswith(_STRICT)
    if wanted not in _KINDS:
        raise InvalidRequest("X-Docent-Annotations must be file_citation or url_citation.")
    return wanted == "url_citation"


def _check_model(name: str, models: Provider) -> None:
    known = models.models()
    if name != ROUTER_MODEL and not any(name in (model.id, model.provider) for model in known):
        raise ModelNotFound(param="model")


def _whole(answer: Answer, model: str, *, linked: bool) -> Response:
    return Response(
        CompletionOut.of(answer, model, linked=linked).model_dump_json().encode("utf-8", "replace"),
        media_type="application/json",
        headers={"X-Docent-Provider": answer.provider},
    )


async def _resumed(first: bytes, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes, None]:
    yield first
    async for chunk in chunks:
        yield chunk


@router.get(
    "/models",
    operation_id="list_openai_models",
    responses=documented_openai_errors(401, 403, 503),
)
async def list_models(_: Asker, models: Models) -> OpenAiModelList:
    """List the models that a completion may name."""
    return OpenAiModelList.of(models.models())


@router.get(
    f"/models/{{model:{TEXT}}}",
    operation_id="retrieve_openai_model",
    responses=documented_openai_errors(401, 403, 404, 422, 503),
)
async def retrieve_model(_: Asker, models: Models, model: str) -> OpenAiModel:
    """Show one model; its id may hold slashes."""
    for known in OpenAiModelList.of(models.models()).data:
        if known.id == model:
            return known
    raise ModelNotFound(param="model")
