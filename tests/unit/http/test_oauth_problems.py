"""Errors at the token endpoint are of OAuth's shape, whatever made them."""

import json

import pytest

from app.auth.oauth.errors import InvalidClient, InvalidGrant
from app.errors import AppError, TooLarge
from app.http.problems import problem_response
from app.infra.postgres import DatabaseUnavailable


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidGrant(), 400, "invalid_grant"), (InvalidClient(), 401, "invalid_client"),
        (TooLarge(), 413, "invalid_request"),
        (DatabaseUnavailable(), 503, "temporarily_unavailable"),
        (AppError(), 500, "server_error"),
    ],
)  # fmt: skip
def test_every_error_has_a_code_of_the_protocol(error: AppError, status: int, code: str) -> None:
    reply = problem_response(error, {"path": "/oauth/token"})
    body = json.loads(bytes(reply.body))
    assert (reply.status_code, reply.media_type, body["error"]) == (
        status, "application/json", code,
    )  # fmt: skip
    assert set(body) == {"error", "error_description"}
    assert reply.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in reply.headers) is (status == 401)
    assert reply.headers.get("www-authenticate", "Basic").startswith("Basic")


def test_the_description_holds_no_character_it_may_not() -> None:
    reply = problem_response(InvalidGrant('a "quoted" \\ ünï \r\n'), {"path": "/oauth/revoke"})
    described = json.loads(bytes(reply.body))["error_description"]
    assert '"' not in described
    assert "\\" not in described
    assert described.isascii()


def test_elsewhere_it_is_a_problem() -> None:
    assert problem_response(InvalidGrant(), {"path": "/api/v1/me"}).media_type == (
        "application/problem+json"
    )
