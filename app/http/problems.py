"""The one place where errors become responses: RFC 9457 ``application/problem+json``.

On ``/v1`` they are of the OpenAI shape instead, and at the token endpoint of OAuth's, with the same
status and headers.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Scope

from app.errors import (
    AppError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    WrongType,
)
from app.http.oauth_problems import oauth_error, speaks_oauth
from app.http.openai_problems import no_such_route, openai_error, speaks_openai

log = structlog.get_logger(__name__)

#: Where a field may have been sent, as FastAPI begins its location.
_PLACES = (("body",), ("query",), ("path",))


def problem_of(error: AppError, scope: Scope) -> dict[str, Any]:
    """The members of the problem; nothing of the cause (stack, SQL, path) is among them."""
    problem: dict[str, Any] = {
        "type": f"urn:docent:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": scope.get("path", ""),
        "code": error.code,
        "trace_id": scope.get("state", {}).get("trace_id"),
        "retryable": error.retryable,
        **error.extras,
    }
    if error.retryable:
        problem["retry_after_s"] = error.retry_after_s
    return problem


def encoded(problem: dict[str, Any]) -> bytes:
    """``problem`` as JSON; a lone surrogate, which JSON escapes can bring in, becomes "?"."""
    return json.dumps(problem, ensure_ascii=False).encode("utf-8", "replace")


def problem_response(error: AppError, scope: Scope) -> Response:
    """Render ``error``."""
    headers = {"Cache-Control": "no-store"}
    if error.retryable:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 401:  # noqa: PLR2004 - the status that must name a scheme, RFC 9110 11.6.1
        scheme = "Basic" if speaks_oauth(scope) else "Bearer"
        headers["WWW-Authenticate"] = f'{scheme} realm="docent"'
    kind = "application/json"
    if speaks_oauth(scope):
        body: dict[str, Any] = oauth_error(error)
    elif speaks_openai(scope):
        body = {"error": openai_error(error)}
    else:
        body, kind = problem_of(error, scope), "application/problem+json"
    return Response(encoded(body), status_code=error.status, headers=headers, media_type=kind)


def install_problems(app: FastAPI) -> None:
    """Make every error of ``app`` a problem."""
    app.add_exception_handler(AppError, _on_app_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)


async def _on_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)  # noqa: S101 - registered for this class
    if error.status >= 500:  # noqa: PLR2004
        log.warning("request_failed", code=error.code, detail=error.detail, exc_info=error)
    return problem_response(error, request.scope)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    if _is_json(request) is False and any(item["loc"] == ("body",) for item in error.errors()):
        return problem_response(WrongType("Send application/json."), request.scope)
    problems = [_field_problem(item) for item in error.errors()]
    shown = "; ".join(f"{item['field']}: {item['message']}" for item in problems[:5])
    return problem_response(
        InvalidRequest(f"The request is not valid: {shown}.", errors=problems[:50]), request.scope
    )


def _is_json(request: Request) -> bool | None:
    """Whether the body is of a type that is read as JSON; None when there is no body."""
    length = request.headers.get("content-length")
    if length == "0" or (length is None and "transfer-encoding" not in request.headers):
        return None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind.startswith("application/") and kind.endswith(("/json", "+json"))


def _field_problem(item: Mapping[str, Any]) -> dict[str, str]:
    # The value itself is left out: it may be long, or a secret in the wrong field.
    location: Sequence[Any] = item.get("loc", ())
    if item.get("type") == "json_invalid":
        location = location[:1]  # what follows is the position in the text
    # The first says where it was sent; a field may be called "query" as well.
    named = location[1:] if location[:1] in _PLACES else location
    field = ".".join(str(part) for part in named)
    return {
        "field": field[:200] or str(location[0] if location else "body"),
        "message": str(item.get("msg", "not valid"))[:300],
        "type": str(item.get("type", "")),
    }


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    if isinstance(error.__cause__, AppError):
        # FastAPI makes a 400 of whatever reading the body raised, the body limit's 413 included.
        return problem_response(error.__cause__, request.scope)
    response = problem_response(_translated(error.status_code, request), request.scope)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    if error.status_code == 405:  # noqa: PLR2004 - Starlette names the first route's methods only
        response.headers["Allow"] = ", ".join(_allowed(request))
    return response


def _translated(status: int, request: Request) -> AppError:
    if status == 404:  # noqa: PLR2004
        return no_such_route() if speaks_openai(request.scope) else NotFound()
    if status == 405:  # noqa: PLR2004
        return MethodNotAllowed()
    if "content-encoding" in request.headers:
        return WrongType("Send the body without Content-Encoding: no compression is undone here.")
    return InvalidRequest("The request could not be read.")


def _allowed(request: Request) -> list[str]:
    """The methods of the path, as its own route has it rather than one with parameters."""
    routes = [
        (context.path_format.count("{"), context.path_format, method)
        for context in iter_route_contexts(request.app.routes)
        if context.path_format
        and context.methods
        and compile_path(context.path_format)[0].match(request.scope["path"])
        for method in context.methods
    ]
    nearest = min(routes, default=None)
    return sorted(method for _, path, method in routes if nearest and path == nearest[1])


class Problem(BaseModel):
    """An error, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str = Field(description="Stable slug to switch on.")
    trace_id: str | None
    retryable: bool


def documented_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI ``responses`` of a route that may answer with these errors."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            # Not by "model": FastAPI would document it as application/json.
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            },
        }
        for status in statuses
    }
