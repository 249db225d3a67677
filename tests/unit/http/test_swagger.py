"""The page at /docs is whole from here: it loads nothing from elsewhere, and its policy says so."""

import base64
import hashlib
import re

import httpx
from fastapi import FastAPI

from app.auth.gate import OPEN_PATHS
from app.http.middleware import RequestContext
from app.http.swagger import router


async def get(path: str) -> httpx.Response:
    app = FastAPI(docs_url=None)
    app.include_router(router)
    transport = httpx.ASGITransport(RequestContext(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://docent") as client:
        return await client.get(path)


async def test_the_policy_allows_exactly_what_the_page_loads() -> None:
    reply = await get("/docs")
    page, policy = reply.text, reply.headers["content-security-policy"]
    assert reply.status_code == 200
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert "//" not in page.replace("<!doctype", ""), "nothing from elsewhere"
    [inline] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert rules["script-src"].split() == ["'self'", f"'sha256-{digest}'"]
    assert rules["style-src"].split() == ["'self'", "'unsafe-inline'"]
    assert rules["connect-src"] == "'self'"
    assert rules["default-src"] == rules["frame-ancestors"] == "'none'"


async def test_what_the_page_loads_is_there_without_a_key() -> None:
    page = (await get("/docs")).text
    loaded = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    assert len(loaded) == 2
    for path, kind in zip(sorted(loaded), ("javascript", "css"), strict=True):
        reply = await get(path)
        assert reply.status_code == 200
        assert kind in reply.headers["content-type"]
        assert "swagger" in reply.text
        assert path in OPEN_PATHS
