"""On /v1 errors have OpenAI's shape, with the status and the headers they have elsewhere."""

from typing import Any

import orjson
import pytest

from app.errors import (
    AppError,
    InvalidRequest,
    MethodNotAllowed,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    TooLarge,
    Unavailable,
    WrongType,
)
from app.http.openai_problems import documented_openai_errors, speaks_openai
from app.http.problems import problem_response


class Limited(AppError):
    """Too many requests."""

    status, code, retryable, retry_after_s = 429, "rate_limited", True, 7


class Spent(AppError):
    """The budget is spent."""

    status, code = 402, "budget_spent"


FIELDS = {"errors": [{"field": "messages.0.content.12", "message": "no", "type": "x"}]}


@pytest.mark.parametrize(
    ("error", "kind", "param"),
    [(NotAuthenticated(), "authentication_error", None), (Spent(), "insufficient_quota", None),
     (NotAllowed(required_scope="chat"), "permission_error", None),
     (NotFound(param="model"), "invalid_request_error", "model"),
     (MethodNotAllowed(), "invalid_request_error", None),
     (TooLarge(limit_bytes=9), "invalid_request_error", None),
     (WrongType(), "invalid_request_error", None),
     (InvalidRequest(**FIELDS), "invalid_request_error", "messages[0].content[12]"),
     (InvalidRequest(param="messages.10.content"), "invalid_request_error", "messages[10].content"),
     (Limited(), "rate_limit_error", None), (Unavailable(), "server_error", None),
     (AppError(), "server_error", None)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_an_error_of_v1(error: AppError, kind: str, param: str | None) -> None:
    reply = problem_response(error, {"path": "/v1/chat/completions"})
    assert reply.status_code == error.status
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers.get("retry-after") == (str(error.retry_after_s) * error.retryable or None)
    assert ("www-authenticate" in reply.headers) == (error.status == 401)
    assert orjson.loads(reply.body) == {
        "error": {"message": error.detail, "type": kind, "param": param, "code": error.code}
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/v1", True), ("/v1/", True), ("/v1/models", True), ("/v10/models", False), ("/v1x", False),
     ("/api/v1/chat", False), ("/", False), ("", False)],
)  # fmt: skip
def test_only_there(path: str, expected: Any) -> None:
    assert speaks_openai({"path": path}) is expected
    assert not speaks_openai({})
    kind = problem_response(NotFound(), {"path": path}).headers["content-type"]
    assert (kind == "application/json") is expected


def test_documented_errors_are_of_that_shape() -> None:
    documented = documented_openai_errors(400, 404)
    assert set(documented) == {400, 404}
    fields = documented[404]["model"].model_json_schema()["$defs"]["OpenAiError"]["properties"]
    assert set(fields) == {"message", "type", "param", "code"}
