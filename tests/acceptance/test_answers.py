"""What an answer's record shows over HTTP, and feedback."""

import httpx

from tests.acceptance.conftest import Api

QUESTION = "What is in the Packet Filter Table?"


def test_an_answer_is_explained_at_once(client: httpx.Client) -> None:
    body = {"question": QUESTION, "top_k": 3, "session_id": "explained"}
    answer = client.post("/api/v1/chat", json=body).json()
    record = client.get(f"/api/v1/answers/{answer['answer_id']}").raise_for_status().json()
    for name in ("answer_id", "session_id", "status", "reason", "provider", "model", "usage"):
        assert record[name] == answer[name], name
    assert (record["question"], record["rephrased"], record["cached"]) == (QUESTION, None, None)
    assert record["filters"] == {"document_ids": [], "tags": [], "as_of": None, "top_k": 3}
    assert len(record["candidates"]) == 3
    cited = {(c["document_id"], c["version"], c["page"]) for c in answer["citations"]}
    shown = {
        (c["document_id"], c["version"], c["page"]) for c in record["candidates"] if c["cited"]
    }
    assert shown == cited
    assert [a["outcome"] for a in record["attempts"]] == [a["outcome"] for a in answer["attempts"]]
    after = client.post("/api/v1/chat", json={**body, "question": "And in the other?"}).json()
    record = client.get(f"/api/v1/answers/{after['answer_id']}").json()
    assert record["rephrased"].startswith("And in the other? (")
    assert record["history_messages"] == 2


def test_streams_and_completions_are_recorded_too(api: Api, client: httpx.Client) -> None:
    events = client.post("/api/v1/chat", json={"question": QUESTION, "stream": True}).text
    answer_id = events.split('"answer_id":"', 1)[1].split('"', 1)[0]
    assert client.get(f"/api/v1/answers/{answer_id}").json()["question"] == QUESTION
    messages = [{"role": "user", "content": QUESTION}]
    completion = client.post("/v1/chat/completions", json={"messages": messages}).json()
    assert client.get(f"/api/v1/answers/{completion['id']}").json()["question"] == QUESTION
    with api.client(api.other_key) as other:
        reply = other.get(f"/api/v1/answers/{answer_id}")
    assert (reply.status_code, reply.json()["code"]) == (404, "answer_not_found")


def test_a_slip_of_the_fingers_costs_no_answer(client: httpx.Client) -> None:
    typed = "Waht hapens to all open files on a procesor reset?"
    answer = client.post("/api/v1/chat", json={"question": typed}).json()
    assert (answer["status"], answer["provider"]) == ("complete", "extractive")
    assert "On processor reset" in answer["answer"]
    record = client.get(f"/api/v1/answers/{answer['answer_id']}").json()
    assert record["question"] == typed
    name = client.post("/api/v1/chat", json={"question": "What does Micrsoft do on a reset?"})
    assert name.json()["status"] == "abstained"


def test_an_answer_is_judged(api: Api, client: httpx.Client) -> None:
    answer = client.post("/api/v1/chat", json={"question": QUESTION}).json()
    path = f"/api/v1/answers/{answer['answer_id']}/feedback"
    for opinion in ({"score": 1}, {"score": -1, "comment": "It is on page 8."}):
        reply = client.post(path, json=opinion)
        assert (reply.status_code, reply.content) == (204, b"")
    for wrong in (
        {}, {"score": 0}, {"score": 2}, {"score": "good"}, {"score": 1, "comment": "x" * 2001},
        {"score": 1, "comment": "a\0"}, {"score": 1, "answer": "x"}, {"score": True},
    ):  # fmt: skip
        assert client.post(path, json=wrong).status_code == 422, wrong
    with api.client(api.other_key) as other:
        assert other.post(path, json={"score": 1}).status_code == 404
    unknown = client.post("/api/v1/answers/ans_none/feedback", json={"score": 1})
    assert unknown.json()["code"] == "answer_not_found"
