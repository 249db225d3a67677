"""``/metrics``, and what is told of each request: its route's template, never its path."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from starlette.types import Scope

from app.errors import NotFound
from app.http.problems import documented_problems
from app.infra.metrics import Metrics, Page

#: The handler of requests that met no route: unknown paths, and callers without a credential.
NO_ROUTE = "none"


def metrics_router(page: Callable[[], Awaitable[Page | None]]) -> APIRouter:
    """The route that Prometheus asks; like the probes it is open to whoever reaches the address."""
    router = APIRouter(tags=["probes"])

    @router.get(
        "/metrics",
        operation_id="metrics",
        response_class=PlainTextResponse,
        responses=documented_problems(404),
    )
    async def metrics() -> Response:
        """Show what is measured, over all processes, in Prometheus's text format."""
        found = await page()
        if found is None:
            raise NotFound("Metrics are not fetched here: METRICS_BACKEND says where they go.")
        return Response(found.body, media_type=found.media_type)

    return router


def count_request(metrics: Metrics, scope: Scope, status: int, seconds: float) -> None:
    """Count one request that has ended."""
    route: Any = scope.get("route")
    handler = NO_ROUTE if route is None else route.path
    metrics.request(scope["method"], handler, status, seconds)
