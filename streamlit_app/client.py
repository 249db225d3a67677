"""A small typed client for the native API; every failure is an ``ApiProblem``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx

from streamlit_app.problems import (
    MALFORMED,
    UNREACHABLE,
    UNUSABLE_KEY,
    ApiProblem,
    from_response,
    from_transport,
)
from streamlit_app.schemas import Answer, DocumentList, Health, Json, Model, PageText

T = TypeVar("T")

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 10.0
#: Above the API's own deadline for a whole answer (``TOTAL_TIMEOUT_S``, 60 by default), so that
#: its apology arrives before we give up on it.
ANSWER_TIMEOUT_S = 120.0
LIST_LIMIT = 100
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Question:
    """What is asked and how; ``None`` leaves a choice to the API."""

    text: str
    session_id: str | None = None
    model: str | None = None
    top_k: int = 5
    temperature: float | None = None
    max_tokens: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "question": self.text,
            "session_id": self.session_id,
            "stream": False,
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "top_k": self.top_k,
        }


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
    """The routes the demo uses, for one API key; cheap to make."""

    def __init__(self, connection: httpx.Client, *, api_key: str | None) -> None:
        self._connection = connection
        self._api_key = api_key

    def ask(self, question: Question) -> Answer:
        """Asks and waits for the whole answer."""
        timeout = httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        response = self._send("POST", "/api/v1/chat", json=question.to_json(), timeout=timeout)
        return _read(response, Answer.from_json)

    def models(self) -> tuple[Model, ...]:
        response = self._send("GET", "/api/v1/models")
        return _read(response, lambda body: tuple(map(Model.from_json, body["items"])))

    def documents(self) -> DocumentList:
        """Lists the first ``LIST_LIMIT`` documents."""
        response = self._send("GET", "/api/v1/docs", params={"limit": LIST_LIMIT})
        return _read(response, DocumentList.from_json)

    def page(self, document_id: str, number: int, *, version: int) -> PageText:
        """Fetches the text of one page; ``number`` counts from 1."""
        path = f"/api/v1/docs/{quote(document_id, safe='')}/pages/{number}"
        response = self._send("GET", path, params={"version": version})
        return _read(response, PageText.from_json)

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

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        headers = {"X-API-Key": self._usable_key()}
        try:
            response = self._connection.request(method, path, headers=headers, **options)
        except httpx.HTTPError as error:
            raise from_transport(error, str(self._connection.base_url)) from error
        if not response.is_success:
            raise from_response(response)
        return response

    def _usable_key(self) -> str:
        """Refuses what cannot travel in a header, such as a key pasted with a line break."""
        key = self._api_key or ""
        if not key or not key.isascii() or not key.isprintable():
            detail = "A key is one line of letters, digits and dashes."
            raise ApiProblem("This API key cannot be right", detail, UNUSABLE_KEY)
        return key


def _read(response: httpx.Response, parse: Callable[[Json], T]) -> T:
    try:
        return parse(response.json())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ApiProblem(
            "The API's answer could not be read",
            "It is not what the contract promises; is this a Docent of the same version?",
            MALFORMED,
            status=response.status_code,
            trace_id=response.headers.get("X-Request-ID"),
        ) from error
