"""Errors as OAuth clients expect them (RFC 6749, 5.2): at the token endpoint and nowhere else."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from starlette.types import Scope

from app.errors import AppError

PATHS = frozenset({"/oauth/token", "/oauth/revoke"})
_CODES = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)


def speaks_oauth(scope: Scope) -> bool:
    """Whether the request came to the token endpoint; decides on nothing but an error's shape."""
    return scope.get("path", "") in PATHS


def oauth_error(error: AppError) -> dict[str, str]:
    """The body of the answer; in its description are none of the characters that may not be."""
    code = "server_error" if error.status >= 500 else "invalid_request"  # noqa: PLR2004
    if error.retryable:
        code = "temporarily_unavailable"
    described = error.detail.replace('"', "'").replace("\\", "/")
    return {
        "error": error.code if error.code in _CODES else code,
        "error_description": described.encode("ascii", "replace").decode(),
    }


class OAuthErrorReply(BaseModel):
    """What went wrong."""

    error: str = Field(examples=["invalid_grant"])
    error_description: str


def documented_oauth_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI ``responses`` of a route that may answer with these errors."""
    return {
        status: {"description": HTTPStatus(status).phrase, "model": OAuthErrorReply}
        for status in statuses
    }
