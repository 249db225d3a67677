"""What must be looked at to be known: the event loop's lag, the pool's use, the queue."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from app.errors import Unavailable
from app.infra.metrics import Metrics
from app.infra.postgres import Pool

#: Between two looks at the pool and the queue: shorter than the usual 15 s between scrapes.
LOOK_S = 5.0
TICK_S = 0.5
#: How long the end waits for a query that is under way.
END_S = 1.0


@asynccontextmanager
async def sampling(
    metrics: Metrics, pool: Pool, backlog: Callable[[], Awaitable[tuple[int, float]]]
) -> AsyncIterator[None]:
    """Look every few seconds; ``backlog`` gives the jobs that wait and the age of the oldest, s.

    Every process looks at the queue, so that it is known also when no worker is left, which is when
    it matters; while the database is away the last figures stand.
    """
    tasks = {
        asyncio.create_task(_watch_loop(metrics)),
        asyncio.create_task(_look(metrics, pool, backlog)),
    }
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=END_S)


async def _watch_loop(metrics: Metrics) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        metrics.loop_lag(max(0.0, loop.time() - due))


async def _look(
    metrics: Metrics, pool: Pool, backlog: Callable[[], Awaitable[tuple[int, float]]]
) -> None:
    while True:
        stats = pool.get_stats()
        size, idle = stats.get("pool_size", 0), stats.get("pool_available", 0)
        metrics.pool(used=size - idle, idle=idle, waiting=stats.get("requests_waiting", 0))
        try:
            waiting, oldest_s = await backlog()
        except Unavailable:
            pass
        else:
            metrics.backlog(waiting, oldest_s)
        await asyncio.sleep(LOOK_S)
