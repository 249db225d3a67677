"""The POST of ``empty_app`` that also asks PostgreSQL and Redis as often as a kept answer does.

They are asked by the product's own pool and line, and nothing is done with what they answer: what
is left between this and a kept answer is what the product does itself.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from redis.asyncio import Redis

from app.infra.postgres import fetch_all, open_pool
from app.infra.redis import Guarded, open_redis
from app.infra.redis_line import open_line
from app.infra.servers import urls_of
from app.settings import load_settings
from scripts.chat_benchmark.empty_app import AnswerOut, Body, router

#: One counts and keeps as the limits do, one keeps as the memory does.
_SCRIPTS = ("return redis.call('INCR', KEYS[1])", "return redis.call('SET', KEYS[2], ARGV[1])")


@asynccontextmanager
async def _open(app: FastAPI) -> AsyncIterator[None]:
    urls = urls_of(load_settings())
    async with (
        open_pool(urls.database_url, size=8, timeout_s=5) as app.state.pool,
        open_redis(urls.redis_url, timeout_s=5) as redis,
        open_line(redis) as line,
    ):
        app.state.redis = Guarded(line)
        app.state.scripts = [line.register_script(text) for text in _SCRIPTS]
        yield


app = FastAPI(lifespan=_open)


@app.post("/asking")
async def asking(request: Request, body: Body) -> AnswerOut:
    """Say what was asked, once all have answered."""
    state = request.app.state
    await fetch_all(state.pool, "SELECT %(asked)s AS asked", {"asked": body.question})
    for script in state.scripts:
        await state.redis.run(partial(_call, script, body.question))
    return AnswerOut(answer=body.question)


async def _call(script: Any, asked: str, _: Redis) -> Any:  # noqa: ANN401 - a script and its reply
    return await script(keys=["asking:a", "asking:b"], args=[asked])


app.include_router(router)
