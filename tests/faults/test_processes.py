"""Every process of a running copy killed or frozen, one after the other: it heals by itself."""

import os
import signal
import time
from collections.abc import Iterator

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tests.faults.running import (
    Docent,
    alive,
    copy_of_docent,
    frozen,
    kill,
    until,
    write_paper,
)

#: After a fault has cleared, everything is normal again within 10 s on a free machine (design:
#: faults; measured in docs/fault-table.md); here the cores are shared with other tests.
HEAL_S = 60.0
GREENHOUSE = [["Notes on the greenhouse", "The tomatoes are watered at dawn on Tuesdays."]]


@pytest.fixture(scope="module")
def copy() -> Iterator[Docent]:
    with copy_of_docent() as docent:
        docent.run("--no-demo")
        yield docent


@pytest.fixture
def running(copy: Docent) -> Iterator[Docent]:
    """The copy, healthy again before the next test whatever became of it in this one."""
    yield copy
    if not alive(copy.programs[-1].pid):
        copy.run("--no-demo")
    copy.until_ready()


def report(fault: str, seconds: float) -> None:
    """Recovery times for docs/fault-table.md (shown by ``pytest -rP``)."""
    print(f"{fault}: {seconds:.1f} s")


def workers_of(master: int) -> list[int]:
    return [child.pid for child in psutil.Process(master).children()]


def heal(running: Docent, fault: str) -> None:
    """Wait for readiness while the probe of life stays up."""
    started = time.monotonic()

    def ready() -> bool:
        assert running.status_of("/livez") == 200
        return running.status_of("/readyz") == 200

    until(ready, HEAL_S, "ready again")
    report(fault, time.monotonic() - started)
    running.check_intact()


def test_an_api_worker_is_killed(running: Docent) -> None:
    master = running.pid("api")
    before = workers_of(master)
    started = time.monotonic()
    kill(before[0])
    assert running.ask().status_code == 200  # the other one answers
    until(lambda: len(workers_of(master)) == len(before), HEAL_S, "a new worker")
    report("API worker killed", time.monotonic() - started)
    running.check_intact()


def test_the_api_master_is_killed(running: Docent) -> None:
    master = running.pid("api")
    orphans = workers_of(master)
    started = time.monotonic()
    kill(master)
    until(lambda: running.pid("api") != master, HEAL_S, "started again")
    running.until_ready(HEAL_S)
    report("API master killed", time.monotonic() - started)
    assert not any(alive(pid) for pid in orphans)
    running.check_intact()


def test_postgres_is_killed(running: Docent) -> None:
    before = running.server_pids()["postgres"]
    kill(before)
    heal(running, "PostgreSQL killed")
    assert running.server_pids()["postgres"] != before
    document = running.submit(write_paper(running.home / "papers" / "greenhouse.pdf", GREENHOUSE))
    report("ingestion after PostgreSQL was killed", running.until_ingested(document))
    assert "dawn on Tuesdays" in running.ask("When are the tomatoes watered?").json()["answer"]


def test_redis_is_killed(running: Docent) -> None:
    before = running.server_pids()["redis"]
    kill(before)
    assert running.ask().status_code == 200
    heal(running, "Redis killed")
    assert running.server_pids()["redis"] != before


def test_redis_is_frozen(running: Docent) -> None:
    with frozen(running.server_pids()["redis"]):
        ready = running.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["redis"]) == (503, "failed")
        assert ready.json()["checks"]["postgres"] == "ok"
        assert running.get("/livez").status_code == 200
        started = time.monotonic()
        assert running.ask().json()["status"] == "complete"
        report("an answer while Redis is frozen", time.monotonic() - started)
        assert time.monotonic() - started < 3
    heal(running, "Redis woken")


def test_postgres_is_frozen_and_the_probes_tell(running: Docent) -> None:
    with frozen(running.server_pids()["postgres"]):
        started = time.monotonic()
        ready = running.get("/readyz", timeout_s=30)
        report("/readyz while PostgreSQL is frozen", time.monotonic() - started)
        assert (ready.status_code, ready.json()["checks"]["postgres"]) == (503, "failed")
        assert int(ready.headers["Retry-After"]) > 0
        assert time.monotonic() - started < 5
        assert running.get("/livez", timeout_s=2).status_code == 200
    heal(running, "PostgreSQL woken")


def test_postgres_is_frozen_and_questions_are_refused(running: Docent) -> None:
    with frozen(running.server_pids()["postgres"]):
        started = time.monotonic()
        refused = running.ask(timeout_s=25)
        report("a question while PostgreSQL is frozen", time.monotonic() - started)
        assert refused.status_code == 503
        assert refused.json()["code"] == "database_unavailable"
        assert refused.headers["Retry-After"]
    heal(running, "PostgreSQL woken")


def test_the_ingestion_worker_is_killed_while_idle(running: Docent) -> None:
    before = running.pid("worker")
    started = time.monotonic()
    kill(before)
    until(lambda: running.pid("worker") != before, HEAL_S, "started again")
    document = running.submit(write_paper(running.home / "papers" / "well.pdf"))
    running.until_ingested(document)
    report("ingestion worker killed, then a document ingested", time.monotonic() - started)
    running.check_intact()


def test_the_launcher_is_killed(running: Docent) -> None:
    launcher = running.programs[-1]
    children = [running.pid("api"), running.pid("worker"), *workers_of(running.pid("api"))]
    servers = running.server_pids()
    started = time.monotonic()
    kill(launcher.pid)
    until(lambda: not any(alive(pid) for pid in children), HEAL_S, "its children end")
    report("launcher killed: its children have ended", time.monotonic() - started)
    started = time.monotonic()
    running.run("--no-demo")
    report("next start", time.monotonic() - started)
    assert running.server_pids() == servers  # taken over
    running.check_intact()


def test_everything_is_killed_at_once(running: Docent) -> None:
    everything = [process.pid for process in running.processes()]
    assert len(everything) > 8
    for pid in everything:
        os.kill(pid, signal.SIGKILL)
    until(lambda: running.processes() == [], HEAL_S, "all gone")
    started = time.monotonic()
    running.run("--no-demo")
    report("next start after everything was killed", time.monotonic() - started)
    running.check_intact()
    ended = running.programs[-1].stop()
    assert ended.code == 0
    assert running.processes() == []
