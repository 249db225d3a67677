"""What a collector over real HTTP receives, and one that is away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from app.infra.metrics import Metrics
from app.infra.metrics_otlp import OtlpBackend
from tests.unit.infra.test_metrics import CATALOGUE, say_everything


class Collector:
    """Keeps the deliveries it gets, and refuses them when told to."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/json"
        self.got.append(await request.json())
        return web.json_response({}, status=self.status)

    def metrics(self) -> dict[str, dict[str, Any]]:
        """The last delivery, by name."""
        [resource] = self.got[-1]["resourceMetrics"]
        [scope] = resource["scopeMetrics"]
        return {metric["name"]: metric for metric in scope["metrics"]}


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/metrics", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()


async def test_everything_arrives_in_the_shapes_of_the_protocol() -> None:
    async with collecting() as collector:
        backend = OtlpBackend(collector.url + "/")
        say_everything(Metrics(backend))
        await backend.push()
        say_everything(Metrics(backend))
        await backend.push()
    assert backend.page() is None
    metrics = collector.metrics()
    assert set(metrics) == {metric.name for metric in CATALOGUE}
    for metric in CATALOGUE:
        assert metrics[metric.name]["description"] == metric.help
    answers = metrics["docent_answers_total"]["sum"]
    assert (answers["aggregationTemporality"], answers["isMonotonic"]) == (2, True)
    [point] = answers["dataPoints"]
    assert point["asDouble"] == 2
    assert point["attributes"] == [
        {"key": "status", "value": {"stringValue": "abstained"}},
        {"key": "reason", "value": {"stringValue": "no_match"}},
    ]
    [lag] = metrics["docent_event_loop_lag_seconds"]["histogram"]["dataPoints"]
    assert (lag["count"], lag["sum"], lag["bucketCounts"][1]) == ("2", 0.004, "2")
    assert len(lag["bucketCounts"]) == len(lag["explicitBounds"]) + 1
    [age] = metrics["docent_ingestion_queue_age_seconds"]["gauge"]["dataPoints"]
    assert age["asDouble"] == 12.5


async def test_a_value_on_a_bound_is_within_it_and_one_beyond_all_is_counted() -> None:
    backend = OtlpBackend("http://127.0.0.1:1")
    for seconds in (0.001, 99.0):
        Metrics(backend).loop_lag(seconds)
    assert b'"bucketCounts":["1","0","0","0","0","0","0","0","0","0","1"]' in backend.message()


async def test_a_collector_that_was_away_has_missed_nothing() -> None:
    async with collecting() as collector:
        backend = OtlpBackend(collector.url)
        metrics = Metrics(backend)
        metrics.answer("complete", None)
        collector.status = 503
        await backend.push()
        assert backend.away
        metrics.answer("complete", None)
        collector.status = 200
        await backend.push()
        assert not backend.away
        [point] = collector.metrics()["docent_answers_total"]["sum"]["dataPoints"]
        assert point["asDouble"] == 2
    await backend.push()
    assert backend.away, "nobody listens there any more"
    backend.close()
