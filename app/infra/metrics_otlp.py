"""Metrics for an OpenTelemetry collector: OTLP over HTTP, encoded as JSON.

Sums are kept here and sent whole every few seconds, so that a collector that was away has missed
nothing, and memory depends on the number of series only. Written by hand because the SDK brings
protobuf and threads for these four shapes. Format: https://opentelemetry.io/docs/specs/otlp
"""

import os
import time
from bisect import bisect_left
from typing import Any

import aiohttp
import orjson
import structlog

from app.infra.metrics_catalogue import Labels, Metric

log = structlog.get_logger(__name__)
TIMEOUT_S = 5.0
_CUMULATIVE = 2


class OtlpBackend:
    """Keeps the figures of this process, and sends them to ``endpoint``/v1/metrics."""

    def __init__(self, endpoint: str) -> None:
        self._url = endpoint.rstrip("/") + "/v1/metrics"
        self._resource = [
            _attribute("service.name", "docent"),
            _attribute("service.instance.id", f"{os.uname().nodename}-{os.getpid()}"),
        ]
        self._started = str(time.time_ns())
        self._numbers: dict[Metric, dict[Labels, float]] = {}
        #: Counts by bucket, the last beyond every bound.
        self._buckets: dict[Metric, dict[Labels, list[int]]] = {}
        #: Whether the last delivery failed.
        self.away = False

    def count(self, metric: Metric, labels: Labels, amount: float) -> None:
        """Add to a sum."""
        series = self._numbers.setdefault(metric, {})
        series[labels] = series.get(labels, 0.0) + amount

    def observe(self, metric: Metric, labels: Labels, value: float) -> None:
        """Add to a histogram."""
        buckets = self._buckets.setdefault(metric, {})
        counts = buckets.get(labels)
        if counts is None:
            counts = buckets[labels] = [0] * (len(metric.buckets) + 1)
        counts[bisect_left(metric.buckets, value)] += 1
        self.count(metric, labels, value)

    def set(self, metric: Metric, labels: Labels, value: float) -> None:
        """Set a gauge."""
        self._numbers.setdefault(metric, {})[labels] = value

    def page(self) -> None:
        """Nothing to fetch: the collector has it."""

    async def push(self) -> None:
        """Send everything once; a collector that does not take it is logged once and tried again.

        A client each time: a connection that is idle for the whole interval saves nothing.
        """
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        headers = {"Content-Type": "application/json"}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as client,
                client.post(self._url, data=self.message(), headers=headers) as answer,
            ):
                answer.raise_for_status()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not self.away:
                log.warning("metrics_not_delivered", error=type(error).__name__)
            self.away = True
        else:
            self.away = False

    def close(self) -> None:
        """Nothing is held open."""

    def message(self) -> bytes:
        """The body of a delivery (ExportMetricsServiceRequest)."""
        now = str(time.time_ns())
        metrics = [self._metric(metric, now) for metric in self._numbers]
        scope = {"scope": {"name": "docent"}, "metrics": metrics}
        resource = {"resource": {"attributes": self._resource}, "scopeMetrics": [scope]}
        return orjson.dumps({"resourceMetrics": [resource]})

    def _metric(self, metric: Metric, now: str) -> dict[str, Any]:
        points = [self._point(metric, labels, now) for labels in self._numbers[metric]]
        shape: dict[str, Any] = {"dataPoints": points}
        if metric.kind != "gauge":
            shape["aggregationTemporality"] = _CUMULATIVE
        if metric.kind == "counter":
            shape["isMonotonic"] = True
        kind = "sum" if metric.kind == "counter" else metric.kind
        return {"name": metric.name, "description": metric.help, kind: shape}

    def _point(self, metric: Metric, labels: Labels, now: str) -> dict[str, Any]:
        value = self._numbers[metric][labels]
        point: dict[str, Any] = {
            "attributes": list(map(_attribute, metric.labels, labels)),
            "startTimeUnixNano": self._started,
            "timeUnixNano": now,
        }
        if metric.kind != "histogram":
            return {**point, "asDouble": value}
        counts = self._buckets[metric][labels]
        return {
            **point,
            "count": str(sum(counts)),
            "sum": value,
            "bucketCounts": list(map(str, counts)),
            "explicitBounds": metric.buckets,
        }


def _attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}
