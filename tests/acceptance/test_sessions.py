"""Conversations over HTTP: followed, listed, read, reset, and what deleting does to them."""

import uuid

import httpx

from tests.acceptance.conftest import Api
from tests.acceptance.test_documents import NINE, TWENTY, finished, ingested

QUESTION = "How many packets does the downlink send in each second?"


def ask(client: httpx.Client, session_id: str | None, question: str = QUESTION) -> dict:
    reply = client.post("/api/v1/chat", json={"question": question, "session_id": session_id})
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_a_follow_up_is_understood(client: httpx.Client) -> None:
    """Alone it finds nothing that could be quoted for it."""
    session_id = f"my session/{uuid.uuid4().hex}"
    first = ask(client, session_id, "What happens when a file gets larger than its maximum size?")
    assert first["session_id"] == session_id
    alone = ask(client, None, "And how often is that tested?")
    after = ask(client, session_id, "And how often is that tested?")
    assert after["status"] == "complete"
    assert after["answer"] != alone["answer"]
    assert after["citations"][0]["title"].startswith(("CFS Data Storage", "cFS", "DS", "CFS"))
    turns = client.get(f"/api/v1/sessions/{session_id}").raise_for_status().json()
    assert turns["id"] == session_id
    assert [turn["answer_id"] for turn in turns["turns"]] == [
        first["answer_id"], after["answer_id"],
    ]  # fmt: skip
    shown = turns["turns"][0]
    assert (shown["question"], shown["answer"], shown["status"], shown["stale"]) == (
        "What happens when a file gets larger than its maximum size?", first["answer"],
        "complete", False,
    )  # fmt: skip
    cited = [(c["document_id"], c["version"], c["page"]) for c in first["citations"]]
    assert [(c["document_id"], c["version"], c["page"]) for c in shown["citations"]] == cited


def test_a_session_is_begun_for_who_names_none(client: httpx.Client) -> None:
    begun = ask(client, None, "What is in the Packet Filter Table?")
    assert begun["session_id"].startswith("ses_")
    [turn] = client.get(f"/api/v1/sessions/{begun['session_id']}").json()["turns"]
    assert turn["answer_id"] == begun["answer_id"]
    with client.stream(
        "POST", "/api/v1/chat",
        json={"question": "And in the others?", "session_id": begun["session_id"], "stream": True},
    ) as events:  # fmt: skip
        events.read()
    assert len(client.get(f"/api/v1/sessions/{begun['session_id']}").json()["turns"]) == 2


def test_sessions_are_listed_read_and_reset_by_their_caller_alone(
    api: Api, tenant: httpx.Client
) -> None:
    assert tenant.get("/api/v1/sessions").json() == {"items": [], "has_more": False, "next": None}
    for name in ("one", "two", "three"):
        ask(tenant, name)
    first = tenant.get("/api/v1/sessions?limit=2").json()
    assert [s["id"] for s in first["items"]] == ["three", "two"]
    assert (first["has_more"], first["next"]) == (True, "two")
    assert first["items"][0]["title"] == QUESTION
    assert first["items"][0]["turns"] == 1
    rest = tenant.get("/api/v1/sessions", params={"after": first["next"]}).json()
    assert [s["id"] for s in rest["items"]] == ["one"]
    with api.client() as other:
        assert other.get("/api/v1/sessions/one").json()["code"] == "session_not_found"
        assert other.delete("/api/v1/sessions/one").status_code == 404
        assert "one" not in [s["id"] for s in other.get("/api/v1/sessions").json()["items"]]
    assert tenant.delete("/api/v1/sessions/one").status_code == 204
    assert tenant.get("/api/v1/sessions/one").status_code == 404
    assert tenant.delete("/api/v1/sessions/one").status_code == 404
    assert tenant.get("/api/v1/sessions?after=%00").status_code == 422
    assert tenant.get("/api/v1/sessions?limit=0").status_code == 422


def test_what_was_replaced_is_marked_and_what_was_deleted_is_emptied(
    tenant: httpx.Client,
) -> None:
    document = ingested(tenant, NINE)
    said = ask(tenant, "s")
    assert "nine packets" in said["answer"]
    replaced = tenant.put(f"/api/v1/docs/{document['id']}", files={"file": ("b.pdf", TWENTY)})
    assert finished(tenant, replaced.json()["job"])["status"] == "succeeded"
    [turn] = tenant.get("/api/v1/sessions/s").json()["turns"]
    assert (turn["stale"], turn["answer"]) == (True, said["answer"])
    assert "twenty packets" in ask(tenant, "s")["answer"]
    removed = tenant.delete(f"/api/v1/docs/{document['id']}").json()["removed"]
    assert removed["memory_turns"] == 2
    assert removed["chunks"] > 0
    shown = tenant.get("/api/v1/sessions/s")
    assert [(t["answer"], t["stale"]) for t in shown.json()["turns"]] == [("", True)] * 2
    assert "packets" not in shown.text.replace(QUESTION, "")
    check = tenant.get("/api/v1/admin/corpus/check").json()
    assert check["healthy"], check
