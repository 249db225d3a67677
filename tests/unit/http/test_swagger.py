"""The page at /docs runs the scripts it names, and nothing else (its hashes are of those)."""

import base64
import hashlib
import re

from fastapi import FastAPI

from app.http.middleware import RequestContext
from app.http.swagger import router
from tests.asgi import call


async def test_the_policy_allows_exactly_what_the_page_loads() -> None:
    app = FastAPI(docs_url=None)
    app.include_router(router)
    reply = await call(RequestContext(app), method="GET", path="/docs")
    page, policy = reply.body.decode(), reply.header("content-security-policy")
    assert reply.status == 200
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    loaded = re.findall(r'(?:src|href)="(https[^"]+)" integrity="sha384-[A-Za-z0-9+/]{64}"', page)
    assert len(loaded) == 2
    assert len(re.findall("https?://", page)) == 2, "everything from elsewhere has its hash"
    [style, script] = loaded
    [inline] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert rules["script-src"].split() == [script, f"'sha256-{digest}'"]
    assert rules["style-src"].split() == [style, "'unsafe-inline'"]
    assert rules["connect-src"] == "'self'"
    assert rules["default-src"] == rules["frame-ancestors"] == "'none'"
    assert app.openapi()["paths"] == {}
