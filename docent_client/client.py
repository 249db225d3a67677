"""The routes of the API as typed methods, for one key; every failure is an ``ApiProblem``."""

import mimetypes
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any, TypeVar

import httpx

from docent_client.account import Key, Limit, Me, NewKey
from docent_client.analytics import Analytics
from docent_client.line import (
    CONNECT_TIMEOUT_S,
    Line,
    open_connection,
    read_body,
    read_event,
    segment,
    usable,
)
from docent_client.problems import from_response, from_transport
from docent_client.schemas import (
    PROVIDER_KEY_HEADERS,
    Answer,
    Citation,
    Delta,
    Document,
    DocumentList,
    Health,
    Job,
    JobList,
    Model,
    PageText,
    Part,
    Passage,
    Question,
    Reset,
    Upload,
    Version,
)
from docent_client.wire import Json

T = TypeVar("T")

#: Above the API's own deadline for a whole answer (``TOTAL_TIMEOUT_S``, 60 by default), so that
#: its apology arrives before we give up on it.
ANSWER_TIMEOUT_S = 120.0
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
            headers=_once(idempotency_key) | _own_keys(question),
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        )
        return read_body(response, Answer.from_json)

    def stream(self, question: Question) -> Iterator[Part]:
        """Asks and gives the answer as it is written; the last part is the whole ``Answer``.

        A connection that breaks is taken up again where it was.
        """
        asked = question.to_json(stream=True)
        headers = _own_keys(question)
        for event in self._line.events("POST", "/api/v1/chat", json=asked, headers=headers):
            if event.name in _PARTS:
                yield read_event(event, _PARTS[event.name])

    def retrieve(self, question: Question) -> tuple[Passage, ...]:
        """Finds passages and asks no model."""
        asked = question.to_json()
        body = {name: asked[name] for name in ("question", "top_k", "filters", "as_of")}
        response = self._line.send("POST", "/api/v1/retrieve", json=body)
        return read_body(response, lambda found: _each(Passage.from_json, found["passages"]))

    def give_feedback(self, answer_id: str, *, score: int, comment: str | None = None) -> None:
        """Says whether an answer was good (1) or not (-1); a second opinion replaces the first."""
        body = {"score": score, "comment": comment}
        self._line.send("POST", f"/api/v1/answers/{segment(answer_id)}/feedback", json=body)

    def forget_session(self, session_id: str) -> None:
        """Has the API forget a conversation."""
        self._line.send("DELETE", f"/api/v1/sessions/{segment(session_id)}")

    def models(self) -> tuple[Model, ...]:
        response = self._line.send("GET", "/api/v1/models")
        return read_body(response, lambda body: _each(Model.from_json, body["items"]))

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
        path = f"/api/v1/docs/{segment(document_id)}"
        return self._send_file("PUT", path, (filename, content), {}, idempotency_key)

    def documents(
        self,
        *,
        q: str | None = None,
        tag: str | None = None,
        after: str | None = None,
        include_deleted: bool = False,
    ) -> DocumentList:
        """Lists ``LIST_LIMIT`` documents, newest last; ``q`` is a part of title or file name."""
        asked = {"limit": LIST_LIMIT, "q": q, "tag": tag, "after": after}
        params = {name: value for name, value in asked.items() if value is not None}
        params |= {"include_deleted": True} if include_deleted else {}
        return read_body(
            self._line.send("GET", "/api/v1/docs", params=params), DocumentList.from_json
        )

    def document(self, document_id: str) -> Document:
        response = self._line.send("GET", f"/api/v1/docs/{segment(document_id)}")
        return read_body(response, Document.from_json)

    def delete(self, document_id: str) -> Json:
        """Deletes softly; says what was removed from each store."""
        response = self._line.send("DELETE", f"/api/v1/docs/{segment(document_id)}")
        return read_body(response, lambda body: dict(body["removed"]))

    def restore(self, document_id: str) -> Document:
        """Takes a deletion back."""
        response = self._line.send("POST", f"/api/v1/docs/{segment(document_id)}/restore")
        return read_body(response, Document.from_json)

    def versions(self, document_id: str) -> tuple[Version, ...]:
        """Lists a document's last ``LIST_LIMIT`` versions, newest first."""
        path = f"/api/v1/docs/{segment(document_id)}/versions"
        response = self._line.send("GET", path, params={"limit": LIST_LIMIT})
        return read_body(response, lambda body: _each(Version.from_json, body["items"]))

    def activate(self, document_id: str, version: int) -> Document:
        """Has the API answer from this version from now on."""
        path = f"/api/v1/docs/{segment(document_id)}/versions/{version}/activate"
        return read_body(self._line.send("POST", path), Document.from_json)

    def page(self, document_id: str, number: int, *, version: int) -> PageText:
        """Fetches the text of one page; ``number`` counts from 1."""
        path = f"/api/v1/docs/{segment(document_id)}/pages/{number}"
        response = self._line.send("GET", path, params={"version": version})
        return read_body(response, PageText.from_json)

    def page_image(
        self, document_id: str, number: int, *, version: int, highlight: str | None = None
    ) -> bytes:
        """Fetches one page as a PNG, with the quotes of the answer ``highlight`` marked."""
        path = f"/api/v1/docs/{segment(document_id)}/pages/{number}/image"
        params: dict[str, int | str] = {"version": version}
        if highlight:
            params["highlight"] = highlight
        return self._line.send("GET", path, params=params).content

    def job(self, job_id: str) -> Job:
        return read_body(self._line.send("GET", f"/api/v1/jobs/{segment(job_id)}"), Job.from_json)

    def jobs(self, *, status: str | None = None) -> JobList:
        params = {"limit": LIST_LIMIT} | ({"status": status} if status else {})
        return read_body(self._line.send("GET", "/api/v1/jobs", params=params), JobList.from_json)

    def watch(self, job_id: str) -> Iterator[Job]:
        """The job as it goes on, until it has ended."""
        for event in self._line.events("GET", f"/api/v1/jobs/{segment(job_id)}/events"):
            yield read_event(event, Job.from_json)

    def me(self) -> Me:
        return read_body(self._line.send("GET", "/api/v1/me"), Me.from_json)

    def keys(self) -> tuple[Key, ...]:
        response = self._line.send("GET", "/api/v1/keys", params={"limit": LIST_LIMIT})
        return read_body(response, lambda body: _each(Key.from_json, body["items"]))

    def create_key(
        self, name: str, scopes: Sequence[str], *, expires_in_days: int | None = None
    ) -> NewKey:
        """Makes a key with at most the caller's scopes. A broken connection is not tried again."""
        body = {"name": name, "scopes": list(scopes), "expires_in_days": expires_in_days}
        return read_body(self._line.send("POST", "/api/v1/keys", json=body), NewKey.from_json)

    def revoke_key(self, key_id: str) -> None:
        self._line.send("DELETE", f"/api/v1/keys/{segment(key_id)}")

    def limits(self) -> tuple[Limit, ...]:
        """How far the caller's limits are used up; asking costs none of them."""
        response = self._line.send("GET", "/api/v1/rate-limit/status")
        return read_body(response, lambda body: _each(Limit.from_json, body["limits"]))

    def analytics(self, days: int) -> Analytics:
        """What was asked in the last ``days`` days, and how it went; for administrators."""
        response = self._line.send("GET", "/api/v1/admin/analytics", params={"days": days})
        return read_body(response, Analytics.from_json)

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
        return read_body(response, Upload.from_json)


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
    return read_body(response, Health.from_json), response


def _each(parse: Callable[[Json], T], items: Sequence[Json]) -> tuple[T, ...]:
    return tuple(map(parse, items))


def _facts(title: str | None, tags: Sequence[str]) -> dict[str, Any]:
    return ({"title": title} if title else {}) | ({"tags": list(tags)} if tags else {})


def _once(idempotency_key: str | None) -> dict[str, str]:
    """A request with a key is carried out once, however often a broken line makes us send it."""
    return {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}


def _own_keys(question: Question) -> dict[str, str]:
    return {
        PROVIDER_KEY_HEADERS[provider]: usable(key, "provider key")
        for provider, key in question.provider_keys.items()
    }
