"""Who traces nothing loads nothing; who traces finds exporters as the settings name them."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from app.infra.metrics import Metrics
from app.infra.tracing import masked
from app.infra.tracing_exporters import open_tracing
from app.settings import Settings
from tests.collector import LANGFUSE, OTLP, Collector, collecting

UNCONFIGURED = """
import asyncio, sys
from app.infra.metrics import Metrics
from app.infra.tracing_exporters import open_tracing
from app.settings import Settings
async def main():
    before = set(sys.modules)
    async with open_tracing(Settings(_env_file=None), Metrics()) as tracer:
        with tracer.begin("root", kind="server") as root:
            assert root.trace_id is None
    assert set(sys.modules) == before, set(sys.modules) - before
    assert not {"aiohttp", "app.infra.tracing_otlp", "app.infra.tracing_langfuse"} & before
asyncio.run(main())
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]


def test_nothing_is_loaded_for_whoever_traces_nothing() -> None:
    subprocess.run([sys.executable, "-c", UNCONFIGURED], check=True)


async def test_both_get_what_is_left_at_the_end(collector: Collector) -> None:
    chosen = settings(
        otel_exporter_otlp_traces_endpoint=collector.url + OTLP,
        otel_exporter_otlp_traces_headers="x-one=a%20b, x-two=c=d",
        langfuse_base_url=collector.url,
        langfuse_public_key="pk-lf-1",
        langfuse_secret_key="sk-lf-2",
        tracing_content="masked",
    )
    async with open_tracing(chosen, Metrics()) as tracer:
        with tracer.begin("root", kind="server") as root:
            root.share("question", {})
            root.quote("docent.question", lambda: masked("How large?"), 10)
    assert collector.named("root").attributes["docent.question"] == "How large?"
    assert collector.named("root", LANGFUSE)
    sent = next(delivery for delivery in collector.deliveries if delivery.path == OTLP)
    assert (sent.headers["x-one"], sent.headers["x-two"]) == ("a b", "c=d")


async def test_nothing_is_drawn_at_a_rate_of_nothing(collector: Collector) -> None:
    chosen = settings(
        otel_exporter_otlp_traces_endpoint=collector.url + OTLP, tracing_sample_rate=0
    )
    async with open_tracing(chosen, Metrics()) as tracer:
        with tracer.begin("root", kind="server") as root:
            assert root.trace_id is not None, "logs and answers name it all the same"
    assert collector.deliveries == []
