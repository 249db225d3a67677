"""Errors as clients of the OpenAI dialect expect them: on ``/v1`` and nowhere else."""

import re
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from starlette.types import Scope

from app.errors import AppError, NotFound

_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}
_INDEX = re.compile(r"\.(\d+)(?=\.|$)")


def speaks_openai(scope: Scope) -> bool:
    """Whether the request came by the OpenAI dialect; decides on nothing but an error's shape."""
    path: str = scope.get("path", "")
    return path == "/v1" or path.startswith("/v1/")


def no_such_route() -> NotFound:
    """What many clients ask for unless told otherwise, ``/v1/responses`` first, is not here."""
    return NotFound("Of OpenAI's API, /v1/chat/completions and /v1/models are here.")


def openai_error(error: AppError) -> dict[str, str | None]:
    """The ``error`` member: ``param`` is the field at fault (``messages[0].content``) or None."""
    kind = "server_error" if error.status >= 500 else "invalid_request_error"  # noqa: PLR2004
    fields = error.extras.get("errors") or [{}]
    param = error.extras.get("param") or fields[0].get("field")
    return {
        "message": error.detail,
        "type": _TYPES.get(error.status, kind),
        "param": _INDEX.sub(r"[\1]", param) if param else None,
        "code": error.code,
    }


class OpenAiError(BaseModel):
    """What went wrong."""

    message: str
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(description="The field at fault.", examples=["model"])
    code: str = Field(description="Stable slug to switch on.", examples=["model_not_found"])


class OpenAiErrorReply(BaseModel):
    """An error in the OpenAI dialect."""

    error: OpenAiError


def documented_openai_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI ``responses`` of a ``/v1`` route that may answer with these errors."""
    return {
        status: {"description": HTTPStatus(status).phrase, "model": OpenAiErrorReply}
        for status in statuses
    }
