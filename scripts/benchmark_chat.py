"""What one uncached `/api/v1/chat` costs the API worker, beside an empty FastAPI POST route.

Real processes over real HTTP: one API worker on the embedded servers with the sample corpus, and a
provider that answers at once. Questions repeat, so the query embedding is cached and not counted
(design: performance, "uncached chat, without the query embedding"). CPU is the worker's own, from
/proc; the provider and the clients are other processes.

    make setup-dev && .venv/bin/python scripts/benchmark_chat.py
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.infra.servers import servers  # noqa: E402
from app.settings import load_settings  # noqa: E402 - needs the line above

QUESTIONS = [
    "What happens to open files on a processor reset?",
    "How many Multi-Groups can the Scheduler support?",
    "How many sub seconds are there per second?",
    "What is the minimum number of packets written to a file?",
]
EMPTY_APP = """
from fastapi import FastAPI
from pydantic import BaseModel
class Body(BaseModel):
    question: str
app = FastAPI()
@app.post("/empty")
async def empty(body: Body) -> dict[str, str]:
    return {"status": "ok"}
"""


@contextmanager
def process(arguments: list[str], **environment: str) -> Iterator[psutil.Process]:
    """A child process, ended at the end."""
    child = subprocess.Popen(
        arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}
    )
    try:
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(20)


async def until_up(session: aiohttp.ClientSession, url: str) -> None:
    """Wait for an answer below 500, a minute at most."""
    for _ in range(600):
        try:
            async with session.get(url) as response:
                if response.status < 500:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit(f"{url} did not come up")


async def drive(
    session: aiohttp.ClientSession,
    url: str,
    server: psutil.Process,
    *,
    count: int,
    clients: int,
    rate: float = 0,
) -> dict[str, float]:
    """Send ``count`` questions from ``clients`` at once; CPU per request and latencies, in ms.

    With a ``rate`` (requests/s of all clients together) each question has its time, from which its
    latency counts: what waits for a free client is not left out. Without, each client asks again as
    soon as it is answered, and latencies only say how many wait for the one worker.
    """
    latencies: list[float] = []
    waiting = iter(range(count))
    begun = time.perf_counter()

    async def client() -> None:
        for number in waiting:
            started = time.perf_counter()
            if rate:
                started = begun + number / rate
                await asyncio.sleep(started - time.perf_counter())
            async with session.post(
                url, json={"question": QUESTIONS[number % len(QUESTIONS)]}
            ) as response:
                body = await response.json()
                if response.status != 200 or body.get("status") not in ("complete", "ok"):
                    raise SystemExit(f"unexpected answer: {response.status} {body}")
            latencies.append((time.perf_counter() - started) * 1e3)

    before, started = server.cpu_times(), time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    seconds, after = time.perf_counter() - started, server.cpu_times()
    used = after.user + after.system - before.user - before.system
    latencies.sort()
    return {
        "cpu_ms": used / count * 1e3,
        "p50_ms": statistics.median(latencies),
        "p99_ms": latencies[int(len(latencies) * 0.99)],
        "requests_per_s": count / seconds,
    }


async def measure(options: argparse.Namespace, api: psutil.Process, empty: psutil.Process) -> None:
    """Drive both routes in turn and print the table."""
    key = (load_settings().docent_home / "dev.key").read_text().strip()
    chat_url, empty_url = "http://127.0.0.1:8190/api/v1/chat", "http://127.0.0.1:8191/empty"
    rows: dict[str, dict[str, float]] = {}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"X-API-Key": key}) as session:
        await until_up(session, "http://127.0.0.1:8190/readyz")
        await until_up(session, "http://127.0.0.1:8191/empty")
        await drive(session, chat_url, api, count=100, clients=4)
        for clients in options.clients:
            for name, url, server in (("chat", chat_url, api), ("empty", empty_url, empty)):
                rows[f"{name}, {clients} clients"] = await drive(
                    session, url, server, count=options.requests, clients=clients
                )
        for rate in options.rates:
            for name, url, server in (("chat", chat_url, api), ("empty", empty_url, empty)):
                rows[f"{name}, 32 at {rate:g}/s"] = await drive(
                    session, url, server, count=int(rate * 10), clients=32, rate=rate
                )
        memory_mb = api.memory_info().rss / 1e6
    print(f"{'route':24}{'CPU ms':>10}{'p50 ms':>10}{'p99 ms':>10}{'requests/s':>12}")
    for name, row in rows.items():
        print(f"{name:24}" + "".join(f"{row[column]:>{width}.2f}" for column, width in _COLUMNS))
    print(f"API worker: {memory_mb:.0f} MB resident")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "rss_mb": round(memory_mb)}, indent=1))


_COLUMNS = (("cpu_ms", 10), ("p50_ms", 10), ("p99_ms", 10), ("requests_per_s", 12))


def main() -> int:
    """Run the benchmark; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--rates", type=float, nargs="+", default=[50, 100], help="requests/s")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    uvicorn = [sys.executable, "-m", "uvicorn", "--log-level", "warning", "--no-access-log"]
    home = os.environ.setdefault("DOCENT_HOME", tempfile.mkdtemp(prefix="docent-benchmark-"))
    with servers(load_settings()), tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "scripts.prepare", "--samples"], cwd=ROOT, check=True)
        Path(folder, "empty_app.py").write_text(EMPTY_APP)
        provider = [sys.executable, "-m", "tests.fake_provider", "--port", "8192"]
        empty_app = [*uvicorn, "--app-dir", folder, "--port", "8191", "empty_app:app"]
        with (
            process([*provider, "--behaviour", "ok:60"]),
            process(empty_app) as empty,
            process(
                [*uvicorn, "--port", "8190", "app.main:app"],
                DOCENT_HOME=home,
                LOCAL_LLM_BASE_URL="http://127.0.0.1:8192/v1",
                PROVIDER_ORDER="local",
                LOG_LEVEL="WARNING",
            ) as api,
        ):
            asyncio.run(measure(options, api, empty))
    return 0


if __name__ == "__main__":
    sys.exit(main())
