"""The peer that only routes: LiteLLM's ``Router`` behind one FastAPI route.

It is handed the prompt that the product made, so it neither searches nor cites. It runs in the
throw-away environment of ``peers.py`` and is no dependency of anything.
"""

import json
import os
from collections.abc import AsyncIterator
from typing import Any

import litellm
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

litellm.telemetry = False
litellm.suppress_debug_info = True
router = APIRouter()
models = litellm.Router(
    model_list=[
        {
            "model_name": "docent",
            "litellm_params": {
                "model": "openai/ok",
                "api_base": os.environ["BENCHMARK_PROVIDER"],
                "api_key": "none",
            },
        }
    ],
    num_retries=0,
)


class Body(BaseModel):
    """A prompt."""

    messages: list[dict[str, Any]]
    stream: bool = False


class AnswerOut(BaseModel):
    """The answer."""

    answer: str


@router.post("/chat", response_model=AnswerOut)
async def chat(body: Body) -> AnswerOut | Response:
    """Answer, at once or as it comes."""
    answer = await models.acompletion(model="docent", messages=body.messages, stream=body.stream)
    if not body.stream:
        return AnswerOut(answer=answer.choices[0].message.content)

    async def events() -> AsyncIterator[str]:
        async for chunk in answer:
            if text := chunk.choices[0].delta.content:
                yield f"event: delta\ndata: {json.dumps({'text': text})}\n\n"
        yield "event: done\ndata: {}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@router.get("/ready")
async def ready() -> str:
    """Answer once the application is open."""
    return "ok"


app = FastAPI()
app.include_router(router)
