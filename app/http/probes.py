"""``/livez``, ``/readyz`` and ``/health``: open to everyone, and telling nobody anything secret."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel

Checks = Callable[[], Awaitable[dict[str, bool]]]
Probe = Callable[[], Awaitable[JSONResponse]]


class Life(BaseModel):
    """That the process is up."""

    status: Literal["ok"]


class Health(BaseModel):
    """How the service and its parts are."""

    status: Literal["ok", "degraded"]
    version: str
    uptime_s: float
    checks: dict[str, Literal["ok", "failed"]]


class Readiness(BaseModel):
    """Whether questions can be answered, and which part is missing."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, Literal["ok", "failed"]]


class Probes:
    """The probes over ``checks`` (name → answers); ``can_answer``: some provider is available."""

    def __init__(self, checks: Checks, can_answer: Callable[[], bool], version: str) -> None:
        self._checks, self._can_answer, self._version = checks, can_answer, version
        self._started = time.monotonic()

    async def livez(self) -> JSONResponse:
        """Say that the process is up; no dependency is asked."""
        return JSONResponse({"status": "ok"})

    async def readyz(self) -> JSONResponse:
        """Say whether questions can be answered, and if not, which part is missing."""
        found = await self._checks()
        ready = all(found.values())
        body = {"status": "ok" if ready else "unavailable", "checks": _told(found)}
        headers = {} if ready else {"Retry-After": "2"}
        return JSONResponse(body, status_code=200 if ready else 503, headers=headers)

    async def health(self) -> JSONResponse:
        """Show every part; answers 200 also when one is missing."""
        found = await self._checks()
        found["providers"] = self._can_answer()
        body = {
            "status": "ok" if all(found.values()) else "degraded",
            "version": self._version,
            "uptime_s": round(time.monotonic() - self._started, 1),
            "checks": _told(found),
        }
        return JSONResponse(body)

    def at(self, path: str) -> Probe | None:
        """The probe of a path."""
        return {"/livez": self.livez, "/readyz": self.readyz, "/health": self.health}.get(path)


def _told(found: dict[str, bool]) -> dict[str, str]:
    return {name: "ok" if good else "failed" for name, good in found.items()}


def probe_router(probes: Probes) -> APIRouter:
    """The routes of ``probes``; monitors ask by HEAD as well (`wget --spider`)."""
    router = APIRouter(tags=["probes"])
    not_ready: dict[int | str, dict[str, Any]] = {503: {"model": Readiness}}
    for add, prefix in ((router.head, "head_"), (router.get, "")):
        add("/livez", operation_id=f"{prefix}livez", response_model=Life)(probes.livez)
        add(
            "/readyz",
            operation_id=f"{prefix}readyz",
            response_model=Readiness,
            responses=not_ready,
        )(probes.readyz)
        add("/health", operation_id=f"{prefix}health", response_model=Health)(probes.health)
    return router
