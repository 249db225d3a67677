"""The routes of the API as typed methods, for one key; every failure is an ``ApiProblem``."""

import mimetypes
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from docent_client.line import CONNECT_TIMEOUT_S, Event, Line, open_connection, read_events
from docent_client.problems import (
    UNREACHABLE,
    ApiProblem,
    from_members,
    from_response,
    from_transport,
    malformed,
)
from docent_client.schemas import (
    Answer,
    Citation,
    Delta,
    Document,
    DocumentList,
    Health,
    Job,
    JobList,
    Key,
    Me,
    Model,
    NewKey,
    PageText,
    Part,
    Passage,
    Question,
    Reset,
    Upload,
)
from docent_client.wire import Json

T = TypeVar("T")

#: Above the API's own deadline for a whole answer (``TOTAL_TIMEOUT_S``, 60 by default), so that
#: its apology arrives before we give up on it.
ANSWER_TIMEOUT_S = 120.0
#: Twice the server's pings, and a little.
STREAM_TIMEOUT_S = 35.0
#: How often a stream that broke off is taken up again.
RESUMES = 3
LIST_LIMIT = 100
#: Events of an answer that are parts of it; the others are for machines.
_PARTS: dict[str, Callable[[Json], Part]] = {
    "delta": Delta.from_json,
    "citation": Citation.from_json,
    "reset": Reset.from_json,
    "done": Answer.from_json,
}


class ApiClient:
    """One caller; cheap to make over a connection that is shared."""

    def __init__(
        self,
        connection: httpx.Client,
        *,
        api_key: str | None,
        retries: int = 2,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``retries`` waits for what the server asks for in ``Retry-After``, by ``sleep``."""
        self._line = Line(connection, api_key, retries, sleep)

    def ask(self, question: Question, *, idempotency_key: str | None = None) -> Answer:
        """Asks and waits for the whole answer; what is sent twice is answered once."""
        response = self._line.send(
            "POST",
            "/api/v1/chat",
            json=question.to_json(),
            headers=_once(idempotency_key),
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        )
        return _read(response, Answer.from_json)

    def stream(self, question: Question) -> Iterator[Part]:
        """Asks and gives the answer as it is written; the last part is the whole ``Answer``.

        A connection that breaks is taken up again where it was.
        """
        events = self._events("POST", "/api/v1/chat", json=question.to_json(stream=True))
        for event in events:
            if event.name in _PARTS:
                yield _shape(_PARTS[event.name], event.data)

    def retrieve(self, question: Question) -> tuple[Passage, ...]:
        """Finds passages and asks no model."""
        asked = question.to_json()
        body = {name: asked[name] for name in ("question", "top_k", "filters", "as_of")}
        response = self._line.send("POST", "/api/v1/retrieve", json=body)
        return _read(response, lambda found: _each(Passage.from_json, found["passages"]))

    def models(self) -> tuple[Model, ...]:
        response = self._line.send("GET", "/api/v1/models")
        return _read(response, lambda body: _each(Model.from_json, body["items"]))

    def upload(
        self,
        filename: str,
        content: bytes,
        *,
        title: str | None = None,
        tags: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> Upload:
        """Sends a new document; the same bytes again are the same document."""
        return self._send_file(
            "POST", "/api/v1/docs", (filename, content), _facts(title, tags), idempotency_key
        )

    def replace(
        self, document_id: str, filename: str, content: bytes, *, idempotency_key: str | None = None
    ) -> Upload:
        """Sends the next version of a document; the old one answers until it is complete."""
        path = f"/api/v1/docs/{_segment(document_id)}"
        return self._send_file("PUT", path, (filename, content), {}, idempotency_key)

    def documents(
        self, *, q: str | None = None, tag: str | None = None, after: str | None = None
    ) -> DocumentList:
        """Lists ``LIST_LIMIT`` documents, newest last; ``q`` is a part of title or file name."""
        asked = {"limit": LIST_LIMIT, "q": q, "tag": tag, "after": after}
        params = {name: value for name, value in asked.items() if value is not None}
        return _read(self._line.send("GET", "/api/v1/docs", params=params), DocumentList.from_json)

    def document(self, document_id: str) -> Document:
        response = self._line.send("GET", f"/api/v1/docs/{_segment(document_id)}")
        return _read(response, Document.from_json)

    def delete(self, document_id: str) -> Json:
        """Deletes softly; says what was removed from each store."""
        response = self._line.send("DELETE", f"/api/v1/docs/{_segment(document_id)}")
        return _read(response, lambda body: dict(body["removed"]))

    def page(self, document_id: str, number: int, *, version: int) -> PageText:
        """Fetches the text of one page; ``number`` counts from 1."""
        path = f"/api/v1/docs/{_segment(document_id)}/pages/{number}"
        response = self._line.send("GET", path, params={"version": version})
        return _read(response, PageText.from_json)

    def job(self, job_id: str) -> Job:
        return _read(self._line.send("GET", f"/api/v1/jobs/{_segment(job_id)}"), Job.from_json)

    def jobs(self, *, status: str | None = None) -> JobList:
        params = {"limit": LIST_LIMIT} | ({"status": status} if status else {})
        return _read(self._line.send("GET", "/api/v1/jobs", params=params), JobList.from_json)

    def watch(self, job_id: str) -> Iterator[Job]:
        """The job as it goes on, until it has ended."""
        for event in self._events("GET", f"/api/v1/jobs/{_segment(job_id)}/events"):
            yield _shape(Job.from_json, event.data)

    def me(self) -> Me:
        return _read(self._line.send("GET", "/api/v1/me"), Me.from_json)

    def keys(self) -> tuple[Key, ...]:
        response = self._line.send("GET", "/api/v1/keys", params={"limit": LIST_LIMIT})
        return _read(response, lambda body: _each(Key.from_json, body["items"]))

    def create_key(
        self, name: str, scopes: Sequence[str], *, expires_in_days: int | None = None
    ) -> NewKey:
        """Makes a key with at most the caller's scopes. A broken connection is not tried again."""
        body = {"name": name, "scopes": list(scopes), "expires_in_days": expires_in_days}
        return _read(self._line.send("POST", "/api/v1/keys", json=body), NewKey.from_json)

    def revoke_key(self, key_id: str) -> None:
        self._line.send("DELETE", f"/api/v1/keys/{_segment(key_id)}")

    def health(self) -> Health:
        """Needs no key. A 503 that still tells its checks is an answer, not a problem."""
        return read_probe(self._line.connection, "/health")[0]

    def _send_file(
        self,
        method: str,
        path: str,
        file: tuple[str, bytes],
        facts: dict[str, Any],
        idempotency_key: str | None,
    ) -> Upload:
        name = PurePath(file[0]).name
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        response = self._line.send(
            method,
            path,
            files={"file": (name, file[1], kind)},
            data=facts,
            headers=_once(idempotency_key),
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        )
        return _read(response, Upload.from_json)

    def _events(self, method: str, path: str, **options: Any) -> Iterator[Event]:  # noqa: ANN401 - httpx's own
        """Events to the one ``done``; an answer's, once it has begun, can be asked for again."""
        last: str | None = None
        timeout = httpx.Timeout(STREAM_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        for _ in range(RESUMES + 1):
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
            try:
                with self._line.open(
                    method, path, headers=headers, timeout=timeout, **options
                ) as response:
                    for event in read_events(response.iter_lines()):
                        if event.name == "meta":
                            method, options = "GET", {}
                            path = (
                                f"/api/v1/answers/{_segment(str(event.data['answer_id']))}/events"
                            )
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
        raise ApiProblem("The answer broke off", "The connection ended before it.", UNREACHABLE)


@contextmanager
def open_client(api_url: str, api_key: str | None) -> Iterator[ApiClient]:
    """A client with a connection of its own, closed at the end."""
    with open_connection(api_url) as connection:
        yield ApiClient(connection, api_key=api_key)


def read_probe(connection: httpx.Client, path: str) -> tuple[Health, httpx.Response]:
    """What a probe says, and the response it said it in; 503 is how it says that it is ill.

    Raises:
        ApiProblem: nothing answers, or something else than Docent.
    """
    try:
        response = connection.get(path)
    except httpx.HTTPError as error:
        raise from_transport(error, str(connection.base_url)) from error
    ill = response.status_code == httpx.codes.SERVICE_UNAVAILABLE and '"checks"' in response.text
    if not response.is_success and not ill:
        raise from_response(response)
    return _read(response, Health.from_json), response


def _read(response: httpx.Response, parse: Callable[[Json], T]) -> T:
    try:
        return parse(response.json())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise malformed(response.status_code, response.headers.get("X-Request-ID")) from error


def _shape(parse: Callable[[Json], T], data: Json) -> T:
    try:
        return parse(data)
    except (KeyError, TypeError) as error:
        raise malformed() from error


def _each(parse: Callable[[Json], T], items: Sequence[Json]) -> tuple[T, ...]:
    return tuple(map(parse, items))


def _facts(title: str | None, tags: Sequence[str]) -> dict[str, Any]:
    return ({"title": title} if title else {}) | ({"tags": list(tags)} if tags else {})


def _once(idempotency_key: str | None) -> dict[str, str]:
    """A request with a key is carried out once, however often a broken line makes us send it."""
    return {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}


def _segment(text: str) -> str:
    return quote(text, safe="")


def _status(problem: Json) -> int:
    status = problem.get("status")
    return status if isinstance(status, int) else 0
