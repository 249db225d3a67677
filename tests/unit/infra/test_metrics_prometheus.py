"""Figures in Prometheus's text; of killed workers: tests/faults/test_metrics.py."""

import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.errors import ConfigurationError
from app.infra.metrics import Metrics
from app.infra.metrics_prometheus import PrometheusBackend, forget_dead
from tests.unit.infra.test_metrics import CATALOGUE, say_everything

ROOT = Path(__file__).parents[3]


async def test_every_metric_comes_with_its_help_and_value() -> None:
    metrics = Metrics(PrometheusBackend())
    say_everything(metrics)
    say_everything(metrics)
    page = await metrics.page()
    assert page is not None
    families = {found.name: found for found in text_string_to_metric_families(page.body.decode())}
    assert len(families) == len(CATALOGUE)
    for metric in CATALOGUE:
        family = families[metric.name.removesuffix("_total")]
        assert (family.documentation, family.type) == (metric.help, metric.kind)
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert samples["docent_provider_tokens_total", "groq", "m", "prompt"] == 14
    assert samples["docent_provider_duration_seconds_sum", "groq", "m"] == 1
    assert samples["docent_provider_circuit_state", "groq", "m"] == 1
    assert samples["vector_search_duration_seconds_bucket", "0.0025", "minilm", "ok"] == 2
    assert samples["docent_ingestion_queue_age_seconds",] == 12.5


def test_two_houses_in_one_process_do_not_mix() -> None:
    first, second = PrometheusBackend(), PrometheusBackend()
    Metrics(first).answer("complete", None)
    assert b"docent_answers_total{" in first.page().body
    assert b"docent_answers_total{" not in second.page().body


def test_a_process_without_a_door_answers_on_a_port_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigurationError, match=f"WORKER_METRICS_PORT {port} cannot"),
            PrometheusBackend().served("127.0.0.1", port),
        ):
            pass
    backend = PrometheusBackend()
    Metrics(backend).running("worker")
    with backend.served("127.0.0.1", port):
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    assert 'docent_processes{role="worker"} 1.0' in text


def test_a_folder_that_only_the_settings_know_is_refused(tmp_path: Path) -> None:
    """Figures would be counted in memory and looked for in the folder."""
    with pytest.raises(ConfigurationError, match="stand in the environment"):
        PrometheusBackend(tmp_path)


COUNT = """
import sys
from pathlib import Path
from app.infra.metrics import Metrics
from app.infra.metrics_prometheus import PrometheusBackend
metrics = Metrics(backend := PrometheusBackend(Path(sys.argv[1])))
metrics.answer("complete", None)
metrics.running("api")
metrics.backlog(int(sys.argv[2]), 0.0)
sys.stdout.write(backend.page().body.decode())
"""


def count(folder: Path, waiting: int) -> str:
    """The page of a process that counts once in ``folder`` and ends."""
    return subprocess.run(
        [sys.executable, "-c", COUNT, str(folder), str(waiting)],
        cwd=ROOT,
        env={"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_counters_outlive_their_process_and_gauges_do_not(tmp_path: Path) -> None:
    count(tmp_path, 7)
    assert list(tmp_path.glob("gauge_livesum_*.db"))
    page = count(tmp_path, 3)
    assert 'docent_answers_total{reason="none",status="complete"} 2.0' in page
    assert 'docent_processes{role="api"} 1.0' in page
    assert "docent_ingestion_queue_jobs 3.0" in page
    assert "# HELP docent_answers_total Answers by status" in page
    forget_dead(tmp_path)
    assert list(tmp_path.glob("gauge_live*.db")) == []
    assert len(list(tmp_path.glob("counter_*.db"))) == 2


def test_a_process_that_begins_just_now_is_no_error(tmp_path: Path) -> None:
    for name in ("counter_1.db", "gauge_livesum_1.db"):
        (tmp_path / name).touch()
    assert 'docent_answers_total{reason="none",status="complete"} 1.0' in count(tmp_path, 0)
