"""Summaries, lists and counts of a whole document over HTTP, with no model but the built-in one."""

from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import CANARY, Api

SCH = "CFS_SCH_Requirements_Document_V1_1_080111.pdf"


@pytest.fixture
def document_id(client: httpx.Client) -> str:
    found = client.get("/api/v1/docs", params={"q": SCH}).json()["items"]
    return next(one["id"] for one in found if one["filename"] == SCH)


def ask(client: httpx.Client, question: str, **more: Any) -> dict[str, Any]:
    reply = client.post("/api/v1/chat", json={"question": question, **more})
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def check_quotes(client: httpx.Client, answer: dict[str, Any]) -> None:
    """Every quote stands on its page, where it says."""
    for citation in answer["citations"]:
        page = client.get(
            f"/api/v1/docs/{citation['document_id']}/pages/{citation['page']}",
            params={"version": citation["version"]},
        ).json()
        assert page["text"][citation["start"] : citation["end"]] == citation["quote"]
        assert citation["verified"]
        assert citation["boxes"]


@pytest.mark.parametrize("question", ["Summarise this document", "Fass das Dokument zusammen"])
def test_a_summary_quotes_sections_all_over_the_document(
    client: httpx.Client, document_id: str, question: str
) -> None:
    answer = ask(client, question, filters={"document_ids": [document_id]})
    assert answer["status"] == "complete"
    assert len(answer["answer"]) < 5000
    pages = [citation["page"] for citation in answer["citations"]]
    assert pages == sorted(pages)
    assert len(set(pages)) >= 4
    assert {citation["document_id"] for citation in answer["citations"]} == {document_id}
    check_quotes(client, answer)


def test_a_list_has_every_line_with_its_page_and_how_many(
    client: httpx.Client, document_id: str
) -> None:
    answer = ask(client, f"List all minor frames in {SCH}")
    first, *lines = answer["answer"].split("\n")
    assert first == f"minor frames: {len(lines)}"
    assert len(lines) > 3
    assert all("frame" in line.lower() for line in lines)
    assert {citation["document_id"] for citation in answer["citations"]} == {document_id}
    pages = [citation["page"] for citation in answer["citations"]]
    assert pages == sorted(pages)
    check_quotes(client, answer)
    counted = ask(
        client,
        "How many minor frames are mentioned in this document?",
        filters={"document_ids": [document_id]},
    )
    assert counted["answer"] == answer["answer"]


def test_its_record_says_what_was_read(client: httpx.Client, document_id: str) -> None:
    answer = ask(client, "Summarise this document", filters={"document_ids": [document_id]})
    record = client.get(f"/api/v1/answers/{answer['answer_id']}").json()
    read = record["whole_document"]
    assert read["errand"] == "summary"
    assert (read["document_id"], read["version"], read["parts"]) == (document_id, 1, 1)
    assert read["chunks_read"] == read["chunks_total"] > 10
    assert [page["page"] for page in record["cited"]] == list(
        dict.fromkeys(citation["page"] for citation in answer["citations"])
    )
    assert {page["document_id"] for page in record["cited"]} == {document_id}


def test_a_factual_question_is_searched_for_even_in_one_document(
    client: httpx.Client, document_id: str
) -> None:
    answer = ask(
        client,
        "How many activities fit into one minor frame?",
        filters={"document_ids": [document_id]},
    )
    record = client.get(f"/api/v1/answers/{answer['answer_id']}").json()
    assert record["whole_document"] is None
    assert record["candidates"]


def test_another_tenants_document_is_as_if_it_were_not_there(api: Api) -> None:
    with api.client() as client:
        for question in ("Summarise this document", "List all lines of the document"):
            answer = ask(client, question, filters={"document_ids": [api.other_document_id]})
            assert (answer["status"], answer["citations"]) == ("abstained", [])
        answer = ask(client, f"Summarise {CANARY}.pdf")
        assert CANARY not in str(answer["citations"]) + answer["answer"]
    with api.client(api.other_key) as other:
        answer = ask(other, f"Summarise {CANARY}.pdf")
        assert answer["status"] == "complete"
        assert CANARY in answer["answer"]


def test_stock_clients_get_it_as_well(client: httpx.Client) -> None:
    messages = [{"role": "user", "content": f"Summarise {SCH}"}]
    completion = client.post("/v1/chat/completions", json={"messages": messages}).json()
    [choice] = completion["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["annotations"]
