"""Metrics that Prometheus fetches, over all processes of a machine.

With a folder, each process writes its figures to files of its own there (prometheus-client's
multiprocess mode) and whoever is asked adds them up: counters and histograms of the dead too, so
that they never go back, gauges of the living only. Without one they are this process's alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
    values,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from app.errors import ConfigurationError
from app.infra.embedded.processes import runs
from app.infra.metrics import Page
from app.infra.metrics_catalogue import Labels, Metric


class _Files(MultiProcessCollector):
    """Reads the files of all processes, but for those that are empty.

    A process that begins just now has made such a file and not filled it; one that was killed at
    that moment left it for ever.
    """

    def collect(self) -> Any:  # noqa: ANN401 - untyped there
        files = [str(path) for path in Path(self._path).glob("*.db") if _size(path)]
        return self.merge(files)  # type: ignore[no-untyped-call]


class PrometheusBackend:
    """Counts in memory, or in ``folder`` together with every other process that has it.

    Raises:
        ConfigurationError: ``folder`` is not there, or not in the environment, which is where
            prometheus-client looks for it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        # Two more lines for each series, for a format nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._folder = folder
        self._registry = CollectorRegistry()
        self._families: dict[Metric, Any] = {}
        #: Looking a child up here costs half of what ``labels()`` does.
        self._children: dict[tuple[Metric, Labels], Any] = {}
        in_files = values.ValueClass is not values.MutexValue
        if in_files != (folder is not None and folder.is_dir()):
            raise ConfigurationError(
                "PROMETHEUS_MULTIPROC_DIR must be a folder and stand in the environment, or not be "
                "set at all."
            )
        if folder is not None:
            _Files(self._registry, str(folder))  # type: ignore[no-untyped-call]

    def count(self, metric: Metric, labels: Labels, amount: float) -> None:
        """Add to a counter."""
        self._child(metric, labels).inc(amount)

    def observe(self, metric: Metric, labels: Labels, value: float) -> None:
        """Add to a histogram."""
        self._child(metric, labels).observe(value)

    def set(self, metric: Metric, labels: Labels, value: float) -> None:
        """Set a gauge."""
        self._child(metric, labels).set(value)

    def page(self) -> Page:
        """The text format, version 0.0.4, which every scraper reads."""
        if self._folder is not None:
            forget_dead(self._folder)
        return Page(CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry))

    @contextmanager
    def served(self, address: str, port: int) -> Iterator[None]:
        """Answer scrapes on a port of its own, for a process without an HTTP door.

        Raises:
            ConfigurationError: the port cannot be had.
        """
        try:
            server, thread = start_http_server(port, address, self._registry)
        except OSError as error:
            raise ConfigurationError(
                f"WORKER_METRICS_PORT {port} cannot be listened on: {error.strerror}."
            ) from error
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _child(self, metric: Metric, labels: Labels) -> Any:  # noqa: ANN401 - one of three
        child = self._children.get((metric, labels))
        if child is None:
            family = self._families.get(metric)
            if family is None:
                family = self._families[metric] = self._family(metric)
            child = family.labels(*labels) if labels else family
            self._children[metric, labels] = child
        return child

    def _family(self, metric: Metric) -> Any:  # noqa: ANN401
        # In a folder, the collector finds what is written there; registered it would count twice.
        registry = self._registry if self._folder is None else None
        if metric.kind == "counter":
            return Counter(metric.name, metric.help, metric.labels, registry=registry)
        if metric.kind == "histogram":
            return Histogram(
                metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets
            )
        return Gauge(
            metric.name,
            metric.help,
            metric.labels,
            registry=registry,
            multiprocess_mode="livesum" if metric.combined == "sum" else "livemostrecent",
        )


def forget_dead(folder: Path) -> None:
    """Remove the gauges of processes that have ended, however they ended.

    Gunicorn tells of its own workers (``child_exit``), but nobody tells of an ingestion worker.
    """
    for pid in {path.stem.rpartition("_")[2] for path in folder.glob("gauge_live*.db")}:
        if not _runs(int(pid)):
            try:
                mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]
            except FileNotFoundError:  # another process was asked at the same moment
                continue


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # the gauges of a process that has ended
        return 0


def _runs(pid: int) -> bool:
    try:
        return runs(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False
