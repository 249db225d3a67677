"""Documents over HTTP: uploaded, replaced, gone back from, deleted, asked about all the while."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import pytest

from tests.acceptance.conftest import Api
from tests.integration.workshop import BOOK, changed
from tests.pdfs import make_pdf

NINE = make_pdf(BOOK)
TWENTY = make_pdf(changed(BOOK, 2, "The downlink sends twenty packets in each second."))
QUESTION = "How many packets does the downlink send in each second?"


def upload(client: httpx.Client, content: bytes, name: str = "book.pdf", **more: object) -> dict:
    reply = client.post("/api/v1/docs", files={"file": (name, content)}, **more)
    assert reply.status_code == 202, reply.text
    assert reply.headers["location"] == f"/api/v1/jobs/{reply.json()['job']['id']}"
    return reply.json()


def finished(client: httpx.Client, job: dict) -> dict:
    """Follow the job's events to their end; the job."""
    with client.stream("GET", f"/api/v1/jobs/{job['id']}/events", timeout=60) as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in events.iter_lines() if line.startswith(("event:", "data:"))]
    assert lines[-2] == "event: done"
    assert lines.count("event: done") == 1
    return client.get(f"/api/v1/jobs/{job['id']}").json()


def ingested(client: httpx.Client, content: bytes, **more: object) -> dict:
    accepted = upload(client, content, **more)
    job = finished(client, accepted["job"])
    assert (job["status"], job["progress"], job["error"]) == ("succeeded", 100, None), job
    return accepted["document"]


def answer(client: httpx.Client, **more: object) -> dict:
    reply = client.post("/api/v1/chat", json={"question": QUESTION, **more})
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_an_upload_is_answered_from_and_so_is_its_next_version(  # noqa: PLR0915 - a journey
    tenant: httpx.Client,
) -> None:
    assert answer(tenant)["status"] == "abstained"
    document = ingested(tenant, NINE, data={"title": "The Book", "tags": ["a", "b"]})
    first = answer(tenant)
    assert "nine packets" in first["answer"]
    cited = first["citations"][0]
    assert (cited["document_id"], cited["version"], cited["page"]) == (document["id"], 1, 2)
    assert (cited["title"], cited["tags"]) == ("The Book", ["a", "b"])
    between = datetime.now(UTC).isoformat()

    reply = tenant.put(f"/api/v1/docs/{document['id']}", files={"file": ("book.pdf", TWENTY)})
    assert reply.status_code == 202, reply.text
    job = finished(tenant, reply.json()["job"])
    assert (job["version"], job["chunks_embedded"], job["chunks_reused"]) == (2, 1, 2)
    assert "twenty packets" in answer(tenant)["answer"]
    earlier = answer(tenant, as_of=between)
    assert "nine packets" in earlier["answer"]
    assert earlier["citations"][0]["version"] == 1

    again = tenant.put(f"/api/v1/docs/{document['id']}", files={"file": ("book.pdf", TWENTY)})
    assert again.status_code == 200
    assert (again.json()["job"], again.json()["unchanged"]) == (None, True)

    back = tenant.post(f"/api/v1/docs/{document['id']}/versions/1/activate")
    assert (back.status_code, back.json()["version"]) == (200, 1)
    assert "nine packets" in answer(tenant)["answer"]
    versions = tenant.get(f"/api/v1/docs/{document['id']}/versions").json()
    assert [(v["version"], v["current"]) for v in versions["items"]] == [(2, False), (1, True)]
    content = tenant.get(f"/api/v1/docs/{document['id']}/content", params={"version": 2})
    assert content.content == TWENTY
    assert content.headers["content-disposition"].startswith("attachment")
    assert content.headers["x-content-type-options"] == "nosniff"

    deleted = tenant.delete(f"/api/v1/docs/{document['id']}")
    assert deleted.json()["removed"] == {
        "chunks": 3,
        "vectors": 3,
        "cache_entries": 0,
        "memory_turns": 4,
    }
    assert answer(tenant)["status"] == "abstained"
    assert answer(tenant, as_of=between)["status"] == "abstained"
    assert tenant.get(f"/api/v1/docs/{document['id']}").status_code == 404
    assert tenant.get(f"/api/v1/docs/{document['id']}/pages/1/image").status_code == 404
    assert tenant.post(f"/api/v1/docs/{document['id']}/restore").json()["status"] == "ready"
    assert "nine packets" in answer(tenant)["answer"]
    check = tenant.get("/api/v1/admin/corpus/check").json()
    assert check["healthy"], check
    stats = tenant.get("/api/v1/admin/corpus/stats").json()
    assert (stats["totals"]["documents"], stats["totals"]["versions"]) == (1, 2)


def test_a_file_for_nowhere_leaves_no_bytes(tenant: httpx.Client) -> None:
    accepted = upload(tenant, NINE)
    finished(tenant, accepted["job"])
    document = f"/api/v1/docs/{accepted['document']['id']}"
    assert tenant.delete(document).is_success
    form = {"visibility": "workspace", "workspace_id": "wsp_nobodys"}
    nowhere = [
        ("PUT", document, {}),
        ("PUT", "/api/v1/docs/doc_none", {}),
        ("POST", "/api/v1/docs", form),
    ]
    for number, (method, path, fields) in enumerate(nowhere):
        file = {"file": ("a.txt", f"Nobody keeps number {number}.")}
        assert tenant.request(method, path, files=file, data=fields).status_code == 404
    check = tenant.get("/api/v1/admin/corpus/check").json()
    assert check["healthy"], check


def test_a_page_is_shown_with_the_quote_marked(tenant: httpx.Client) -> None:
    document = ingested(tenant, NINE)
    said = answer(tenant)
    path = f"/api/v1/docs/{document['id']}/pages/2/image"
    plain = tenant.get(path)
    marked = tenant.get(path, params={"highlight": said["answer_id"]})
    assert plain.headers["content-type"] == marked.headers["content-type"] == "image/png"
    assert plain.headers["cache-control"].startswith("private")
    assert plain.headers["vary"] == "Authorization, X-API-Key"
    assert plain.content.startswith(b"\x89PNG")
    assert plain.content != marked.content
    assert tenant.get(path, params={"highlight": "ans_unknown"}).content == plain.content
    missing = tenant.get(f"/api/v1/docs/{document['id']}/pages/9/image")
    assert (missing.status_code, missing.json()["code"]) == (404, "no_page_image")


def test_a_figure_of_a_table_is_quoted_under_its_years(tenant: httpx.Client) -> None:
    lines = ["Years ended December 31, 2022 2021 2020", "Revenues:",
             "Bicycles $25,867 $19,493 $16,162", "Helmets 23,162 26,540 26,257",
             "Costs:", "Bicycles 9,100 8,200 7,300"]  # fmt: skip
    ingested(tenant, make_pdf([["Segments of the company", "(Dollars in millions)", *lines]]))
    said = answer(tenant, question="What were the revenues of bicycles in 2021?")
    quotes = [" ".join(cited["quote"].split()) for cited in said["citations"]]
    assert quotes[:3] == lines[:3]
    assert said["answer"].startswith(" ".join(f"{lines[n - 1]} [{n}]" for n in (1, 2, 3)))
    assert said["groundedness"] == 1
    for cited in said["citations"]:
        path = f"/api/v1/docs/{cited['document_id']}/pages/{cited['page']}"
        page = tenant.get(path, params={"version": cited["version"]}).json()
        assert page["text"][cited["start"] : cited["end"]] == cited["quote"]
        assert (cited["verified"], bool(cited["boxes"])) == (True, True)
    absent = answer(tenant, question="What were the revenues of bicycles in 2019?")
    assert not any(line in absent["answer"] for line in lines)


def test_twenty_uploads_of_one_file_at_once_are_one_document(tenant: httpx.Client) -> None:
    with ThreadPoolExecutor(20) as pool:
        replies = list(
            pool.map(
                lambda _: tenant.post("/api/v1/docs", files={"file": ("a.pdf", NINE)}), range(20)
            )
        )
    assert {reply.status_code for reply in replies} <= {200, 202}
    assert len({reply.json()["document"]["id"] for reply in replies}) == 1
    listed = tenant.get("/api/v1/docs").json()["items"]
    assert [document["version"] for document in listed] == [1]
    [job] = tenant.get("/api/v1/jobs").json()["items"]
    finished(tenant, job)


def test_an_idempotency_key_gets_the_first_answer_again(tenant: httpx.Client) -> None:
    headers = {"Idempotency-Key": "once"}
    first = upload(tenant, NINE, headers=headers)
    finished(tenant, first["job"])
    again = tenant.post("/api/v1/docs", files={"file": ("book.pdf", NINE)}, headers=headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (202, "true")
    assert again.json() == first
    other = tenant.post("/api/v1/docs", files={"file": ("book.pdf", TWENTY)}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    bad = tenant.post(
        "/api/v1/docs", files={"file": ("b.pdf", NINE)}, headers={"Idempotency-Key": "x" * 256}
    )
    assert bad.status_code == 422
    asked = {"question": QUESTION}
    chats = [
        tenant.post("/api/v1/chat", json=asked, headers={"Idempotency-Key": "chat"})
        for _ in range(2)
    ]
    assert chats[0].json() == chats[1].json()
    assert "idempotent-replayed" in chats[1].headers


def test_an_idempotency_key_is_its_callers_own(api: Api) -> None:
    """Two colleagues may choose one name; neither is told what the other was answered."""
    headers = {"Idempotency-Key": "of two"}
    said = []
    for question in (QUESTION, QUESTION, "Another question"):
        with api.client(api.mint("chat"), **headers) as colleague:
            reply = colleague.post("/api/v1/chat", json={"question": question})
        assert reply.status_code == 200, reply.text
        assert "idempotent-replayed" not in reply.headers
        said.append(reply.json()["answer_id"])
    assert len(set(said)) == 3


def test_a_broken_file_fails_with_its_reason_and_replaces_nothing(tenant: httpx.Client) -> None:
    document = ingested(tenant, NINE)
    reply = tenant.put(
        f"/api/v1/docs/{document['id']}", files={"file": ("book.pdf", b"%PDF-1.7\nbroken")}
    )
    job = finished(tenant, reply.json()["job"])
    assert (job["status"], job["error"]["code"]) == ("failed", "damaged")
    shown = tenant.get(f"/api/v1/docs/{document['id']}").json()
    assert (shown["status"], shown["version"], shown["error"]["code"]) == ("ready", 1, "damaged")
    assert "nine packets" in answer(tenant)["answer"]
    [failed] = tenant.get("/api/v1/jobs", params={"status": "failed"}).json()["items"]
    assert failed["id"] == job["id"]
    assert tenant.post(f"/api/v1/jobs/{job['id']}/cancel").status_code == 409
    retried = tenant.post(f"/api/v1/jobs/{job['id']}/retry")
    assert retried.status_code == 202
    assert finished(tenant, retried.json())["attempts"] == 2


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        ({"files": {"file": ("a.pdf", b"")}}, 422, "empty_file"),
        ({"files": {"file": ("a.pdf", b"\x7fELF\0\0\0\1\2")}}, 415, "unsupported_format"),
        ({"files": {"file": ("a.pdf", b"%PDF-" + b"x" * 10_485_760)}}, 413, "too_large"),
        ({"files": {"file": ("a.pdf", b"%PDF-" + b"x" * 12_000_000)}}, 413, "too_large"),
        ({"files": {"other": ("a.pdf", NINE)}}, 422, "invalid_request"),
        ({"files": [("file", ("a.pdf", NINE)), ("file", ("b.pdf", NINE))]}, 422, "invalid_request"),
        ({"files": {"file": ("a.pdf", NINE)}, "data": {"api_base": "x"}}, 422, "invalid_request"),
        (
            {"files": {"file": ("a.pdf", NINE)}, "data": {"title": "x" * 501}},
            422,
            "invalid_request",
        ),
        ({"data": {"file": "not a file"}}, 415, "unsupported_media_type"),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, None),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 422, None),
        ({"json": {"url": "http://127.0.0.1:9/x"}}, 422, "url_not_allowed"),
        ({"json": {"url": "http://169.254.169.254/latest"}}, 422, "url_not_allowed"),
        ({"json": {"url": "file:///etc/passwd"}}, 422, "url_not_allowed"),
        ({"json": {"url": "https://x/", "api_base": "y"}}, 422, "invalid_request"),
        ({"json": ["x"]}, 422, "invalid_request"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 422, None),
    ],
)
def test_a_refused_upload_says_why_and_leaves_nothing(
    tenant: httpx.Client, arguments: dict, status: int, code: str | None
) -> None:
    reply = tenant.post("/api/v1/docs", **arguments)
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert code in (None, reply.json()["code"])
    assert tenant.get("/api/v1/docs").json()["items"] == []


def test_facts_and_tags_are_edited(tenant: httpx.Client) -> None:
    document = ingested(tenant, NINE)
    path = f"/api/v1/docs/{document['id']}"
    edited = tenant.patch(
        path,
        json={"title": "New", "author": "Ada", "tags": ["x", "x", "y"], "metadata": {"k": "v"}},
    ).json()
    assert (edited["title"], edited["author"], edited["tags"]) == ("New", "Ada", ["x", "y"])
    assert edited["metadata"] == {"k": "v"}
    assert tenant.patch(path, json={"author": None}).json()["author"] is None
    assert tenant.patch(path, json={"title": ""}).status_code == 422
    assert tenant.patch(path, json={"version": 2}).status_code == 422
    assert tenant.patch("/api/v1/docs/tags/x", json={"name": "z"}).json() == {"documents": 1}
    assert tenant.delete("/api/v1/docs/tags/y").json() == {"documents": 1}
    assert tenant.get("/api/v1/docs/tags").json()["items"] == [{"tag": "z", "documents": 1}]
    assert len(tenant.get("/api/v1/docs", params={"tag": "z"}).json()["items"]) == 1


def test_another_tenants_documents_and_jobs_are_not_there(api: Api, tenant: httpx.Client) -> None:
    accepted = upload(tenant, NINE)
    finished(tenant, accepted["job"])
    document, job = accepted["document"]["id"], accepted["job"]["id"]
    routes = [
        ("GET", f"/api/v1/docs/{document}"),
        ("GET", f"/api/v1/docs/{document}/versions"),
        ("GET", f"/api/v1/docs/{document}/content"),
        ("GET", f"/api/v1/docs/{document}/pages/1"),
        ("GET", f"/api/v1/docs/{document}/pages/1/image"),
        ("DELETE", f"/api/v1/docs/{document}"),
        ("POST", f"/api/v1/docs/{document}/restore"),
        ("POST", f"/api/v1/docs/{document}/versions/1/activate"),
        ("GET", f"/api/v1/jobs/{job}"),
        ("GET", f"/api/v1/jobs/{job}/events"),
        ("POST", f"/api/v1/jobs/{job}/cancel"),
        ("POST", f"/api/v1/jobs/{job}/retry"),
    ]
    with api.client(api.other_key) as other:
        for method, path in routes:
            assert other.request(method, path).status_code == 404, path
        assert other.patch(f"/api/v1/docs/{document}", json={"title": "x"}).status_code == 404
        put = other.put(f"/api/v1/docs/{document}", files={"file": ("a.pdf", TWENTY)})
        assert put.status_code == 404
    reader = api.mint("docs:read")
    with api.client(reader) as client:
        assert client.post("/api/v1/docs", files={"file": ("a.pdf", NINE)}).status_code == 403
        assert client.get("/api/v1/admin/corpus/check").status_code == 403
    assert "nine packets" in answer(tenant)["answer"]


def test_progress_is_heard_to_its_end(tenant: httpx.Client) -> None:
    accepted = upload(tenant, NINE)
    path = f"/api/v1/jobs/{accepted['job']['id']}/events"
    with tenant.stream("GET", path, timeout=60) as events:
        body = "".join(events.iter_text())
    datas = [json.loads(line[5:]) for line in body.splitlines() if line.startswith("data:")]
    assert datas, body
    assert body.count("event: done") == 1
    with tenant.stream("GET", path, timeout=60) as events:
        late = "".join(events.iter_text())
    assert late.count("event: done") == 1


def test_a_file_of_text_is_answered_from(tenant: httpx.Client) -> None:
    document = ingested(tenant, b"# Leave\n\nEmployees have thirty days of leave.\n", name="a.md")
    assert document["media_type"] == "text/markdown"
    said = tenant.post("/api/v1/chat", json={"question": "How many days of leave are there?"})
    assert "thirty days" in said.json()["answer"]
    image = tenant.get(f"/api/v1/docs/{document['id']}/pages/1/image")
    assert (image.status_code, image.json()["code"]) == (404, "no_page_image")
