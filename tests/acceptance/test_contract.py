"""Every route of the contract over real HTTP: shapes field by field, quotes on their page."""

import re
import time
from datetime import UTC, datetime

import httpx
import pytest

from app.auth.gate import OPEN_PATHS
from tests.acceptance.conftest import CANARY, Api

IN_CORPUS = [
    "How many data storage files can be open at once?",
    "How many entries are in the destination file table?",
    "What does the scheduler do at the major frame signal?",
    "How is the OSAL configured?",
    "Which command enables a destination file?",
]
OUT_OF_CORPUS = [
    "Who won the football world cup in 1998?",
    "What is the capital of Mongolia?",
    "How do I bake sourdough bread?",
]
DOCUMENT = {
    "id": str, "title": str, "filename": str, "media_type": str, "author": (str, type(None)),
    "tags": list, "version": int, "page_count": int, "size_bytes": int, "content_hash": str,
    "metadata": dict, "status": str, "error": type(None), "url": type(None), "warnings": list,
    "visibility": str, "workspace_id": type(None), "owner_id": type(None),
    "uploaded_at": str, "updated_at": str,
}  # fmt: skip
ANSWER = {
    "answer_id": str, "session_id": str, "answer": str, "status": str, "reason": (str, type(None)),
    "citations": list, "groundedness": (float, type(None)), "unsupported": list,
    "provider": str, "model": str, "cached": type(None), "usage": dict,
    "attempts": list, "timings": dict, "trace_id": str,
}  # fmt: skip
CITATION = {
    "marker": int, "document_id": str, "version": int, "title": str, "filename": str, "tags": list,
    "page": int, "quote": str, "start": int, "end": int, "boxes": list, "score": float,
    "verified": bool, "url": type(None),
}  # fmt: skip
PASSAGE = {
    "document_id": str, "version": int, "title": str, "page": int, "text": str, "score": float,
    "dense_rank": (int, type(None)), "text_rank": (int, type(None)),
}  # fmt: skip
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def check_shape(found: dict, shape: dict) -> None:
    """Exactly these members, each of its type."""
    assert set(found) == set(shape)
    wrong = {name: found[name] for name, kind in shape.items() if not isinstance(found[name], kind)}
    assert wrong == {}


def good(reply: httpx.Response) -> dict:
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"]
    return reply.json()


@pytest.mark.parametrize("question", IN_CORPUS)
def test_an_answer_quotes_pages_exactly(client: httpx.Client, question: str) -> None:
    body = good(client.post("/api/v1/chat", json={"question": question, "session_id": "mine"}))
    check_shape(body, ANSWER)
    assert (body["status"], body["reason"], body["provider"]) == ("complete", None, "extractive")
    assert body["session_id"] == "mine"
    assert body["answer_id"].startswith("ans_")
    assert body["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "cost_usd": 0.0}
    assert [set(attempt) for attempt in body["attempts"]] == [
        {"provider", "model", "outcome", "ms"}
    ]
    assert body["attempts"][-1]["outcome"] == "ok"
    assert set(body["timings"]) == {
        "embedding_ms",
        "search_ms",
        "first_token_ms",
        "generation_ms",
        "total_ms",
    }
    markers = {int(marker) for marker in re.findall(r"\[(\d+)\]", body["answer"])}
    assert markers == {citation["marker"] for citation in body["citations"]}
    assert markers == set(range(1, len(body["citations"]) + 1))
    assert markers
    for citation in body["citations"]:
        check_shape(citation, CITATION)
        path = f"/api/v1/docs/{citation['document_id']}/pages/{citation['page']}"
        page = good(client.get(path, params={"version": citation["version"]}))
        assert page["text"][citation["start"] : citation["end"]] == citation["quote"]
        assert citation["quote"].strip()
        assert citation["verified"]
        for x0, y0, x1, y1 in citation["boxes"]:
            assert 0 <= x0 < x1 <= page["width"] + 0.1
            assert 0 <= y0 < y1 <= page["height"] + 0.1
        assert citation["boxes"]


@pytest.mark.parametrize("question", OUT_OF_CORPUS)
def test_what_is_not_in_the_corpus_is_not_answered(client: httpx.Client, question: str) -> None:
    body = good(client.post("/api/v1/chat", json={"question": question}))
    check_shape(body, ANSWER)
    assert (body["status"], body["citations"]) == ("abstained", [])
    assert body["reason"] in ("no_match", "weak_match")
    assert body["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "cost_usd": 0.0}
    assert body["session_id"].startswith("ses_")
    others = {
        good(client.post("/api/v1/chat", json={"question": q}))["answer"] for q in OUT_OF_CORPUS
    }
    assert others == {body["answer"]}, "one fixed text"


def test_passages_are_found_without_a_model(client: httpx.Client) -> None:
    body = good(client.post("/api/v1/retrieve", json={"question": IN_CORPUS[0], "top_k": 7}))
    assert set(body) == {"passages", "timings"}
    assert set(body["timings"]) == {"embedding_ms", "search_ms"}
    assert len(body["passages"]) == 7
    scores = [passage["score"] for passage in body["passages"]]
    assert scores == sorted(scores, reverse=True)
    for passage in body["passages"]:
        check_shape(passage, PASSAGE)
        assert passage["dense_rank"] or passage["text_rank"]


def test_filters_and_as_of_restrict(client: httpx.Client) -> None:
    documents = good(client.get("/api/v1/docs"))["items"]
    for document in documents:
        filters = {"document_ids": [document["id"]]}
        body = good(client.post("/api/v1/retrieve", json={"question": "file", "filters": filters}))
        assert {passage["document_id"] for passage in body["passages"]} <= {document["id"]}
        assert body["passages"]
    for limited in ({"filters": {"tags": ["nothing has this"]}}, {"as_of": "2020-01-01T00:00:00Z"},
                    {"filters": {"document_ids": ["doc_nobody", "x' OR '1'='1"]}}):  # fmt: skip
        assert (
            good(client.post("/api/v1/retrieve", json={"question": "file", **limited}))["passages"]
            == []
        )
    now = datetime.now(UTC).isoformat()
    assert good(client.post("/api/v1/retrieve", json={"question": "file", "as_of": now}))[
        "passages"
    ]


def test_documents_are_listed_shown_and_paged(client: httpx.Client) -> None:
    whole = good(client.get("/api/v1/docs"))
    assert set(whole) == {"items", "has_more", "next"}
    assert (whole["has_more"], whole["next"]) == (False, None)
    assert len(whole["items"]) == 4
    for document in whole["items"]:
        check_shape(document, DOCUMENT)
        assert (document["status"], document["version"]) == ("ready", 1)
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", document["content_hash"])
        assert RFC_3339.fullmatch(document["uploaded_at"])
        assert RFC_3339.fullmatch(document["updated_at"])
        assert good(client.get(f"/api/v1/docs/{document['id']}")) == document
        page = good(client.get(f"/api/v1/docs/{document['id']}/pages/{document['page_count']}"))
        check_shape(page, {"document_id": str, "version": int, "page": int, "text": str,
                           "content_hash": str, "width": float, "height": float})  # fmt: skip
    first = good(client.get("/api/v1/docs", params={"limit": 3}))
    assert (first["has_more"], first["next"]) == (True, first["items"][-1]["id"])
    rest = good(client.get("/api/v1/docs", params={"limit": 3, "after": first["next"]}))
    assert first["items"] + rest["items"] == whole["items"]
    assert good(client.get("/api/v1/docs", params={"q": "osal"}))["items"]
    assert good(client.get("/api/v1/docs", params={"status": "failed"}))["items"] == []


def test_models(client: httpx.Client) -> None:
    items = good(client.get("/api/v1/models"))["items"]
    assert [item["provider"] for item in items if not item["available"]] == [
        "openrouter", "groq", "openai"
    ], "they wait for a caller's key"  # fmt: skip
    assert items[-1] == {
        "id": "extractive", "provider": "extractive", "available": True,
        "cooling_down_until": None, "context_tokens": None,
    }  # fmt: skip
    assert items[0]["context_tokens"] > 100_000


def test_probes_are_open(stranger: httpx.Client) -> None:
    assert good(stranger.get("/livez")) == {"status": "ok"}
    ready = good(stranger.get("/readyz"))
    assert ready["status"] == "ok"
    assert ready["checks"] == dict.fromkeys(["postgres", "redis", "index", "embedding"], "ok")
    health = good(stranger.get("/health"))
    assert set(health) == {"status", "version", "uptime_s", "checks"}
    assert set(health["checks"]) == {"postgres", "redis", "index", "embedding", "providers"}
    assert "text/html" in stranger.get("/docs").headers["content-type"]


def test_the_openapi_document_says_what_is_served(stranger: httpx.Client) -> None:
    schema = good(stranger.get("/openapi.json"))
    document = "/api/v1/docs/{document_id}"
    assert set(schema["paths"]) >= {
        "/api/v1/chat", "/api/v1/retrieve", "/api/v1/models", "/api/v1/docs", "/api/v1/docs/tags",
        document, f"{document}/pages/{{page}}", f"{document}/pages/{{page}}/image",
        f"{document}/content", f"{document}/versions", f"{document}/restore",
        f"{document}/versions/{{version}}/activate", "/api/v1/jobs", "/api/v1/jobs/{job_id}",
        "/api/v1/jobs/{job_id}/cancel", "/api/v1/jobs/{job_id}/retry",
        "/api/v1/jobs/{job_id}/events", "/ws/info", "/ws/broadcast", "/api/v1/admin/corpus/check",
        "/api/v1/admin/corpus/stats", "/api/v1/admin/analytics", "/v1/chat/completions",
        "/v1/models", "/v1/models/{model}", "/livez", "/readyz", "/health",
        "/metrics",
    }  # fmt: skip
    operations = [
        (path, operation)
        for path, methods in schema["paths"].items()
        for operation in methods.values()
    ]
    assert len({operation["operationId"] for _, operation in operations}) == len(operations)
    for path, operation in operations:
        assert operation["tags"], path
        assert operation["summary"], path
        closed = path.startswith(("/api/", "/ws/", "/v1/")) and path not in OPEN_PATHS
        assert bool(operation["security"]) == closed, path
        documented = set(operation["responses"])
        assert documented & {"200", "201", "202", "204", "303"}, path
        assert documented >= ({"401", "403", "429", "503"} if closed else set()), path
        for status, response in operation["responses"].items():
            if status >= "400" and closed:
                [(kind, content)] = response["content"].items()
                expected = (
                    ("application/json", "OpenAiErrorReply")
                    if path.startswith("/v1/")
                    else ("application/problem+json", "Problem")
                )
                assert (kind, content["schema"]["$ref"].rpartition("/")[2]) == expected, path
        if operation.get("requestBody"):
            form = path.startswith("/oauth/")  # of which RFC 6749 has everything wrong be a 400
            assert documented >= {"413", *(("400",) if form else ("415", "422"))}, path
        if "_id}" in path:
            assert documented >= {"404", "422"}, path
    chat = schema["components"]["schemas"]["ChatIn"]
    assert chat["additionalProperties"] is False
    assert chat["properties"]["question"]["maxLength"] == 4000
    assert chat["properties"]["question"]["examples"]


@pytest.mark.parametrize("path", ["/livez", "/api/v1/docs", "/nothing"])
def test_a_sane_request_id_comes_back(client: httpx.Client, path: str) -> None:
    reply = client.get(path, headers={"X-Request-ID": "trace-1.a_B"})
    assert reply.headers["x-request-id"] == "trace-1.a_B"
    reply = client.get(path, headers={"X-Request-ID": "<script>"})
    assert re.fullmatch(r"[a-z2-7]{26}", reply.headers["x-request-id"])


def test_an_answers_trace_id_is_its_request_id(client: httpx.Client) -> None:
    reply = client.post("/api/v1/chat", json={"question": "x"}, headers={"X-Request-ID": "r-7"})
    assert reply.json()["trace_id"] == "r-7"


def test_a_question_is_answered_in_time(client: httpx.Client) -> None:
    """Not a benchmark: one number that only something very wrong can miss."""
    begin = time.monotonic()
    for _ in range(20):
        good(client.post("/api/v1/chat", json={"question": IN_CORPUS[0]}))
    assert time.monotonic() - begin < 10


def test_two_tenants_get_two_answers_to_one_question(api: Api, client: httpx.Client) -> None:
    question = {"question": "What is the code word of the data storage file table?"}
    mine = client.post("/api/v1/chat", json=question)
    with api.client(api.other_key) as other:
        theirs = good(other.post("/api/v1/chat", json=question))
        assert [document["id"] for document in other.get("/api/v1/docs").json()["items"]] == [
            api.other_document_id
        ]
    assert CANARY in theirs["answer"]
    assert {citation["document_id"] for citation in theirs["citations"]} == {api.other_document_id}
    assert CANARY not in mine.text
