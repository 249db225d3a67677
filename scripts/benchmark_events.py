"""Events through a real Redis to many listeners: how many, how late, at what CPU.

One process publishes as the worker does; this one listens as an API worker does: every listener
takes its events and frames each one for its client. Each event goes to every listener.

    python -m scripts.benchmark_events [--listeners 100] [--rate 700] [--seconds 5] [--quick]
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path

import orjson
import uvloop

from app.http.sse import frame
from app.infra.embedded.servers import embedded_servers
from app.infra.events import LOST, EventHub
from app.infra.redis import open_redis

#: What a publisher may take to start, on a machine that has other work.
START_S = 60
TENANT, TOPIC = "ten_benchmark", "doc_benchmark"
JOB = {
    "id": "job_ks2v7m4q6x3y5z7a2b4c6d8e9f",
    "document_id": TOPIC,
    "version": 1,
    "status": "running",
    "step": "embed",
    "progress": 40,
    "attempts": 1,
    "error": None,
    "pages_done": 25,
    "pages_total": 65,
    "chunks_embedded": 0,
    "chunks_reused": 0,
    "created_at": "2026-11-24T09:00:00.000Z",
    "updated_at": "2026-11-24T09:00:02.000Z",
}


async def publish(url: str, rate: float, count: int) -> None:
    """Publish ``count`` events, ``rate`` a second, each with the time it was sent."""
    async with open_redis(url, timeout_s=1) as redis:
        hub = EventHub(redis)
        began = time.monotonic()
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            await hub.publish(TENANT, TOPIC, {"job": JOB, "sent": time.monotonic()})
        took_s = time.monotonic() - began
        print(f"published {count - hub.unpublished} at {count / took_s:.0f}/s")


async def listen(hub: EventHub, count: int, ready: asyncio.Semaphore) -> tuple[list[float], int]:
    """Seconds from publishing to framed, and the bytes; every event must come."""
    late: list[float] = []
    size_bytes = 0
    async with hub.subscribe(TENANT, [TOPIC]) as subscription:
        ready.release()
        while len(late) < count:
            for event in await subscription.take(10):
                if event is LOST:
                    raise SystemExit("an event was lost")
                size_bytes += len(frame("progress", orjson.dumps(event.payload["job"]), event.id))
                late.append(time.monotonic() - event.payload["sent"])
    return late, size_bytes


async def measure(url: str, listeners: int, rate: float, count: int) -> None:
    """Print what one round gave."""
    async with open_redis(url, timeout_s=0.2) as redis:
        hub, ready = EventHub(redis), asyncio.Semaphore(0)
        tasks = [asyncio.create_task(listen(hub, count, ready)) for _ in range(listeners)]
        for _ in tasks:
            await ready.acquire()
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        command = [sys.executable, "-m", "scripts.benchmark_events", "--publish-to", url]
        publisher = await asyncio.create_subprocess_exec(
            *command, "--rate", str(rate), "--count", str(count)
        )
        try:
            async with asyncio.timeout(START_S + count / rate):
                found = await asyncio.gather(*tasks)
            took_s, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
            await publisher.wait()
        finally:
            await hub.close()
    late = sorted(value for values, _ in found for value in values)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{len(late)} deliveries to {listeners} listeners; late by p50 "
        f"{late[len(late) // 2] * 1e3:.1f} ms, p99 {late[len(late) * 99 // 100] * 1e3:.1f} ms, "
        f"max {late[-1] * 1e3:.1f} ms; CPU {cpu_s:.2f} s of {took_s:.2f} s, "
        f"{cpu_s / len(late) * 1e6:.1f} us a delivery"
    )


def main() -> None:
    """Start a Redis of its own, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--listeners", type=int, default=100)
    parser.add_argument("--rate", type=float, default=700)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--quick", action="store_true", help="5 listeners, for a second")
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--publish-to", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.quick:
        asked.listeners, asked.seconds = 5, 1
    if asked.publish_to:
        uvloop.run(publish(asked.publish_to, asked.rate, asked.count))
        return
    with (
        tempfile.TemporaryDirectory() as home,
        embedded_servers(Path(home), postgres=False) as urls,
    ):
        count = int(asked.rate * asked.seconds)
        uvloop.run(measure(urls.redis_url, asked.listeners, asked.rate, count))


if __name__ == "__main__":
    main()
