"""Questions on a WebSocket: those of ``POST /api/v1/chat``, told in messages (ADR 0029)."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from pydantic import ValidationError

from app.auth.caller import Caller
from app.chat.events import Answered
from app.chat.frames import parts_of
from app.chat.pipeline import ChatPipeline
from app.chat.schemas import ChatIn
from app.errors import InvalidRequest
from app.infra.ids import new_id
from app.limits.crowd import Crowd


class SpokenQuestions:
    """Answers questions of callers whose rights and rates were looked at already."""

    def __init__(self, pipeline: ChatPipeline, crowd: Crowd) -> None:
        self._pipeline = pipeline
        self._crowd = crowd

    async def messages(self, caller: Caller, asked: Mapping[str, Any]) -> AsyncGenerator[bytes]:
        """The answer to ``asked``, which has the fields of a request's body.

        One ``query_response``, and before it a ``chat_chunk`` for every event of the stream unless
        ``stream`` is false. Closing the iterator closes the call to the provider.

        Raises:
            InvalidRequest: it is no question; the message names the field.
            RateLimited: as many of the tenant's questions are answered already as may be.
            AppError: as the pipeline raises it, also after chunks.
        """
        try:
            body = ChatIn.model_validate(asked)
        except ValidationError as error:
            wrong = error.errors(include_input=False)[0]
            field = ".".join(map(str, wrong["loc"]))
            raise InvalidRequest(f"{field}: {wrong['msg']}") from error
        trace_id = new_id("ans").removeprefix("ans_")  # as a request's
        async with (
            self._crowd.place(caller.tenant_id),
            aclosing(self._pipeline.stream(caller, body.to_question())) as events,
        ):
            async for event in events:
                if isinstance(event, Answered):
                    [(_, data)] = parts_of(event, trace_id)
                    yield b'{"type":"query_response","answer":%b}' % data
                elif body.stream:
                    for name, data in parts_of(event, trace_id):
                        yield b'{"type":"chat_chunk","event":"%b","data":%b}' % (
                            name.encode(),
                            data,
                        )
