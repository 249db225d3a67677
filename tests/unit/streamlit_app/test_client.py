import httpx
import pytest

from streamlit_app.client import ApiClient, Question, open_connection
from streamlit_app.problems import (
    INTERRUPTED,
    MALFORMED,
    TIMED_OUT,
    UNREACHABLE,
    UNUSABLE_KEY,
    ApiProblem,
)
from streamlit_app.schemas import Answer
from tests.unit.streamlit_app import canned
from tests.unit.streamlit_app.fake_api import FakeApi


def ask(client: ApiClient, question: Question) -> Answer:
    """The answer itself, which comes last."""
    *_, answer = client.answer_events(question)
    assert isinstance(answer, Answer)
    return answer


def test_ask_sends_the_contract_and_reads_the_answer(client: ApiClient, fake: FakeApi) -> None:
    answer = ask(client, Question("What?", session_id="ses_7", model="groq", temperature=0.2))
    assert fake.chats == [
        {
            "question": "What?",
            "session_id": "ses_7",
            "stream": True,
            "model": "groq",
            "temperature": 0.2,
            "max_tokens": None,
            "top_k": 5,
        }
    ]
    assert (answer.session_id, answer.status, answer.trace_id) == (
        "ses_7",
        "complete",
        canned.TRACE_ID,
    )
    first = answer.citations[0]
    assert (first.marker, first.page, first.quote, first.tags) == (
        1,
        39,
        canned.RESET_QUOTE,
        ("cFS", "data storage"),
    )
    assert canned.RESET_PAGE[first.start : first.end] == first.quote


def test_reads_documents_models_pages_and_health(client: ApiClient, fake: FakeApi) -> None:
    fake.documents.append(
        canned.document(
            "doc_x", "", "x.pdf", status="failed", page_count=None, error={"detail": "encrypted"}
        )
    )
    documents = client.documents()
    assert [item.title for item in documents.items][1:] == ["OSAL Configuration Guide", "x.pdf"]
    assert (documents.items[2].error, documents.items[2].page_count) == ("encrypted", None)
    assert [item.available for item in client.models()] == [False, False, True]
    assert client.page(canned.GUIDE, 39, version=1).text == canned.RESET_PAGE
    assert client.health().failing == ()


def test_an_id_cannot_leave_its_place_in_the_path(client: ApiClient, fake: FakeApi) -> None:
    with pytest.raises(ApiProblem) as caught:
        client.page("../models?x=", 1, version=1)
    assert caught.value.status == 404
    assert fake.paths == ["/api/v1/docs/..%2Fmodels%3Fx%3D/pages/1?version=1"]


def test_a_sick_api_still_tells_what_is_wrong(client: ApiClient, fake: FakeApi) -> None:
    checks = {"postgres": {"status": "down"}, "redis": {"ok": True}, "index": True}
    fake.health = (503, {"status": "degraded", "version": "0.1.0", "checks": checks})
    health = client.health()
    assert (health.status, health.failing) == ("degraded", ("postgres",))
    fake.health = (503, canned.DOWN)
    with pytest.raises(ApiProblem, match="database does not answer"):
        client.health()


@pytest.mark.parametrize("found", [canned.INVALID, canned.LIMITED, canned.DOWN, canned.BROKEN])
def test_problems_are_typed(client: ApiClient, fake: FakeApi, found: dict[str, object]) -> None:
    fake.next_problems = [found]
    with pytest.raises(ApiProblem) as caught:
        ask(client, Question("x"))
    assert (caught.value.status, caught.value.code) == (found["status"], found["code"])


def test_a_wrong_key_is_about_the_key(connection: httpx.Client) -> None:
    with pytest.raises(ApiProblem) as caught:
        ApiClient(connection, api_key="other").documents()
    assert caught.value.is_about_the_key


@pytest.mark.parametrize("key", [None, "", "schlüssel", "two\nlines", "bell\x07"])
def test_a_key_that_cannot_travel_is_never_sent(
    connection: httpx.Client, fake: FakeApi, key: str | None
) -> None:
    with pytest.raises(ApiProblem) as caught:
        ApiClient(connection, api_key=key).documents()
    assert caught.value.code == UNUSABLE_KEY
    assert caught.value.is_about_the_key
    assert not fake.paths


@pytest.mark.parametrize(
    "raw", [b"event: done\ndata: []\n\n", b"data: {\n\n", b'event: done\ndata: {"answer": "a"}\n\n']
)
def test_a_body_outside_the_contract_is_a_problem(
    client: ApiClient, fake: FakeApi, raw: bytes
) -> None:
    fake.raw_chat = raw
    with pytest.raises(ApiProblem) as caught:
        ask(client, Question("x"))
    assert caught.value.code == MALFORMED


@pytest.mark.parametrize("raw", [b"", b'event: delta\ndata: {"text": "half"}\n\n'])
def test_an_answer_that_ends_halfway_is_never_taken_for_whole(
    client: ApiClient, fake: FakeApi, raw: bytes
) -> None:
    fake.raw_chat = raw
    with pytest.raises(ApiProblem) as caught:
        ask(client, Question("x"))
    assert caught.value.code == INTERRUPTED


def test_a_problem_may_be_the_last_event(client: ApiClient, fake: FakeApi) -> None:
    fake.raw_chat = canned.stream([("delta", {"text": "half"}), ("error", canned.DOWN)])
    with pytest.raises(ApiProblem) as caught:
        ask(client, Question("x"))
    assert (caught.value.status, caught.value.code) == (503, canned.DOWN["code"])


def test_own_keys_travel_with_the_question_alone(client: ApiClient, fake: FakeApi) -> None:
    question = Question("x", provider_keys={"groq": "gsk_mine"})
    ask(client, question)
    assert fake.provider_keys == {"X-Provider-Key-Groq": "gsk_mine"}
    assert "gsk_mine" not in f"{question!r}{fake.chats}{fake.requests}"
    with pytest.raises(ApiProblem) as caught:
        ask(client, Question("x", provider_keys={"groq": "two\nlines"}))
    assert caught.value.code == UNUSABLE_KEY
    assert len(fake.chats) == 1


def test_nobody_listening() -> None:
    with open_connection("http://127.0.0.1:9") as connection:
        client = ApiClient(connection, api_key="k")
        for call in (client.health, client.models):
            with pytest.raises(ApiProblem) as caught:
                call()
            assert caught.value.code == UNREACHABLE


def test_an_api_that_hangs_is_given_up_on() -> None:
    def hang(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow", request=request)

    with httpx.Client(transport=httpx.MockTransport(hang), base_url="http://api") as connection:
        with pytest.raises(ApiProblem) as caught:
            ask(ApiClient(connection, api_key="k"), Question("x"))
        assert caught.value.code == TIMED_OUT


@pytest.mark.parametrize("url", ["http://[", "http://host:port"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ApiProblem, match="not an address"):
        open_connection(url)


def test_a_local_api_is_not_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    with open_connection("http://127.0.0.1:8000") as near, open_connection("http://a.b") as far:
        assert not near.trust_env
        assert far.trust_env
