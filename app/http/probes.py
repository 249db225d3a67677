"""``/livez``, ``/readyz`` and ``/health``: open to everyone, and telling nobody anything secret."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel

Checks = Callable[[], Awaitable[dict[str, bool]]]


class Health(BaseModel):
    """How the service and its parts are."""

    status: Literal["ok", "degraded"]
    version: str
    uptime_s: float
    checks: dict[str, str]


class Readiness(BaseModel):
    """Whether questions can be answered, and which part is missing."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, Literal["ok", "failed"]]


def probe_router(checks: Checks, can_answer: Callable[[], bool], version: str) -> APIRouter:
    """The probes over ``checks`` (name → answers); ``can_answer``: some provider is available."""
    router = APIRouter(tags=["probes"])
    started = time.monotonic()

    # Monitors ask by HEAD as well (`wget --spider`).
    @router.head("/livez", operation_id="head_livez")
    @router.get("/livez", operation_id="livez")
    async def livez() -> dict[str, str]:
        """Say that the process is up; no dependency is asked."""
        return {"status": "ok"}

    not_ready: dict[int | str, dict[str, Any]] = {503: {"model": Readiness}}

    @router.head("/readyz", operation_id="head_readyz", responses=not_ready)
    @router.get("/readyz", operation_id="readyz", response_model=Readiness, responses=not_ready)
    async def readyz() -> JSONResponse:
        """Say whether questions can be answered, and if not, which part is missing."""
        found = await checks()
        ready = all(found.values())
        body: dict[str, Any] = {
            "status": "ok" if ready else "unavailable",
            "checks": {name: "ok" if good else "failed" for name, good in found.items()},
        }
        headers = {} if ready else {"Retry-After": "2"}
        return JSONResponse(body, status_code=200 if ready else 503, headers=headers)

    @router.head("/health", operation_id="head_health")
    @router.get("/health", operation_id="health")
    async def health() -> Health:
        """Show every part; answers 200 also when one is missing."""
        found = await checks()
        found["providers"] = can_answer()
        return Health(
            status="ok" if all(found.values()) else "degraded",
            version=version,
            uptime_s=round(time.monotonic() - started, 1),
            checks={name: "ok" if good else "failed" for name, good in found.items()},
        )

    return router
