"""``/metrics`` over gunicorn's four workers and an ingestion worker, some of which are killed."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.auth.keys import create_key
from app.infra.metrics_catalogue import Metric
from tests.conftest import ROOT, SECRET, FreshDatabase, environment
from tests.faults.running import PATIENCE_S, free_port, kill, until
from tests.integration.workshop import owner_rows
from tests.unit.infra.test_metrics import CATALOGUE

CANARY = "xylophone7731"
KNOWN: dict[str, Metric] = {metric.name.removesuffix("_total"): metric for metric in CATALOGUE}
#: Labels that Prometheus's own histograms add.
THEIRS = {"le"}
WORKERS, REQUESTS = 4, 1000


@dataclass
class Served:
    """An API of four workers, and an ingestion worker beside it."""

    url: str
    key: str
    database: FreshDatabase
    master: int
    ingestion: int

    def get(self, path: str, **headers: str) -> httpx.Response:
        """On a connection of its own, so that either worker may get it."""
        return httpx.get(self.url + path, headers={"Connection": "close", **headers}, timeout=60)

    def page(self) -> str:
        answer = self.get("/metrics")
        assert answer.status_code == 200
        return answer.text

    def value(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have ``labels``."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.page())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def workers(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.master).children()]


@contextmanager
def process(*arguments: str, **env: str) -> "Iterator[subprocess.Popen[bytes]]":
    started = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, env=env)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(60)


@pytest.fixture(scope="module")
def served(database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("home")
    folder = home / "metrics"
    folder.mkdir()
    port = free_port()
    env = environment(
        database, home, PORT=str(port), WORKERS=str(WORKERS), LOG_LEVEL="WARNING",
        PROMETHEUS_MULTIPROC_DIR=str(folder), PROVIDER_ORDER="extractive",
    )  # fmt: skip
    key = create_key(database.database_url, SECRET.encode(), tenant=CANARY, name="test")
    gunicorn = ("gunicorn", "-c", "scripts/gunicorn_conf.py", "app.main:app")
    with process(*gunicorn, **env) as master, process("app.worker", **env) as ingestion:
        api = Served(f"http://127.0.0.1:{port}", key, database, master.pid, ingestion.pid)

        def all_run() -> bool:
            try:
                api.get("/livez")
            except httpx.TransportError:
                return False
            roles = [api.value("docent_processes", role=role) for role in ("api", "worker")]
            return roles == [WORKERS, 1]

        until(
            all_run, 2 * PATIENCE_S, "four workers and an ingestion worker have told of themselves"
        )
        yield api


def test_nothing_a_caller_says_becomes_a_label(served: Served) -> None:
    [tenant] = owner_rows(
        served.database.database_url, "SELECT id FROM tenants WHERE name = %s", CANARY
    )
    key = {"X-API-Key": served.key}
    question = {"question": f"Where is the {CANARY}?", "session_id": CANARY}
    answer = httpx.post(f"{served.url}/api/v1/chat", json=question, headers=key, timeout=60)
    assert answer.json()["status"] == "abstained"
    served.get(f"/api/v1/docs/doc_{CANARY}", **key)
    served.get(f"/{CANARY}?{CANARY}={CANARY}", **{"X-Request-ID": CANARY, "User-Agent": CANARY})
    httpx.request(CANARY.upper(), served.url + "/livez")
    chat = {**question, "model": CANARY}
    assert httpx.post(f"{served.url}/api/v1/chat", json=chat, headers=key).status_code < 500
    until(
        lambda: "docent_ingestion_queue_jobs 0.0" in served.page(),
        PATIENCE_S,
        "the queue was looked at",
    )

    page = served.page()
    for secret in (CANARY, CANARY.upper(), tenant["id"], served.key, answer.json()["answer_id"]):
        assert secret not in page
    families = list(text_string_to_metric_families(page))
    assert {family.name for family in families} <= set(KNOWN)
    for family in families:
        assert family.documentation == KNOWN[family.name].help
        for sample in family.samples:
            assert set(sample.labels) - THEIRS <= set(KNOWN[family.name].labels)
    assert served.value("docent_answers_total", status="abstained", reason="no_match") >= 1
    assert served.value("vector_search_requests_total", status="ok") >= 1
    assert served.value("vector_search_duration_seconds_count", model="all-MiniLM-L6-v2") >= 1
    assert served.value("http_requests_total", handler="/api/v1/docs/{document_id}") == 1
    assert served.value("docent_event_loop_lag_seconds_count") > 0


def test_counters_never_go_back_while_workers_are_killed_under_scrapes(served: Served) -> None:
    livez = {"handler": "/livez", "status": "200"}
    with httpx.Client(base_url=served.url, timeout=60) as client:
        for _ in range(20):
            assert client.get("/livez").status_code == 200
    least = served.value("http_requests_total", **livez)
    seen: list[float] = []
    cut = 0
    over = threading.Event()

    def scrape() -> None:
        nonlocal cut
        while not over.is_set():
            try:
                seen.append(served.value("http_requests_total", **livez))
            except httpx.TransportError:  # by the death of the worker that was asked
                cut += 1

    with ThreadPoolExecutor(1) as pool:
        scraping = pool.submit(scrape)
        try:
            for victim in served.workers():
                begun = len(seen)
                until(lambda begun=begun: len(seen) > begun, PATIENCE_S, "a scrape went through")
                kill(victim)
                until(
                    lambda: len(served.workers()) == WORKERS, PATIENCE_S, "another is in its place"
                )
        finally:
            over.set()
        scraping.result(PATIENCE_S)
    print(f"{len(seen)} scrapes, {cut} cut off")
    assert len(seen) > WORKERS
    assert set(seen) == {least}, "what the dead have counted is counted, once"
    until(
        lambda: served.value("docent_processes", role="api") == WORKERS,
        PATIENCE_S,
        "only the living count as processes",
    )


def test_figures_are_those_of_all_processes_the_living_and_the_dead(served: Served) -> None:
    livez = {"handler": "/livez", "status": "200"}
    before = served.value("http_requests_total", **livez)
    with httpx.Client(base_url=served.url, timeout=60) as client:
        for number in range(REQUESTS):
            # A new connection now and then, so that every worker gets some.
            headers = {"Connection": "close"} if number % 10 == 9 else {}
            assert client.get("/livez", headers=headers).status_code == 200
    counted = before + REQUESTS
    assert served.value("http_requests_total", **livez) == counted
    assert served.value("http_request_duration_seconds_count", handler="/livez") == counted

    first, *others = served.workers()
    connections = served.value("docent_database_pool_connections")
    assert connections >= 3
    kill(first)
    assert served.value("http_requests_total", **livez) == counted
    until(
        lambda: (
            served.value("docent_processes", role="api") == WORKERS
            and first not in served.workers()
        ),
        PATIENCE_S,
        "another worker has taken its place, and the dead one is not counted",
    )
    assert set(others) < set(served.workers())
    kill(served.ingestion)
    assert served.value("docent_processes", role="worker") == 0
    assert served.value("http_requests_total", **livez) >= counted

    # A rolling restart: every worker ends, in order this time.
    os.kill(served.master, signal.SIGHUP)
    until(
        lambda: not set(others) & set(served.workers()),
        PATIENCE_S,
        "every worker has been replaced",
    )
    until(
        lambda: served.value("docent_processes", role="api") == WORKERS,
        PATIENCE_S,
        "only the new ones count",
    )
    assert served.value("http_requests_total", **livez) >= counted
