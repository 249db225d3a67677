"""What can go wrong between a client and the API, as one typed exception.

Every failure ends as an ``ApiProblem``: the API's own problem+json, an error page of something in
between, a connection that was never made, or a body that is not what the contract promises. Its
``code`` is the API's stable slug, or one of the constants below.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx

UNREACHABLE = "unreachable"
TIMED_OUT = "timed_out"
MALFORMED = "malformed_response"
UNUSABLE_KEY = "unusable_key"
INTERRUPTED = "interrupted"

#: A countdown longer than this is not shown to the second, so it need not be exact either.
MAX_RETRY_AFTER_S = 86_400.0


@dataclass(eq=False)
class ApiProblem(Exception):
    """The API could not be asked, or said no."""

    title: str
    detail: str = ""
    code: str = ""
    status: int = 0  #: 0 when no HTTP response arrived
    trace_id: str | None = None
    retry_after_s: float | None = None
    #: Whether the same request may succeed later without change.
    retryable: bool = False

    def __str__(self) -> str:
        return f"{self.title}: {self.detail}" if self.detail else self.title

    @property
    def is_about_the_key(self) -> bool:
        """True when another API key would help."""
        return self.status == HTTPStatus.UNAUTHORIZED or self.code == UNUSABLE_KEY


def from_response(response: httpx.Response) -> ApiProblem:
    """Reads problem+json; anything else (a proxy's HTML page) keeps only its status."""
    problem = from_members(_json_object(response), response.status_code)
    problem.trace_id = problem.trace_id or response.headers.get("X-Request-ID")
    if problem.retry_after_s is None:
        problem.retry_after_s = _seconds(response.headers.get("Retry-After"))
    return problem


def from_members(body: Mapping[str, Any], status: int) -> ApiProblem:
    """Reads the members of a problem, such as those of an ``error`` event."""
    busy = status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
    return ApiProblem(
        title=str(body.get("title") or _phrase(status)),
        detail=str(body.get("detail") or ""),
        code=str(body.get("code") or f"http_{status}"),
        status=status,
        trace_id=str(body.get("trace_id") or "") or None,
        retry_after_s=_seconds(body.get("retry_after_s")),
        retryable=bool(body.get("retryable", busy)),
    )


def from_transport(error: httpx.HTTPError, url: str) -> ApiProblem:
    """Turns a connection that failed, broke or took too long into a problem."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return ApiProblem("The API took too long to answer", f"No answer from {url}.", TIMED_OUT)
    return ApiProblem("The API cannot be reached", f"Nothing answers at {url}.", UNREACHABLE)


def malformed(status: int = 0, trace_id: str | None = None) -> ApiProblem:
    """What came is not what the contract promises."""
    return ApiProblem(
        "The API's answer could not be read",
        "It is not what the contract promises; is this a Docent of the same version?",
        MALFORMED,
        status=status,
        trace_id=trace_id,
    )


def _json_object(response: httpx.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except (ValueError, httpx.ResponseNotRead):  # no JSON, or it broke off
        return {}
    return body if isinstance(body, dict) else {}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP status {status}"


def _seconds(value: object) -> float | None:
    """Seconds, as a number or an HTTP date, between 0 and ``MAX_RETRY_AFTER_S``."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(str(value))
    if seconds != seconds:  # noqa: PLR0124 - NaN
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _seconds_until(http_date: str) -> float:
    try:
        moment = parsedate_to_datetime(http_date)
    except ValueError:
        return float("nan")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()
