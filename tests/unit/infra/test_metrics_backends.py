"""Which backend METRICS_BACKEND stands for, and that nothing measured last is lost."""

import asyncio
import socket
from typing import Any

import pytest

from app.infra.metrics_backends import open_metrics
from app.settings import Settings
from tests.unit.infra.test_metrics_otlp import collecting


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("backend", "fetched"),
    [("prometheus", True), ("auto", True), ("noop", False)],
)
async def test_only_prometheus_fetches(backend: str, fetched: bool) -> None:
    async with open_metrics(settings(metrics_backend=backend)) as metrics:
        metrics.answer("complete", None)
        page = await metrics.page()
    assert (page is not None and b"docent_answers_total" in page.body) == fetched


def test_the_default_is_prometheus() -> None:
    assert settings().metrics_backend == "prometheus"


async def test_the_last_figures_reach_datadog() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        agent.settimeout(10)
        chosen = settings(
            metrics_backend="datadog",
            dd_agent_host="127.0.0.1",
            dd_dogstatsd_port=agent.getsockname()[1],
        )
        async with open_metrics(chosen) as metrics:
            metrics.answer("complete", None)
            assert await metrics.page() is None
        assert agent.recv(65_536) == b"docent_answers_total:1|c|#status:complete,reason:none"


async def test_the_last_figures_reach_opentelemetry() -> None:
    async with collecting() as collector:
        chosen = settings(
            metrics_backend="opentelemetry", otel_exporter_otlp_endpoint=collector.url
        )
        async with open_metrics(chosen) as metrics:
            metrics.answer("complete", None)
        assert set(collector.metrics()) == {"docent_answers_total"}


async def test_a_collector_that_never_answers_does_not_hold_up_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as blackhole:
        url = f"http://127.0.0.1:{blackhole.getsockname()[1]}"
        chosen = settings(metrics_backend="opentelemetry", otel_exporter_otlp_endpoint=url)
        async with asyncio.timeout(30), open_metrics(chosen) as metrics:
            metrics.answer("complete", None)
