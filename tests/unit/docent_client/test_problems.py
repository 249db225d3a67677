from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docent_client.problems import (
    MAX_RETRY_AFTER_S,
    TIMED_OUT,
    UNREACHABLE,
    from_response,
    from_transport,
)
from tests.unit.streamlit_app.canned import LIMITED, TRACE_ID

#: A busy machine is no bug.
relaxed = settings(deadline=None)


def test_problem_json_is_read_whole() -> None:
    problem = from_response(httpx.Response(429, json=LIMITED, headers={"Retry-After": "9"}))
    assert (problem.title, problem.detail) == ("Too many requests", "30 per minute.")
    assert (problem.code, problem.status, problem.trace_id) == ("rate_limited", 429, TRACE_ID)
    assert problem.retry_after_s == 3
    assert str(problem) == "Too many requests: 30 per minute."


def test_an_error_page_of_something_in_between_keeps_its_status() -> None:
    problem = from_response(httpx.Response(502, text="<html>", headers={"X-Request-ID": "r1"}))
    assert (problem.title, problem.code, problem.trace_id) == ("Bad Gateway", "http_502", "r1")
    assert str(from_response(httpx.Response(599, json=[]))) == "HTTP status 599"


@pytest.mark.parametrize(
    ("header", "expected"),
    [("7", 7), ("-1", 0), ("1e9", MAX_RETRY_AFTER_S), ("nan", None), ("soon", None), (None, None)],
)
def test_retry_after_header(header: str | None, expected: float | None) -> None:
    headers = {} if header is None else {"Retry-After": header}
    assert from_response(httpx.Response(503, headers=headers)).retry_after_s == expected


def test_retry_after_as_a_date() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=30)
    headers = {"Retry-After": format_datetime(moment, usegmt=True)}
    seconds = from_response(httpx.Response(503, headers=headers)).retry_after_s
    assert seconds is not None
    assert 25 <= seconds <= 30


@relaxed
@given(st.binary(max_size=60), st.integers(400, 599), st.text("0123456789.eE+-, GMTnaif"))
def test_no_response_breaks_the_reader(body: bytes, status: int, retry: str) -> None:
    problem = from_response(httpx.Response(status, content=body, headers={"Retry-After": retry}))
    assert problem.title
    assert problem.retry_after_s is None or 0 <= problem.retry_after_s <= MAX_RETRY_AFTER_S


def test_transport_errors() -> None:
    assert from_transport(httpx.ReadTimeout("x"), "u").code == TIMED_OUT
    assert from_transport(httpx.ConnectTimeout("x"), "u").code == UNREACHABLE
    assert from_transport(httpx.RemoteProtocolError("x"), "u").code == UNREACHABLE
