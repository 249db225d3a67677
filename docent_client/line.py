"""One caller's line to the API: credential, retries and problems, for whole answers and streams."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx

from docent_client.config import on_this_machine
from docent_client.problems import (
    INTERRUPTED,
    UNREACHABLE,
    UNUSABLE_KEY,
    ApiProblem,
    from_members,
    from_response,
    from_transport,
    malformed,
)
from docent_client.wire import Json

T = TypeVar("T")

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 10.0
#: Twice the server's pings, and a little.
STREAM_TIMEOUT_S = 35.0
#: How often a stream that broke off is taken up again.
RESUMES = 3
#: A server that names a longer wait than this is reported instead of waited for.
PATIENCE_S = 20.0
#: Methods that may be sent again whatever became of the first; others need an Idempotency-Key.
_REPEATABLE = frozenset({"GET", "HEAD", "DELETE"})


def open_connection(api_url: str) -> httpx.Client:
    """Builds the connection pool; it carries no credential and may be shared.

    An API on this machine is never asked through a proxy of the environment.

    Raises:
        ApiProblem: ``api_url`` is not an address.
    """
    if not _is_address(api_url):
        detail = f"{api_url} is not an address such as http://127.0.0.1:8000."
        raise ApiProblem("The API cannot be reached", detail, UNREACHABLE)
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    local = on_this_machine(api_url)
    return httpx.Client(base_url=api_url, timeout=timeout, trust_env=not local)


def _is_address(api_url: str) -> bool:
    try:
        httpx.URL(api_url)
        parts = urlsplit(api_url)  # refuses some addresses that httpx fails at only later
    except (ValueError, httpx.InvalidURL):
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


@dataclass(frozen=True)
class Line:
    """Sends requests with one key or access token; retries what is retryable, ``retries`` times."""

    connection: httpx.Client
    api_key: str | None = field(repr=False)
    retries: int = 2
    sleep: Callable[[float], None] = time.sleep

    @contextmanager
    def open(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:  # noqa: ANN401 - httpx's own
        """The response to a request, its body unread; the last of the tries.

        Raises:
            ApiProblem: it is not a success, or there is none.
        """
        credential = f"Bearer {usable(self.api_key, 'API key')}"
        headers = {"Authorization": credential, **(options.pop("headers", None) or {})}
        request = self._built(method, path, headers=headers, **options)
        for tries_left in range(self.retries, -1, -1):
            try:
                response = self._try(request)
                break
            except ApiProblem as problem:
                if not tries_left or not _may_repeat(request, problem):
                    raise
                self.sleep(1.0 if problem.retry_after_s is None else problem.retry_after_s)
        try:
            yield response
        finally:
            response.close()

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        """The same, its body read."""
        with self.open(method, path, **options) as response:
            try:
                response.read()
            except httpx.HTTPError as error:
                raise from_transport(error, str(response.url)) from error
            return response

    def events(self, method: str, path: str, **options: Any) -> Iterator["Event"]:  # noqa: ANN401 - httpx's own
        """Events to the one ``done``; an answer's, once it has begun, can be asked for again.

        Raises:
            ApiProblem: the API refused, told of an ``error``, or could not be heard to the end.
        """
        last: str | None = None
        timeout = httpx.Timeout(STREAM_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        given = options.pop("headers", {})
        for _ in range(RESUMES + 1):
            resumed = {"Last-Event-ID": last} if last else {}
            headers = {"Accept": "text/event-stream", **given, **resumed}
            try:
                with self.open(
                    method, path, headers=headers, timeout=timeout, **options
                ) as response:
                    for event in read_events(response.iter_lines()):
                        if event.name == "meta":
                            method, options, given = "GET", {}, {}
                            answer_id = read_event(event, lambda data: segment(data["answer_id"]))
                            path = f"/api/v1/answers/{answer_id}/events"
                        if event.name == "error":
                            raise from_members(event.data, _status(event.data))
                        last = event.id or last
                        yield event
                        if event.name == "done":
                            return
            except httpx.TransportError:
                pass  # taken up again below, or reported as cut
            if last is None:
                break
        raise ApiProblem("The API broke off", "The connection ended halfway.", INTERRUPTED)

    def _built(self, method: str, path: str, **options: Any) -> httpx.Request:  # noqa: ANN401
        try:
            return self.connection.build_request(method, path, **options)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise ApiProblem("This cannot be asked", str(error), "unusable_request") from error

    def _try(self, request: httpx.Request) -> httpx.Response:
        try:
            response = self.connection.send(request, stream=True)
        except httpx.HTTPError as error:
            raise from_transport(error, str(self.connection.base_url)) from error
        if response.is_success:
            return response
        with suppress(httpx.HTTPError):  # what was read so far has its status at least
            response.read()
        response.close()
        raise from_response(response)


def usable(key: str | None, what: str) -> str:
    """Refuses what cannot travel in a header, such as a key pasted with a line break.

    Raises:
        ApiProblem: about the key.
    """
    if not key:
        raise ApiProblem(f"There is no {what}", "Set DOCENT_API_KEY.", UNUSABLE_KEY)
    if not key.isascii() or not key.isprintable():
        detail = "A key is one line of letters, digits and dashes."
        raise ApiProblem(f"This {what} cannot be right", detail, UNUSABLE_KEY)
    return key


def segment(text: str) -> str:
    """``text`` as one part of a path, whatever it holds."""
    return quote(text, safe="")


def _may_repeat(request: httpx.Request, problem: ApiProblem) -> bool:
    """A refusal that says so; a broken connection only where twice is as good as once."""
    if problem.status:
        return problem.retryable and (problem.retry_after_s or 0) <= PATIENCE_S
    return request.method in _REPEATABLE or "Idempotency-Key" in request.headers


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    name: str
    data: Json
    id: str | None = None


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """The events of ``lines``; comments are skipped, and what was cut off is no event.

    Raises:
        ApiProblem: an event's data is not a JSON object.
    """
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        name, _, value = line.partition(":")
        if line:
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Event(fields.get("event", "message"), _object(fields["data"]), fields.get("id"))
            fields = {}


def _object(text: str) -> Json:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise malformed() from error
    if not isinstance(data, dict):
        raise malformed()
    return data


def read_body(response: httpx.Response, parse: Callable[[Json], T]) -> T:
    """What ``parse`` makes of a response's JSON.

    Raises:
        ApiProblem: it is not what the contract promises.
    """
    try:
        return parse(response.json())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise malformed(response.status_code, response.headers.get("X-Request-ID")) from error


def read_event(event: Event, parse: Callable[[Json], T]) -> T:
    """The same of an event's data."""
    try:
        return parse(event.data)
    except (KeyError, TypeError, ValueError) as error:
        raise malformed() from error


def _status(problem: Json) -> int:
    status = problem.get("status")
    return status if isinstance(status, int) else 0
