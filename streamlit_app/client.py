"""A small typed client for the native API; every failure is an ``ApiProblem``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx

from streamlit_app.analytics_report import Report
from streamlit_app.desk_schemas import Accepted, Job, Limit, Me, Version
from streamlit_app.problems import (
    INTERRUPTED,
    MALFORMED,
    UNREACHABLE,
    UNUSABLE_KEY,
    ApiProblem,
    from_json,
    from_response,
    from_transport,
)
from streamlit_app.schemas import Answer, Document, DocumentList, Health, Json, Model, PageText
from streamlit_app.sse import read_events

T = TypeVar("T")

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 10.0
#: Above the API's own deadline for a whole answer (``TOTAL_TIMEOUT_S``, 60 by default), so that
#: its apology arrives before we give up on it. Streams are pinged every 15 s.
ANSWER_TIMEOUT_S = 120.0
LIST_LIMIT = 100
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: Header of each provider that takes a visitor's own key.
PROVIDER_KEY_HEADERS = {
    "openrouter": "X-Provider-Key-OpenRouter",
    "groq": "X-Provider-Key-Groq",
    "openai": "X-Provider-Key-OpenAI",
}


@dataclass(frozen=True)
class Question:
    """What is asked and how; ``None`` leaves a choice to the API."""

    text: str
    session_id: str | None = None
    model: str | None = None
    top_k: int = 5
    temperature: float | None = None
    max_tokens: int | None = None
    #: The visitor's own, by provider; they serve this question and are kept nowhere.
    provider_keys: Mapping[str, str] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        return {
            "question": self.text,
            "session_id": self.session_id,
            "stream": True,
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "top_k": self.top_k,
        }

    def headers(self) -> dict[str, str]:
        return {
            PROVIDER_KEY_HEADERS[provider]: _usable(key, "provider key")
            for provider, key in self.provider_keys.items()
        }


@dataclass(frozen=True)
class Delta:
    """More of an answer's text."""

    text: str


@dataclass(frozen=True)
class Restart:
    """The text so far is void: another provider starts over."""


def open_connection(api_url: str) -> httpx.Client:
    """Builds the connection pool; it carries no credential and may be shared by visitors.

    An API on this machine is never asked through a proxy of the environment.
    """
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    try:
        loopback = urlsplit(api_url).hostname in _LOOPBACK
        return httpx.Client(base_url=api_url, timeout=timeout, trust_env=not loopback)
    except (ValueError, httpx.InvalidURL) as error:
        detail = f"DOCENT_API_URL is {api_url}, which is not an address."
        raise ApiProblem("The API cannot be reached", detail, UNREACHABLE) from error


class ApiClient:
    """The routes the demo uses, for one API key or access token; cheap to make."""

    def __init__(self, connection: httpx.Client, *, api_key: str | None) -> None:
        self._connection = connection
        self._api_key = api_key

    def answer_events(self, question: Question) -> Iterator[Delta | Restart | Answer]:
        """Asks; yields text as it is written, and last of all the answer, exactly once."""
        events = self._stream(
            "POST", "/api/v1/chat", json=question.to_json(), headers=question.headers()
        )
        for name, data in events:
            if name == "delta":
                yield Delta(str(data.get("text") or ""))
            elif name == "reset":
                yield Restart()
            elif name == "error":
                raise from_json(data)
            elif name == "done":
                yield _parsed(data, Answer.from_json)
                return
        raise ApiProblem("The answer was cut off", "The API ended it halfway.", INTERRUPTED)

    def give_feedback(self, answer_id: str, *, score: int, comment: str | None = None) -> None:
        """Says whether an answer was good (1) or not (-1); a second opinion replaces the first."""
        body = {"score": score, "comment": comment}
        self._send("POST", f"/api/v1/answers/{_part(answer_id)}/feedback", json=body)

    def forget_session(self, session_id: str) -> None:
        """Has the API forget a conversation."""
        self._send("DELETE", f"/api/v1/sessions/{_part(session_id)}")

    def models(self) -> tuple[Model, ...]:
        return self._items("/api/v1/models", Model.from_json)

    def limits(self) -> tuple[Limit, ...]:
        """How far the caller's limits are used up; asking costs none of them."""
        response = self._send("GET", "/api/v1/rate-limit/status")
        return _read(response, lambda body: tuple(map(Limit.from_json, body["limits"])))

    def me(self) -> Me:
        return _read(self._send("GET", "/api/v1/me"), Me.from_json)

    def documents(self, *, include_deleted: bool = False) -> DocumentList:
        """Lists the first ``LIST_LIMIT`` documents."""
        params = {"limit": LIST_LIMIT, "include_deleted": include_deleted}
        return _read(self._send("GET", "/api/v1/docs", params=params), DocumentList.from_json)

    def upload(self, name: str, content: bytes, *, tags: Sequence[str] = ()) -> Accepted:
        """Sends a new file to be read."""
        files, data = {"file": (name, content)}, {"tags": list(tags)}
        response = self._send("POST", "/api/v1/docs", files=files, data=data)
        return _read(response, Accepted.from_json)

    def replace(self, document_id: str, name: str, content: bytes) -> Accepted:
        """Sends a document's next version."""
        path = f"/api/v1/docs/{_part(document_id)}"
        return _read(self._send("PUT", path, files={"file": (name, content)}), Accepted.from_json)

    def job_events(self, job_id: str) -> Iterator[Job]:
        """How a job goes on, until it has ended; the last one tells how."""
        for _, data in self._stream("GET", f"/api/v1/jobs/{_part(job_id)}/events"):
            yield _parsed(data, Job.from_json)

    def delete(self, document_id: str) -> Mapping[str, int]:
        """Deletes a document; how much was removed of each kind."""
        response = self._send("DELETE", f"/api/v1/docs/{_part(document_id)}")
        return _read(response, lambda body: {k: int(n) for k, n in body["removed"].items()})

    def restore(self, document_id: str) -> Document:
        response = self._send("POST", f"/api/v1/docs/{_part(document_id)}/restore")
        return _read(response, Document.from_json)

    def versions(self, document_id: str) -> tuple[Version, ...]:
        return self._items(f"/api/v1/docs/{_part(document_id)}/versions", Version.from_json)

    def activate(self, document_id: str, version: int) -> Document:
        """Has the API answer from this version from now on."""
        path = f"/api/v1/docs/{_part(document_id)}/versions/{version}/activate"
        return _read(self._send("POST", path), Document.from_json)

    def page(self, document_id: str, number: int, *, version: int) -> PageText:
        """Fetches the text of one page; ``number`` counts from 1."""
        path = f"/api/v1/docs/{_part(document_id)}/pages/{number}"
        response = self._send("GET", path, params={"version": version})
        return _read(response, PageText.from_json)

    def page_image(
        self, document_id: str, number: int, *, version: int, highlight: str | None = None
    ) -> bytes:
        """Fetches one page as a PNG, with the quotes of the answer ``highlight`` marked."""
        path = f"/api/v1/docs/{_part(document_id)}/pages/{number}/image"
        params: dict[str, Any] = {"version": version}
        if highlight:
            params["highlight"] = highlight
        return self._send("GET", path, params=params).content

    def analytics(self, days: int) -> Report:
        """What was asked in the last ``days`` days, and how it went; for administrators."""
        response = self._send("GET", "/api/v1/admin/analytics", params={"days": days})
        return _read(response, Report.from_json)

    def health(self) -> Health:
        """Needs no key. A 503 that still tells its checks is an answer, not a problem."""
        try:
            response = self._connection.get("/health")
        except httpx.HTTPError as error:
            raise from_transport(error, str(self._connection.base_url)) from error
        ill_but_telling = (
            response.status_code == httpx.codes.SERVICE_UNAVAILABLE and '"checks"' in response.text
        )
        if not response.is_success and not ill_but_telling:
            raise from_response(response)
        return _read(response, Health.from_json)

    def _items(self, path: str, parse: Callable[[Json], T]) -> tuple[T, ...]:
        return _read(self._send("GET", path), lambda body: tuple(map(parse, body["items"])))

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        try:
            response = self._connection.request(method, path, headers=self._credential(), **options)
        except httpx.HTTPError as error:
            raise from_transport(error, str(self._connection.base_url)) from error
        if not response.is_success:
            raise from_response(response)
        return response

    def _stream(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        sent = {**self._credential(), **(headers or {}), "Accept": "text/event-stream"}
        timeout = httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        try:
            with self._connection.stream(
                method, path, json=json, headers=sent, timeout=timeout
            ) as response:
                if not response.is_success:
                    response.read()
                    raise from_response(response)
                yield from read_events(response.iter_lines())
        except httpx.HTTPError as error:
            raise from_transport(error, str(self._connection.base_url)) from error
        except ValueError as error:
            raise _malformed() from error

    def _credential(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {_usable(self._api_key or '', 'API key')}"}


def _usable(key: str, what: str) -> str:
    """Refuses what cannot travel in a header, such as a key pasted with a line break."""
    if not key or not key.isascii() or not key.isprintable():
        detail = "A key is one line of letters, digits and dashes."
        raise ApiProblem(f"This {what} cannot be right", detail, UNUSABLE_KEY)
    return key


def _part(of_path: str) -> str:
    return quote(of_path, safe="")


def _read(response: httpx.Response, parse: Callable[[Json], T]) -> T:
    try:
        body = response.json()
    except ValueError as error:
        raise _malformed(response) from error
    return _parsed(body, parse, response)


def _parsed(body: Json, parse: Callable[[Json], T], response: httpx.Response | None = None) -> T:
    try:
        return parse(body)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _malformed(response) from error


def _malformed(response: httpx.Response | None = None) -> ApiProblem:
    return ApiProblem(
        "The API's answer could not be read",
        "It is not what the contract promises; is this a Docent of the same version?",
        MALFORMED,
        status=0 if response is None else response.status_code,
        trace_id=None if response is None else response.headers.get("X-Request-ID"),
    )
