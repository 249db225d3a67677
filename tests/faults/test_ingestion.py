"""Ingestion workers that are killed, stopped or cut off in the middle of a job: nothing is lost."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from app.infra.embedded.servers import embedded_servers, start
from tests.faults.running import Docent, Program, alive, copy_of_docent, kill, until, write_paper

#: Makes a worker wait at a step for as long as the test holds the advisory lock of that name.
HOLD = """
CREATE FUNCTION hold_at_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext(
        CASE WHEN NEW.status = 'ready' THEN 'publish' ELSE NEW.step END));
    RETURN NEW;
END $$;
GRANT EXECUTE ON FUNCTION hold_at_step TO docent_app;
CREATE TRIGGER hold_at_step BEFORE UPDATE ON document_versions
    FOR EACH ROW WHEN (NEW.step IS DISTINCT FROM OLD.step OR NEW.status = 'ready')
    EXECUTE FUNCTION hold_at_step();
"""
FIRST = [["Notes on the greenhouse", "The tomatoes are watered at dawn on Mondays."]]
SECOND = [["Notes on the greenhouse", "The tomatoes are watered at dusk on Fridays."]]


@pytest.fixture(scope="module")
def copy() -> Iterator[Docent]:
    """The servers of a copy, without launcher or API."""
    with copy_of_docent(JOB_ATTEMPTS=9) as docent, embedded_servers(docent.home):
        docent.rows(HOLD)
        yield docent


@contextmanager
def held(docent: Docent, step: str) -> Iterator[None]:
    """Nobody gets past ``step`` inside."""
    with psycopg.connect(docent.database_url, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(hashtext(%s))", [step])
        yield


def waits(docent: Docent) -> bool:
    """Whether a worker stands at a held step."""
    return bool(docent.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))


def newest(docent: Docent, document: str) -> dict[str, object]:
    return docent.rows(
        "SELECT v.number, v.status, v.step, v.error_detail, d.current_version FROM documents d"
        " JOIN document_versions v ON v.document_id = d.id WHERE d.id = %s"
        " ORDER BY v.number DESC LIMIT 1",
        document,
    )[0]


def until_ready(docent: Docent, document: str, timeout_s: float = 60) -> float:
    return until(
        lambda: newest(docent, document)["status"] == "ready", timeout_s, "the version is ready"
    )


def check_one_live_version(docent: Docent, document: str, versions: int) -> None:
    found = newest(docent, document)
    assert found["current_version"] == found["number"] == versions
    live = docent.rows(
        "SELECT text, valid_from FROM chunks WHERE document_id = %s AND valid_to IS NULL", document
    )
    expected = (FIRST if versions == 1 else SECOND)[0][1]
    assert len(live) == 1
    assert expected in str(live[0]["text"])
    assert docent.rows("SELECT 1 FROM jobs.procrastinate_jobs WHERE status = 'doing'") == []


def worker(docent: Docent) -> Program:
    program = docent.program("app.worker", LOG_LEVEL="INFO")
    program.until_line("worker_started")
    return program


def test_killed_at_every_step_a_new_version_is_published_once(copy: Docent) -> None:
    """One job, five workers, four of them killed; the old version stays until the switch."""
    paper = write_paper(copy.home / "papers" / "killed.pdf", FIRST)
    document = copy.submit(paper)
    current = worker(copy)
    until_ready(copy, document)
    write_paper(paper, SECOND)
    for step in ("chunk", "embed", "index", "publish"):
        with held(copy, step):
            if step == "chunk":
                assert copy.submit(paper) == document
            until(lambda: waits(copy), 60, f"the worker is at {step}")
            successor = worker(copy)  # starts beside it, to save time
            kill(current.pid)
            assert newest(copy, document)["current_version"] == 1
        current = successor
    seconds = until_ready(copy, document)
    print(f"document ready after its worker was killed: {seconds:.1f} s")
    check_one_live_version(copy, document, 2)
    current.stop(signal.SIGTERM)


def test_stopped_in_the_middle_of_a_job_the_next_worker_does_it(copy: Docent) -> None:
    """SIGTERM must not end the job for good; nor does being stopped count as an attempt."""
    document = copy.submit(write_paper(copy.home / "papers" / "stopped.pdf", FIRST))
    current = worker(copy)
    with held(copy, "index"):
        until(lambda: waits(copy), 60, "the worker is at index")
        started = time.monotonic()
        ended = current.stop(signal.SIGTERM)
        print(f"worker stopped in mid-job: {time.monotonic() - started:.1f} s")
        assert ended.code == 0, ended.text
        assert not re.search("Traceback|error|Error", ended.text), "it ends quietly"
        waiting = "SELECT attempts FROM jobs.procrastinate_jobs WHERE status = 'todo'"
        assert copy.rows(waiting) == [{"attempts": 0}], "the job waits for the next one already"
    successor = worker(copy)
    print(f"stopped job done by the next worker: {until_ready(copy, document):.1f} s")
    check_one_live_version(copy, document, 1)
    assert successor.stop(signal.SIGTERM).code == 0


def test_a_worker_outlives_its_database(copy: Docent) -> None:
    """PostgreSQL is away for longer than any timeout; the job in hand is done when it is back."""
    current = worker(copy)
    document = ""
    with held(copy, "embed"):
        document = copy.submit(write_paper(copy.home / "papers" / "outage.pdf", FIRST))
        until(lambda: waits(copy), 60, "the worker is at embed")
        kill(copy.server_pids()["postgres"])
    current.until_line("worker_waits_for_the_database")
    assert alive(current.pid)
    start(copy.home)
    seconds = until_ready(copy, document)
    print(f"document ready after PostgreSQL came back: {seconds:.1f} s")
    check_one_live_version(copy, document, 1)
    assert current.stop(signal.SIGTERM).code == 0


def test_a_worker_stops_when_asked_while_its_database_is_away(copy: Docent) -> None:
    current = worker(copy)
    kill(copy.server_pids()["postgres"])
    current.until_line("worker_waits_for_the_database")
    started = time.monotonic()
    assert current.stop(signal.SIGTERM).code == 0
    assert time.monotonic() - started < 40
    start(copy.home)


def test_frozen_past_its_lease_a_worker_loses_its_job(copy: Docent) -> None:
    """Another takes over, what the first still writes is refused, and it goes on working."""
    document = copy.submit(write_paper(copy.home / "papers" / "frozen.pdf", FIRST))
    current = worker(copy)
    with held(copy, "embed"):
        until(lambda: waits(copy), 60, "the worker is at embed")
        os.kill(current.pid, signal.SIGSTOP)
        successor = worker(copy)
    until_ready(copy, document)
    before = copy.rows("SELECT id FROM chunks WHERE document_id = %s", document)
    os.kill(current.pid, signal.SIGCONT)
    current.until_line("ingestion_error")
    assert copy.rows("SELECT id FROM chunks WHERE document_id = %s", document) == before
    check_one_live_version(copy, document, 1)
    assert successor.stop(signal.SIGTERM).code == 0
    until_ready(copy, copy.submit(write_paper(copy.home / "papers" / "woken.pdf", SECOND)))
    assert current.stop(signal.SIGTERM).code == 0
