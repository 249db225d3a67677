"""``make run`` from the first line it prints to the last, and copies of it side by side."""

import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.faults.running import (
    ANSWER,
    ROOT,
    Docent,
    Ended,
    copy_of_docent,
    key_in,
    until,
    write_paper,
)

HAS_DEMO = (ROOT / ".venv-demo" / "bin" / "python").exists()
#: What the issue promises for Ctrl-C.
STOP_S = 10.0


@pytest.fixture(scope="module")
def running() -> Iterator[Docent]:
    """A copy that runs for the whole module, with the demo if that is installed."""
    with copy_of_docent() as docent:
        docent.run()
        yield docent


def test_start_ask_stop_and_start_again(running: Docent) -> None:
    launcher = running.programs[-1]
    introduction = "\n".join(launcher.lines)
    demo = f"http://127.0.0.1:{running.demo_port}"
    assert running.url in launcher.until_line("| API")
    assert (demo in introduction) == HAS_DEMO
    if HAS_DEMO:
        assert httpx.get(f"{demo}/_stcore/health").text == "ok"
    key = key_in(launcher.until_line("| Key"))
    assert key == running.key
    assert running.status_of("/readyz") == 200

    curl = launcher.until_line("| Try").partition("Try")[2].strip()
    pasted = subprocess.run(["sh", "-c", curl], capture_output=True, text=True, check=True)
    assert '"answer_id"' in pasted.stdout
    first = running.ask().json()
    assert ANSWER in first["answer"]

    # One page for all processes, the ingestion worker among them.
    both = ('docent_processes{role="api"} 2.0', 'docent_processes{role="worker"} 1.0')
    until(
        lambda: all(line in running.get("/metrics").text for line in both),
        60,
        "every process has told of itself",
    )

    ended, took_s = stop(running)
    assert (ended.code, ended.lines[-1]) == (0, "docent | stopped")
    assert took_s < STOP_S

    again = running.run("--no-demo")
    assert key_in(again.until_line("| Key")) == key
    second = running.ask().json()
    assert (second["answer"], second["citations"]) == (first["answer"], first["citations"])
    running.check_intact()


def stop(docent: Docent) -> tuple[Ended, float]:
    """Ctrl-C the launcher; nothing of its home may outlive it."""
    started = time.monotonic()
    ended = docent.programs[-1].stop()
    took_s = time.monotonic() - started
    assert docent.processes() == []
    return ended, took_s


def test_a_new_key_opens_its_own_tenant_until_it_is_revoked(running: Docent) -> None:
    arguments = ["--tenant", "acme", "--name", "first", "--scopes", "chat,docs:read"]
    made = running.command("scripts.create_key", *arguments)
    assert made.code == 0, made.text
    key = made.lines[-1]
    assert key == key_in(key)

    assert running.get("/api/v1/docs").json()["items"] != []
    assert running.get("/api/v1/docs", key=key).json()["items"] == []
    assert running.ask(key=key).json()["status"] == "abstained"
    foreign = running.get("/api/v1/docs").json()["items"][0]["id"]
    assert running.get(f"/api/v1/docs/{foreign}", key=key).status_code == 404

    for column in ("revoked_at", "expires_at"):
        change = f"UPDATE api_keys SET {column} = now() WHERE name = 'first'"
        running.rows(change)
        assert running.ask(key=key).status_code == 401
        running.rows(change.replace("now()", "NULL"))
        assert running.ask(key=key).status_code == 200
    assert running.ask().status_code == 200


def test_two_copies_know_nothing_of_each_other(running: Docent) -> None:
    with copy_of_docent() as other:
        for name in ("dev.key", "secret.key"):
            (other.home / name).unlink()
        other.run("--no-demo")
        assert other.key != running.key
        assert running.ask(key=other.key).status_code == 401
        assert other.ask(key=running.key).status_code == 401

        own = [["Notes on the greenhouse", "The tomatoes are watered at dawn on Tuesdays."]]
        document = other.submit(write_paper(other.home / "papers" / "greenhouse.pdf", own))
        other.until_ingested(document)
        question = "When are the tomatoes watered?"
        assert "dawn on Tuesdays" in other.ask(question).json()["answer"]
        assert running.ask(question).json()["status"] == "abstained"
        assert running.get(f"/api/v1/docs/{document}").status_code == 404
        assert {*other.server_pids().values()}.isdisjoint(running.server_pids().values())
        stop(other)
    running.check_intact()
