"""The backend that METRICS_BACKEND names, opened in the process that uses it, after any fork."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.util import find_spec
from typing import Protocol

from app.errors import ConfigurationError
from app.infra.metrics import Backend, Metrics
from app.infra.metrics_dogstatsd import DogStatsdBackend
from app.infra.metrics_otlp import OtlpBackend
from app.settings import Settings

#: How often figures leave for Datadog (its agent gathers for 10 s more) and for OpenTelemetry.
DATADOG_S, OTLP_S = 1.0, 10.0
#: A last delivery may take so long when the process ends.
LAST_PUSH_S = 1.0


class Pushing(Backend, Protocol):
    """A backend that has to send what it gathers."""

    async def push(self) -> None: ...

    def close(self) -> None: ...


@asynccontextmanager
async def open_metrics(settings: Settings, *, port: int = 0) -> AsyncIterator[Metrics]:
    """The metrics of this process; ``port`` answers scrapes by itself (0 = the API does).

    Raises:
        ConfigurationError: the backend cannot work as it is configured.
    """
    async with AsyncExitStack() as stack:
        backend: Backend | None = None
        if settings.metrics_backend == "datadog":
            datadog = DogStatsdBackend(settings.dd_agent_host or "", settings.dd_dogstatsd_port)
            backend = await stack.enter_async_context(_pushed(datadog, DATADOG_S))
        elif settings.metrics_backend == "opentelemetry":
            otlp = OtlpBackend(settings.otel_exporter_otlp_endpoint or "")
            backend = await stack.enter_async_context(_pushed(otlp, OTLP_S))
        elif wants_prometheus(settings):
            backend = _prometheus(settings, port, stack)
        yield Metrics(backend)


def wants_prometheus(settings: Settings) -> bool:
    """Whether Prometheus fetches the metrics.

    Raises:
        ConfigurationError: it is chosen by name and its package is missing.
    """
    installed = find_spec("prometheus_client") is not None
    if settings.metrics_backend == "prometheus" and not installed:
        raise ConfigurationError(
            "METRICS_BACKEND=prometheus needs the package prometheus-client; auto does without."
        )
    return installed and settings.metrics_backend in ("prometheus", "auto")


def _prometheus(settings: Settings, port: int, stack: AsyncExitStack) -> Backend:
    # Imported late: it decides at its import whether it counts in memory or in a folder.
    from app.infra.metrics_prometheus import PrometheusBackend

    backend = PrometheusBackend(settings.prometheus_multiproc_dir)
    if port:
        stack.enter_context(backend.served(settings.bind_address, port))
    return backend


@asynccontextmanager
async def _pushed(backend: Pushing, every_s: float) -> AsyncIterator[Backend]:
    """Send every ``every_s`` seconds, and once more at the end."""
    pushing = asyncio.create_task(_push_forever(backend, every_s))
    try:
        yield backend
    finally:
        pushing.cancel()
        with suppress(asyncio.CancelledError):
            await pushing
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_PUSH_S):
                await backend.push()
        backend.close()


async def _push_forever(backend: Pushing, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await backend.push()
