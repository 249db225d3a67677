"""Retries, problems and streams of the client, over a transport that answers from a list."""

import httpx
import pytest

from docent_client.client import ApiClient
from docent_client.line import open_connection, read_events
from docent_client.problems import (
    INTERRUPTED,
    MALFORMED,
    TIMED_OUT,
    UNREACHABLE,
    UNUSABLE_KEY,
    ApiProblem,
)
from docent_client.schemas import Answer, Citation, Delta, Question, Reset

ANSWER = {"session_id": "ses_1", "answer": "Ten [1].", "status": "complete", "citations": []}
BUSY = {"title": "Too Many Requests", "status": 429, "code": "rate_limited", "retryable": True}


class Server:
    """Gives ``replies`` in order, an exception by raising it; remembers requests and sleeps."""

    def __init__(self, *replies: httpx.Response | Exception) -> None:
        self.replies = list(replies)
        self.requests: list[httpx.Request] = []
        self.slept: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def client(self, key: str | None = "dk_1", retries: int = 2) -> ApiClient:
        connection = httpx.Client(transport=httpx.MockTransport(self), base_url="http://docent")
        return ApiClient(connection, api_key=key, retries=retries, sleep=self.slept.append)


def busy(retry_after: str | None = "7") -> httpx.Response:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return httpx.Response(429, json=BUSY, headers=headers)


def events(*told: str) -> httpx.Response:
    return httpx.Response(200, text="".join(f"{one}\n\n" for one in told))


def test_it_waits_as_long_as_it_is_told_and_sends_the_same_again() -> None:
    server = Server(busy(), busy(None), httpx.Response(200, json=ANSWER))
    assert server.client().ask(Question("How many?")).text == "Ten [1]."
    assert server.slept == [7.0, 1.0]
    keys = {request.headers["Idempotency-Key"] for request in server.requests}
    assert len(keys) == 1, "one question, however often it is sent"
    assert len({request.content for request in server.requests}) == 1


def test_an_upload_is_sent_whole_again() -> None:
    shape = {"document": {"id": "doc_1", "title": "a", "status": "ready", "version": 1}}
    server = Server(httpx.ReadError("reset"), httpx.Response(200, json={**shape, "job": None}))
    assert server.client().upload("../up/a.txt", b"words", tags=["x", "y"]).job is None
    first, second = (request.read() for request in server.requests)
    assert first.partition(b"\r\n")[2] != b""
    assert b"words" in second
    assert b'filename="a.txt"' in second
    assert second.count(b'name="tags"') == 2


@pytest.mark.parametrize("retry_after", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_a_long_wait_is_reported_instead(retry_after: str) -> None:
    server = Server(busy(retry_after))
    with pytest.raises(ApiProblem) as caught:
        server.client().ask(Question("How many?"))
    assert (caught.value.code, caught.value.status) == ("rate_limited", 429)
    assert (caught.value.retry_after_s or 0) >= 3600
    assert server.slept == []


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (httpx.Response(401, json={"code": "not_authenticated"}), "not_authenticated"),
        (httpx.Response(404, json={"code": "document_not_found"}), "document_not_found"),
        (httpx.Response(502, text="<html>"), "http_502"),
        (httpx.Response(500, json=["not", "an", "object"]), "http_500"),
        (httpx.Response(200, text="<html>"), MALFORMED),
        (httpx.Response(200, json={"items": None}), MALFORMED),
        (httpx.Response(200, json={"items": [{"id": 7}]}), MALFORMED),
    ],
)
def test_what_no_second_try_helps_is_a_problem_at_once(reply: httpx.Response, code: str) -> None:
    server = Server(reply)
    with pytest.raises(ApiProblem) as caught:
        server.client().models()
    assert caught.value.code == code
    assert server.slept == []


def test_a_post_without_a_key_of_its_own_is_not_sent_twice() -> None:
    server = Server(httpx.ReadTimeout("slow"))
    with pytest.raises(ApiProblem) as caught:
        server.client().create_key("night", ["chat"])
    assert caught.value.code == TIMED_OUT
    lost = Server(*[httpx.ConnectError("refused")] * 3)
    with pytest.raises(ApiProblem) as caught:
        lost.client().models()
    assert caught.value.code == UNREACHABLE
    assert len(lost.requests) == 3


@pytest.mark.parametrize("key", [None, "", "dk_1\n", "schlüssel"])
def test_a_key_that_cannot_travel_is_refused_here(key: str | None) -> None:
    server = Server()
    with pytest.raises(ApiProblem) as caught:
        server.client(key).models()
    assert caught.value.code == UNUSABLE_KEY
    assert caught.value.is_about_the_key


META = 'event: meta\ndata: {"answer_id": "ans_1"}\nid: 1'
CITED = (
    'id: 3\nevent: citation\ndata: {"marker": 1, "document_id": "d", "version": 1, "title": "t", '
    '"page": 2, "quote": "q", "start": 0, "end": 1, "verified": true}'
)
DONE = 'id: 4\nevent: done\ndata: {"session_id": "s", "answer": "Ten [1].", "new": 1}'


def test_a_stream_that_breaks_is_taken_up_where_it_was() -> None:
    server = Server(
        events(META, ": ping", 'id: 2\nevent: delta\ndata: {"text": "Ten"}'),
        httpx.ConnectError("still away"),
        events('id: 2\nevent: reset\ndata: {"reason": "cut"}', CITED, DONE),
    )
    [said, again, cited, answer] = server.client(retries=1).stream(Question("How many?"))
    assert said == Delta("Ten")
    assert again == Reset("cut")
    assert isinstance(cited, Citation)
    assert isinstance(answer, Answer)
    assert (cited.page, answer.text) == (2, "Ten [1].")
    assert [request.url.path for request in server.requests] == [
        "/api/v1/chat",
        "/api/v1/answers/ans_1/events",
        "/api/v1/answers/ans_1/events",
    ]
    assert [request.headers.get("Last-Event-ID") for request in server.requests] == [None, "2", "2"]


def test_a_stream_ends_with_its_error_or_is_said_to_be_cut() -> None:
    refused = 'event: error\ndata: {"status": 503, "code": "providers_failed", "title": "No"}'
    with pytest.raises(ApiProblem) as caught:
        list(Server(events(META, refused)).client().stream(Question("How many?")))
    assert (caught.value.status, caught.value.code) == (503, "providers_failed")
    for replies in ([events()], [events(META)] * 4):
        with pytest.raises(ApiProblem) as caught:
            list(Server(*replies).client().stream(Question("How many?")))
        assert caught.value.code == INTERRUPTED


@pytest.mark.parametrize("told", ["event: meta\ndata: {}", 'event: done\ndata: {"answer": "a"}'])
def test_an_event_outside_the_contract_is_a_problem(told: str) -> None:
    with pytest.raises(ApiProblem) as caught:
        list(Server(events(told)).client().stream(Question("How many?")))
    assert caught.value.code == MALFORMED


@pytest.mark.parametrize("data", ["[1]", "{", "nothing"])
def test_an_event_that_is_no_object_is_a_problem(data: str) -> None:
    with pytest.raises(ApiProblem) as caught:
        list(read_events([f"data: {data}", ""]))
    assert caught.value.code == MALFORMED


def test_an_event_that_was_cut_off_is_none() -> None:
    assert list(read_events([": ping", "", "event: delta", 'data: {"text": "x"}'])) == []


@pytest.mark.parametrize("url", ["http://[", "http://host:port"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ApiProblem, match="not an address"):
        open_connection(url)


def test_a_local_api_is_not_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    with open_connection("http://127.0.0.1:8000") as near, open_connection("http://a.b") as far:
        assert not near.trust_env
        assert far.trust_env
