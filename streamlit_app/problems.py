"""What can go wrong between the demo and the API, as one typed exception.

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

    def __str__(self) -> str:
        return f"{self.title}: {self.detail}" if self.detail else self.title

    @property
    def is_about_the_key(self) -> bool:
        """True when another API key would help."""
        return self.status == HTTPStatus.UNAUTHORIZED or self.code == UNUSABLE_KEY


def from_response(response: httpx.Response) -> ApiProblem:
    """Reads problem+json; anything else (a proxy's HTML page) keeps only its status."""
    return from_json(_json_object(response), response.status_code, response.headers)


def from_json(
    body: Mapping[str, Any], status: int = 0, headers: Mapping[str, str] | None = None
) -> ApiProblem:
    """Reads a problem's body, which may also come as the last event of a stream."""
    headers = headers or {}
    status = status or (body["status"] if isinstance(body.get("status"), int) else 0)
    return ApiProblem(
        title=str(body.get("title") or _phrase(status)),
        detail=str(body.get("detail") or ""),
        code=str(body.get("code") or f"http_{status}"),
        status=status,
        trace_id=str(body.get("trace_id") or headers.get("X-Request-ID") or "") or None,
        retry_after_s=_retry_after_s(body.get("retry_after_s"), headers),
    )


def from_transport(error: httpx.HTTPError, url: str) -> ApiProblem:
    """Turns a connection that failed, broke or took too long into a problem."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return ApiProblem("The API took too long to answer", f"No answer from {url}.", TIMED_OUT)
    return ApiProblem("The API cannot be reached", f"Nothing answers at {url}.", UNREACHABLE)


def _json_object(response: httpx.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP status {status}"


def _retry_after_s(field: object, headers: Mapping[str, str]) -> float | None:
    """The body's ``retry_after_s``, else ``Retry-After`` in seconds or as an HTTP date."""
    for value in (field, headers.get("Retry-After")):
        seconds = _seconds(value)
        if seconds is not None:
            return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
    return None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(str(value))
    return seconds if seconds == seconds else None  # noqa: PLR0124 - refuses NaN


def _seconds_until(http_date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()
