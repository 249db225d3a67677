"""A request as a trace: its route's template, never its path, its query or its headers."""

from typing import Any

from starlette.types import Scope

from app.infra.tracing import Span, Tracer

#: Asked all day long by machines that want nothing.
_PROBES = frozenset({"/livez", "/readyz", "/health", "/metrics"})
_SERVER_ERROR = 500


def begin_request(tracer: Tracer, scope: Scope) -> Span:
    """Begin the trace of a request; a caller that sends two parents has none."""
    told: list[bytes] = []
    if tracer.is_on:
        told = [value for name, value in scope["headers"] if name == b"traceparent"]
    traceparent = told[0] if len(told) == 1 else None
    return tracer.begin("HTTP", kind="server", traceparent=traceparent)


def end_request(span: Span, scope: Scope, status: int) -> None:
    """Say how it ended; what reached no route, as a stranger's request, is not kept."""
    if span.kept_trace_id is None:
        return
    route: Any = scope.get("route")
    if route is None or route.path in _PROBES:
        span.drop()
        return
    span.rename(f"{scope['method']} {route.path}")
    span.note(
        {
            "http.request.method": scope["method"],
            "http.route": route.path,
            "http.response.status_code": status,
            "docent.request.id": scope["state"]["request_id"],
        }
    )
    span.end(str(status) if status >= _SERVER_ERROR else None)
