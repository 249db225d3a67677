"""The cache of answers over HTTP: two processes over one Redis, and a provider that counts."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from app.auth.keys import create_key
from tests.acceptance.conftest import Api, serving, worker  # noqa: F401 - a fixture
from tests.acceptance.test_documents import NINE, TWENTY, finished, ingested
from tests.acceptance.test_streaming import Fake, fake, until  # noqa: F401 - a fixture
from tests.conftest import SECRET

QUESTION = "How many packets does the downlink send in each second?"


@dataclass
class Pair:
    """Two API processes, each as another worker is, and the provider behind both."""

    clients: tuple[httpx.Client, httpx.Client]
    provider: Fake

    def ask(self, which: int = 0, **more: object) -> dict:
        reply = self.clients[which].post("/api/v1/chat", json={"question": QUESTION, **more})
        assert reply.status_code == 200, reply.text
        return reply.json()


@pytest.fixture(scope="module")
def urls(
    api: Api,
    fake: Fake,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, str, Fake]]:
    settings = {
        "ANSWER_CACHE_TTL_S": "600",
        "PROVIDER_ORDER": "local,extractive",
        "LOCAL_LLM_BASE_URL": fake.url,
        "COOLDOWN_S": "0.001",
    }
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    with (
        serving(api.database, first, **settings) as (one, _),
        serving(api.database, second, **settings) as (two, _),
    ):
        for url in (one, two):
            httpx.get(f"{url}/livez", timeout=180).raise_for_status()
        yield one, two, fake


@pytest.fixture
def pair(
    urls: tuple[str, str, Fake],
    new_key: str,
    worker: None,  # noqa: F811
) -> Iterator[Pair]:
    """Both, for a tenant that has no documents yet."""
    one, two, provider = urls
    provider.behave("cited:30:4")
    headers = {"X-API-Key": new_key}
    with (
        httpx.Client(base_url=one, headers=headers, timeout=60) as first,
        httpx.Client(base_url=two, headers=headers, timeout=60) as second,
    ):
        yield Pair((first, second), provider)


def test_the_same_question_is_answered_once(pair: Pair) -> None:
    ingested(pair.clients[0], NINE)
    first = pair.ask(0)
    assert (first["status"], first["cached"], first["provider"]) == ("complete", None, "local")
    again = pair.ask(1, question=f"  {QUESTION.upper()} ")
    assert len(pair.provider.calls()) == 1
    assert (again["cached"], again["attempts"]) == ("exact", [])
    assert again["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "cost_usd": 0.0}
    for name in ("answer", "citations", "provider", "model", "status"):
        assert again[name] == first[name], name
    assert again["answer_id"] != first["answer_id"]
    assert again["session_id"] != first["session_id"]
    record = pair.clients[0].get(f"/api/v1/answers/{again['answer_id']}").json()
    assert (record["cached"], len(record["candidates"])) == ("exact", 3)
    [turn] = pair.clients[0].get(f"/api/v1/sessions/{again['session_id']}").json()["turns"]
    assert turn["answer"] == first["answer"]


def test_a_summary_of_a_document_is_kept_until_the_document_changes(pair: Pair) -> None:
    document_id = ingested(pair.clients[0], NINE)["id"]
    asked = [pair.ask(number, question="Summarise the document") for number in (0, 1)]
    assert [answer["cached"] for answer in asked] == [None, "exact"]
    for answer in asked:
        record = pair.clients[0].get(f"/api/v1/answers/{answer['answer_id']}").json()
        assert record["whole_document"]["document_id"] == document_id
    pair.clients[0].delete(f"/api/v1/docs/{document_id}").raise_for_status()
    after = pair.ask(1, question="Summarise the document")
    assert (after["status"], after["cached"]) == ("abstained", None)


def test_a_question_in_other_words_gets_the_same_answer(pair: Pair) -> None:
    """By another process; one that nearly asks the same does not, and no change serves it."""
    one, two = pair.clients
    document = ingested(one, NINE)
    first = pair.ask(0)
    asked = "How many packets does the downlink send each second?"
    again = pair.ask(1, question=asked)
    assert len(pair.provider.calls()) == 1
    assert (again["cached"], again["attempts"], again["usage"]["cost_usd"]) == ("semantic", [], 0)
    for name in ("answer", "citations", "provider", "model", "status"):
        assert again[name] == first[name], name
    record = two.get(f"/api/v1/answers/{again['answer_id']}").json()
    assert (record["cached"], record["made_for"]) == ("semantic", QUESTION)
    assert (record["question"], record["rephrased"]) == (asked, None)
    assert "made_for" not in again
    assert one.get(f"/api/v1/answers/{first['answer_id']}").json()["made_for"] is None
    for near in (
        "How many packets does the uplink send each second?",
        "How many packets does the downlink send each minute?",
        "How many packets does the downlink not send each second?",
        "Why does the downlink send packets each second?",
    ):
        assert pair.ask(1, question=near)["cached"] is None, near
    for more in ({"temperature": 0.5}, {"top_k": 2}, {"filters": {"tags": ["none"]}}):
        assert pair.ask(1, question=asked, **more)["cached"] is None, more
    assert pair.ask(1, question=asked, session_id="s")["cached"] == "semantic", "the first turn"
    assert pair.ask(1, question=asked, session_id="s")["cached"] is None, "within a conversation"
    one.patch(f"/api/v1/docs/{document['id']}", json={"title": "Other"}).raise_for_status()
    assert pair.ask(1, question=asked)["citations"][0]["title"] == "Other"


def test_abstentions_and_other_tenants_are_no_neighbours(pair: Pair, api: Api) -> None:
    ingested(pair.clients[0], NINE)
    lost = "Who won the football cup of Norway in 1998?"
    assert pair.ask(0, question=lost, model="extractive")["status"] == "abstained"
    same = "In 1998, who won the football cup of Norway?"
    assert pair.ask(0, question=same, model="extractive")["cached"] is None
    pair.ask(0)
    asked = "How many packets does the downlink send each second?"
    url = str(pair.clients[0].base_url)
    with httpx.Client(base_url=url, headers={"X-API-Key": api.key}, timeout=60) as other:
        assert other.post("/api/v1/chat", json={"question": asked}).json()["cached"] is None
    assert pair.ask(0, question=asked)["cached"] == "semantic"


def test_a_stream_of_a_kept_answer_tells_it_whole(pair: Pair) -> None:
    ingested(pair.clients[0], NINE)
    first = pair.ask(0)
    raw = pair.clients[1].post("/api/v1/chat", json={"question": QUESTION, "stream": True}).text
    events = [
        (block.split("event: ")[1].split("\n")[0], json.loads(block.split("data: ")[1]))
        for block in raw.strip().split("\n\n")
    ]
    names = [name for name, _ in events]
    assert names[:3] == ["meta", "sources", "delta"]
    assert names[-1] == "done"
    done = events[-1][1]
    assert done["cached"] == "exact"
    assert "".join(d["text"] for n, d in events if n == "delta") == done["answer"]
    assert [d for n, d in events if n == "citation"] == done["citations"] == first["citations"]
    assert done["answer_id"] == events[0][1]["answer_id"]


def test_no_change_serves_an_old_answer(pair: Pair) -> None:
    """After each change, on the worker that did not make it: the very next request."""
    one = pair.clients[0]
    document = ingested(one, NINE, data={"title": "The Book", "tags": ["a"]})
    path = f"/api/v1/docs/{document['id']}"

    def asked(**more: object) -> dict:
        """Asked twice, so that the second comes from what is kept."""
        fresh = pair.ask(1, **more)
        assert fresh["cached"] is None
        if fresh["status"] == "complete":
            assert pair.ask(0, **more)["cached"] == "exact"
        return fresh

    assert asked()["citations"][0]["title"] == "The Book"
    one.patch(path, json={"title": "The Other Book"}).raise_for_status()
    assert asked()["citations"][0]["title"] == "The Other Book"
    assert asked(filters={"tags": ["a"]})["citations"]
    one.patch(path, json={"tags": ["b"]}).raise_for_status()
    assert asked(filters={"tags": ["a"]})["status"] == "abstained"
    assert asked(filters={"tags": ["b"]})["citations"]
    one.patch("/api/v1/docs/tags/b", json={"name": "c"}).raise_for_status()
    assert asked(filters={"tags": ["b"]})["status"] == "abstained"
    replaced = one.put(path, files={"file": ("b.pdf", TWENTY)})
    assert finished(one, replaced.json()["job"])["status"] == "succeeded"
    assert asked()["citations"][0]["version"] == 2
    one.post(f"{path}/versions/1/activate").raise_for_status()
    assert asked()["citations"][0]["version"] == 1
    assert one.delete(path).json()["removed"]["cache_entries"] >= 1
    gone = pair.ask(1)
    assert (gone["status"], gone["cached"], gone["citations"]) == ("abstained", None, [])
    one.post(f"{path}/restore").raise_for_status()
    assert pair.ask(1)["citations"][0]["version"] == 1


def test_what_is_not_kept(pair: Pair) -> None:
    ingested(pair.clients[0], NINE)
    pair.ask(0, session_id="s")
    assert pair.ask(0, session_id="s")["cached"] is None, "within a conversation"
    for more in ({"temperature": 0.5}, {"max_tokens": 50}, {"top_k": 2}, {"model": "local"}):
        assert pair.ask(0, **more)["cached"] is None, more
        assert pair.ask(1, **more)["cached"] == "exact", more
    for _ in range(2):
        assert (
            pair.ask(0, question="Who won the cup in 1998?", model="extractive")["cached"] is None
        )
        late = pair.ask(0, as_of="2999-01-01T00:00:00Z")
        assert late["cached"] is None
    brought = {"X-Provider-Key-Groq": "key-of-the-caller"}
    for client in pair.clients:
        reply = client.post("/api/v1/chat", json={"question": QUESTION}, headers=brought)
        assert reply.json()["cached"] is None, "with a key of one's own"
    pair.provider.behave("status:500")
    for _ in range(2):
        fallen = pair.ask(0, question="And how many packets are sent?")
        assert (fallen["provider"], fallen["cached"]) == ("extractive", None)


def test_a_crowd_is_answered_once(pair: Pair) -> None:
    ingested(pair.clients[0], NINE)
    pair.provider.behave("drip:30:0.02")
    with ThreadPoolExecutor(40) as crowd:
        answers = list(crowd.map(lambda n: pair.ask(n % 2), range(80)))
    assert len(pair.provider.calls()) == 1
    assert len({answer["answer"] for answer in answers}) == 1
    assert len({answer["answer_id"] for answer in answers}) == 80
    assert sum(answer["cached"] is None for answer in answers) == 1


def test_whoever_asked_first_may_leave(pair: Pair) -> None:
    ingested(pair.clients[0], NINE)
    pair.provider.behave("drip:40:0.05")
    with ThreadPoolExecutor(2) as others:
        with pair.clients[0].stream(
            "POST", "/api/v1/chat", json={"question": QUESTION, "stream": True}
        ) as first:
            lines = first.iter_lines()
            while not next(lines).startswith("event: delta"):
                pass
            waiting = [others.submit(pair.ask, which) for which in (0, 1)]
            until(lambda: len(pair.provider.calls()) == 1)
        answers = [one.result() for one in waiting]
    assert {answer["status"] for answer in answers} == {"complete"}
    assert len({answer["answer"] for answer in answers}) == 1


def test_an_admin_may_clear_it(api: Api, pair: Pair, new_key: str) -> None:
    ingested(pair.clients[0], NINE)
    pair.ask(0)
    assert pair.ask(0)["cached"] == "exact"
    reply = pair.clients[1].delete("/api/v1/admin/cache")
    assert (reply.status_code, reply.json()) == (200, {"removed": 1})
    assert pair.ask(0)["cached"] is None
    with api.client() as other:
        other.delete("/api/v1/admin/cache").raise_for_status()
    assert pair.ask(1)["cached"] == "exact"
    plain = create_key(
        api.database.database_url, SECRET.encode(), tenant="default", name="t", scopes=["chat"]
    )
    assert (
        httpx.delete(f"{api.url}/api/v1/admin/cache", headers={"X-API-Key": plain}).status_code
        == 403
    )
