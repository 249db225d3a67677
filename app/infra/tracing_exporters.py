"""The exporters that the settings name, opened in the process that uses them, after any fork."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol
from urllib.parse import unquote

from app.infra.metrics import Metrics
from app.infra.tracing import Exporter, Tracer
from app.settings import Settings


class Running(Exporter, Protocol):
    """An exporter that delivers while it runs."""

    def running(self) -> AbstractAsyncContextManager[None]: ...


@asynccontextmanager
async def open_tracing(settings: Settings, metrics: Metrics) -> AsyncIterator[Tracer]:
    """The tracer of this process; what it has at the end still leaves, within a second or so."""
    exporters = _exporters(settings, metrics)
    async with AsyncExitStack() as stack:
        for exporter in exporters:
            await stack.enter_async_context(exporter.running())
        yield Tracer(
            exporters,
            sample_rate=settings.tracing_sample_rate,
            content=settings.tracing_content == "masked",
        )


def _exporters(settings: Settings, metrics: Metrics) -> list[Running]:
    # Imported late: whoever traces nothing pays for nothing.
    found: list[Running] = []
    if settings.otel_exporter_otlp_traces_endpoint:
        from app.infra.tracing_otlp import OtlpExporter

        headers = settings.otel_exporter_otlp_traces_headers
        found.append(
            OtlpExporter(
                settings.otel_exporter_otlp_traces_endpoint,
                _headers(headers.get_secret_value() if headers else ""),
                metrics,
            )
        )
    if settings.langfuse_public_key and settings.langfuse_secret_key:
        from app.infra.tracing_langfuse import LangfuseExporter

        keys = settings.langfuse_public_key, settings.langfuse_secret_key.get_secret_value()
        found.append(LangfuseExporter(settings.langfuse_base_url, keys, metrics))
    return found


def _headers(listed: str) -> dict[str, str]:
    """``name=value,name=value``, values as in a URL (OpenTelemetry: environment variables)."""
    pairs = (pair.partition("=") for pair in listed.split(",") if pair.strip())
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs}
