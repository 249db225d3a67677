"""The probes say which part is missing, and liveness asks nobody."""

import httpx
import pytest
from fastapi import FastAPI

from app.http.probes import Probes, probe_router

PARTS = ("postgres", "redis", "index", "embedding")


async def get(path: str, missing: str | None = None, *, can_answer: bool = True) -> httpx.Response:
    async def checks() -> dict[str, bool]:
        assert path != "/livez", "liveness touches no dependency"
        return {part: part != missing for part in PARTS}

    app = FastAPI()
    app.include_router(probe_router(Probes(checks, lambda: can_answer, "9.9")))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        return await client.get(path)


async def test_liveness_asks_nobody() -> None:
    reply = await get("/livez")
    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("missing", PARTS)
async def test_readiness_names_what_is_missing(missing: str) -> None:
    reply = await get("/readyz", missing)
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "2"
    assert reply.json() == {
        "status": "unavailable",
        "checks": {part: "failed" if part == missing else "ok" for part in PARTS},
    }


async def test_readiness_with_everything_there() -> None:
    reply = await get("/readyz")
    assert (reply.status_code, reply.json()["status"]) == (200, "ok")
    assert "retry-after" not in reply.headers


@pytest.mark.parametrize("missing", [None, "redis", "providers"])
async def test_health_answers_whatever_is_missing(missing: str | None) -> None:
    reply = await get("/health", missing, can_answer=missing != "providers")
    body = reply.json()
    assert reply.status_code == 200
    assert (body["status"], body["version"]) == ("degraded" if missing else "ok", "9.9")
    assert body["uptime_s"] >= 0
    assert body["checks"] == {
        part: "failed" if part == missing else "ok" for part in (*PARTS, "providers")
    }
