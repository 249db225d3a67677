from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.completion import Attempt
from app.llm.failures import (
    MAX_DETAIL,
    AllProvidersFailed,
    in_band,
    refused,
    retry_after_s,
    snippet,
)


def body(**error) -> bytes:
    return orjson.dumps({"error": error})


@pytest.mark.parametrize(
    ("status", "sent", "outcome"),
    [
        (429, b"", "rate_limited"),
        (401, b"", "auth_failed"),
        (403, b"", "auth_failed"),
        (403, body(message="flagged", metadata={"reasons": ["violence"]}), "malformed"),
        (402, b"", "unavailable"),
        (404, body(code="model_not_found"), "unavailable"),
        (413, b"", "context_overflow"),
        (400, body(code="context_length_exceeded"), "context_overflow"),
        (400, body(message="This model's maximum context length is 8192"), "context_overflow"),
        (400, body(type="invalid_request_error"), "malformed"),
        (400, body(code="invalid_api_key"), "auth_failed"),
        (400, b'[{"error": {"code": 400, "message": "no"}}]', "malformed"),
        (500, b"<html>", "server_error"),
        (529, b"", "server_error"),
        (301, b"", "unavailable"),
        (418, b"", "unavailable"),
    ],
)
def test_statuses(status, sent, outcome):
    assert refused(status, {}, sent).outcome == outcome


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:30 GMT"}, 30),
        ({"retry-after": "Sat, 21 Nov 2026 09:00:00 GMT"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "99999999"}, 86_400),
        ({"retry-after": "inf"}, 86_400),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Fri, 31 Dec 99999999999 23:59:59 GMT"}, None),
        ({"retry-after": "Fri, 31 Dec 2027 23:59:59 +9999999999999"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-requests": "4", "x-ratelimit-reset-requests": "9s"}, None),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after_s(headers, datetime(2026, 11, 21, 10, tzinfo=UTC)) == seconds


@given(st.text(max_size=40))
def test_no_header_value_breaks_it(value):
    found = retry_after_s({"retry-after": value})
    assert found is None or 0 <= found <= 86_400


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abc123def456",
        "gsk_abcdefghijklmnop",
        "AIzaSyD-0123456789",
        "Bearer abcdef",
        "https://user:pw@host.example/v1?key=abc",
        "eyJhbGciOiJIUzI1NiJ9.e30.abc",
        "sk-or-v1-0123456789abcdef0123456789abcdef",
    ],
)
def test_details_hold_no_secret(secret):
    failure = refused(401, {}, body(message=f"Incorrect API key provided: {secret}. Look it up."))
    assert secret.split()[-1] not in str(failure)
    assert "Incorrect API key provided" in failure.detail


def test_details_are_short_and_printable():
    assert len(snippet({"message": "word " * 500})) <= MAX_DETAIL
    assert snippet({"message": "a\x00\x1b[31m\nb"}) == "a[31m b"
    assert snippet({"message": {"nested": 1}}) == snippet(None) == "no message"


def test_in_band_errors_keep_their_code():
    assert in_band({"code": 402, "message": "credits"}).outcome == "unavailable"
    assert in_band({"type": "overloaded_error"}).outcome == "unavailable"
    assert in_band({"code": 999}).outcome == "server_error"


def test_all_failed_is_a_503_that_says_when():
    error = AllProvidersFailed([Attempt("groq", "llama", "rate_limited", 12.0)], 7)
    assert (error.status, error.code, error.retryable) == (503, "providers_failed", True)
    assert error.retry_after_s == 7
    assert error.extras["attempts"][0]["outcome"] == "rate_limited"
