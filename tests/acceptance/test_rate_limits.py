"""Every answer says what is left; what is over a limit is refused and says until when."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from websockets.sync.client import connect

from app.auth.keys import create_key
from tests.acceptance.conftest import Api, serving
from tests.acceptance.test_refusals import check_problem
from tests.acceptance.test_streaming import Fake, fake, until  # noqa: F401 - a fixture
from tests.conftest import SECRET, FreshDatabase

STATUS = "/api/v1/rate-limit/status"


@pytest.fixture(scope="module")
def limited(
    samples_ingested: FreshDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, FreshDatabase]]:
    home = tmp_path_factory.mktemp("limited")
    with serving(samples_ingested, home, KEY_REQUESTS_PER_MINUTE="3") as (url, _):
        yield url, samples_ingested


@pytest.fixture
def client(limited: tuple[str, FreshDatabase]) -> Iterator[httpx.Client]:
    url, database = limited
    key = create_key(database.database_url, SECRET.encode(), tenant="default", name="limited")
    with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=60) as client:
        yield client


def test_the_headers_count_down_to_a_refusal(client: httpx.Client) -> None:
    for left in (2, 1, 0):
        reply = client.get("/api/v1/models")
        assert reply.status_code == 200
        assert reply.headers["x-ratelimit-limit"] == "3"
        assert reply.headers["x-ratelimit-remaining"] == str(left)
        assert 0 < int(reply.headers["x-ratelimit-reset"]) <= 60
    refused = client.post("/api/v1/chat", json={"question": "?"})
    problem = check_problem(refused, 429, "rate_limited")
    assert problem["retryable"] is True
    assert problem["limit"] == "key_per_minute"
    assert refused.headers["retry-after"] == str(problem["retry_after_s"])
    assert f"resets in {problem['retry_after_s']} s" in problem["detail"]
    assert refused.headers["x-ratelimit-remaining"] == "0"


def test_who_is_refused_cannot_hide_behind_a_header(client: httpx.Client) -> None:
    replies = [
        client.get("/api/v1/models", headers={"X-Forwarded-For": f"198.51.100.{number}"})
        for number in range(5)
    ]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 429, 429]


def test_looking_costs_nothing(client: httpx.Client) -> None:
    client.get("/api/v1/models")
    for _ in range(5):
        reply = client.get(STATUS)
        assert reply.status_code == 200
    [limit] = [limit for limit in reply.json()["limits"] if limit["name"] == "key_per_minute"]
    assert set(limit) == {"name", "per", "limit", "remaining", "window_s", "reset_at"}
    assert (limit["per"], limit["limit"], limit["remaining"]) == ("key", 3, 2)
    left = datetime.fromisoformat(limit["reset_at"]) - datetime.now(UTC)
    assert 0 < left.total_seconds() <= 60


def test_what_is_said_on_a_websocket_counts_as_requests_do(client: httpx.Client) -> None:
    address = str(client.base_url).replace("http", "ws").rstrip("/") + "/ws"
    with connect(address, additional_headers={"X-API-Key": client.headers["X-API-Key"]}) as socket:
        said = []
        for _ in range(4):
            socket.send('{"action": "status", "document_id": "doc_missing"}')
            said.append(json.loads(socket.recv(timeout=20))["code"])
        assert said == ["document_not_found"] * 3 + ["rate_limited"]
        socket.send('{"action": "ping"}')
        assert json.loads(socket.recv(timeout=20)) == {"type": "pong"}
    assert client.get("/api/v1/models").status_code == 429


def test_probes_and_strangers_are_not_counted(limited: tuple[str, FreshDatabase]) -> None:
    for path, status in (("/livez", 200), ("/api/v1/models", 401)):
        reply = httpx.get(f"{limited[0]}{path}")
        assert reply.status_code == status
        assert "x-ratelimit-limit" not in reply.headers


def test_every_answer_of_the_ordinary_api_says_what_is_left(api: Api) -> None:
    with api.client() as client:
        for reply in (
            client.get("/api/v1/docs"),
            client.get("/api/v1/docs/doc_missing"),
            client.post("/api/v1/chat", json={}),
            client.post("/api/v1/chat", json={"question": "Files?", "stream": True}),
            client.post("/api/v1/chat", content=b"x" * 2_000_000),
            client.post("/v1/chat/completions", json={}),
            client.get("/nothing"),
            client.get(STATUS),
        ):
            assert int(reply.headers["x-ratelimit-remaining"]) > 0


def test_so_many_questions_at_once_and_no_more(
    samples_ingested: FreshDatabase,
    fake: Fake,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home, database = tmp_path_factory.mktemp("crowded"), samples_ingested
    key = create_key(database.database_url, SECRET.encode(), tenant="default", name="crowd")
    settings = {"LOCAL_LLM_BASE_URL": fake.url, "PROVIDER_ORDER": "local"}
    fake.behave("slow_first_token:60")
    with (
        serving(database, home, TENANT_QUESTIONS_AT_ONCE="1", **settings) as (url, _),
        httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=60) as client,
    ):
        question = {"question": "How many sub seconds are there per second?", "stream": True}
        with client.stream("POST", "/api/v1/chat", json=question) as first:
            assert first.status_code == 200
            refused = client.post("/api/v1/chat", json=question)
            problem = check_problem(refused, 429, "rate_limited")
            assert problem["limit"] == "tenant_at_once"
            assert refused.headers["retry-after"] == "1"
            assert client.get("/api/v1/models").status_code == 200, "no question"
        until(lambda: client.post("/api/v1/retrieve", json={"question": "a packet"}).is_success)
