"""What it costs to count a request against the limits: CPU of the API, and of Redis beside it.

The middleware as it is wired, with every limit a user's question is counted in, over the shared
line to a Redis of its own; what passes it does nothing. Ends with 1 when the budget is not met.

    python -m scripts.benchmark_limits [--requests 20000] [--at-once 32] [--quick]
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from starlette.types import Message, Receive, Scope, Send

from app.auth.caller import Caller
from app.infra.embedded.servers import embedded_servers, status
from app.infra.redis import Guarded, open_redis
from app.infra.redis_line import open_line
from app.limits.crowd import Crowd
from app.limits.middleware import RateLimits
from app.limits.rates import RateLimiter, limits_of
from app.settings import Settings

#: Design: issue 5, What must be seen.
BUDGET_MS = 0.3
CALLER = Caller(
    "ten_benchmark", "key_benchmark", frozenset({"chat"}), user_id="usr_benchmark", role="viewer"
)


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """The application behind the limits."""


async def silence() -> Message:
    """Nothing is received."""
    return {"type": "http.disconnect"}


async def nowhere(message: Message) -> None:
    """Nothing is sent."""


async def ask(application: object, requests: int, at_once: int) -> float:
    """CPU seconds of this process for so many requests."""

    async def client(count: int) -> None:
        for _ in range(count):
            scope = {
                "type": "http", "method": "POST", "path": "/api/v1/chat", "headers": [],
                "client": ("192.0.2.1", 1), "state": {"caller": CALLER},
            }  # fmt: skip
            await application(scope, silence, nowhere)  # type: ignore[operator]

    before = time.process_time()
    await asyncio.gather(*(client(requests // at_once) for _ in range(at_once)))
    return time.process_time() - before


def cpu_s(pid: int | None) -> float:
    """CPU seconds of another process, from the kernel."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


async def measure(home: Path, url: str, requests: int, at_once: int) -> bool:
    """Print what one request costs, alone and among others; whether the budget is met."""
    met, redis_pid = True, status(home).redis_pid
    async with open_redis(url, timeout_s=5) as client, open_line(client) as line:
        redis = Guarded(line)
        limiter = RateLimiter(redis, limits_of(Settings(_env_file=None)), workers=1)
        crowd = Crowd(redis, 0, workers=1)
        limited = RateLimits(
            nothing, limiter=lambda _: limiter, crowd=lambda _: crowd, trusted_proxies=()
        )
        await ask(limited, at_once, at_once)
        for together in (1, at_once):
            empty_s = await ask(nothing, requests, together)
            redis_s = cpu_s(redis_pid)
            api_ms = (await ask(limited, requests, together) - empty_s) / requests * 1e3
            redis_ms = (cpu_s(redis_pid) - redis_s) / requests * 1e3
            print(f"{together} at once: {api_ms:.3f} ms CPU a request, Redis {redis_ms:.3f} ms")
            met = met and api_ms + redis_ms <= BUDGET_MS
    return met


def main() -> int:
    """Start a Redis of its own, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--quick", action="store_true", help="320 requests, whatever they cost")
    asked = parser.parse_args()
    requests = 320 if asked.quick else asked.requests
    with (
        tempfile.TemporaryDirectory() as home,
        embedded_servers(Path(home), postgres=False) as urls,
    ):
        met = uvloop.run(measure(Path(home), urls.redis_url, requests, asked.at_once))
    print(f"budget {BUDGET_MS} ms together: {'met' if met else 'NOT met'}")
    return 0 if met or asked.quick else 1


if __name__ == "__main__":
    sys.exit(main())
