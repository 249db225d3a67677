"""Fault row O1: machines whose clocks are five minutes off, one ahead and one behind.

Two copies of the API and a worker over one PostgreSQL and one Redis, which know the right time.
"""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from app.infra.embedded.servers import embedded_servers
from tests.faults.running import (
    ANSWER,
    PATIENCE_S,
    QUESTION,
    Docent,
    copy_of_docent,
    free_port,
    until,
    write_paper,
)

OFF_S = 300
CC = shutil.which("cc")
pytestmark = pytest.mark.skipif(CC is None, reason="no C compiler to make the wrong clock with")


@dataclass
class Machines:
    """The two APIs, asked with the same key; the worker is as far ahead as the first."""

    docent: Docent
    ahead: httpx.Client
    behind: httpx.Client


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    command = [str(CC), "-shared", "-fPIC", "-O1", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    with copy_of_docent(LD_PRELOAD=library) as docent, embedded_servers(docent.home):
        ports = {OFF_S: docent.port, -OFF_S: free_port()}
        for off_by_s, port in ports.items():
            docent.program("scripts.serve", CLOCK_OFF_BY_S=off_by_s, PORT=port, WORKERS=1)
        docent.program("app.worker", CLOCK_OFF_BY_S=OFF_S)
        clients = [
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": docent.key}, timeout=30
            )
            for port in ports.values()
        ]
        for client in clients:
            until(lambda client=client: is_ready(client), PATIENCE_S, "/readyz says 200")
        yield Machines(docent, *clients)
        for client in clients:
            client.close()


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def ask(client: httpx.Client, *, key: str | None = None, **more: object) -> dict:
    headers = {"Idempotency-Key": key} if key else {}
    reply = client.post("/api/v1/chat", json={"question": QUESTION, **more}, headers=headers)
    assert reply.status_code == 200, reply.text
    answer: dict = reply.json()
    assert ANSWER in answer["answer"]
    return answer


def test_the_clocks_are_wrong(machines: Machines) -> None:
    for client, off_by_s in ((machines.ahead, OFF_S), (machines.behind, -OFF_S)):
        record = client.get(f"/api/v1/answers/{ask(client)['answer_id']}").json()
        early_s = (datetime.fromisoformat(record["asked_at"]) - datetime.now(UTC)).total_seconds()
        assert round(early_s / OFF_S) == off_by_s // OFF_S


def test_what_one_was_told_the_other_knows(machines: Machines) -> None:
    first = ask(machines.ahead, key="clock", session_id="clock")
    assert ask(machines.behind, key="clock", session_id="clock") == first
    second = ask(machines.behind, session_id="clock")
    assert second["answer_id"] != first["answer_id"]
    for client in (machines.ahead, machines.behind):
        turns = client.get("/api/v1/sessions/clock").json()["turns"]
        assert [turn["answer_id"] for turn in turns] == [first["answer_id"], second["answer_id"]]


def test_documents_are_taken_in_by_a_worker_that_is_ahead(machines: Machines) -> None:
    docent = machines.docent
    paper = write_paper(docent.home / "papers" / "gate.pdf", [["Gate", "The gate is green."]])
    with paper.open("rb") as file:
        sent = machines.behind.post("/api/v1/docs", files={"file": file})
    document_id = sent.raise_for_status().json()["document"]["id"]
    docent.until_ingested(document_id, 30)
    page = machines.behind.get(f"/api/v1/docs/{document_id}/pages/1")
    assert "The gate is green." in page.raise_for_status().text


def test_a_token_from_the_future_is_refused_and_its_own_machine_takes_it(
    machines: Machines,
) -> None:
    email = "clock@example.com"
    made = machines.docent.command(
        "scripts.create_user", "--tenant", "default", "--email", email, CLOCK_OFF_BY_S=0
    )
    assert made.code == 0, made.text
    body = {"email": email, "password": made.lines[-1]}
    token = httpx.post(f"{machines.ahead.base_url}/api/v1/auth/login", json=body).json()
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    told = [
        httpx.get(f"{client.base_url}/api/v1/docs", headers=bearer)
        for client in (machines.ahead, machines.behind)
    ]
    assert [reply.status_code for reply in told] == [200, 401]
    assert told[1].json()["code"] == "not_authenticated"
