"""Many people at once: a mixed load at fixed rates, on the whole product with two workers.

    python -m scripts.benchmark_load [--seconds 300] [--users 120] [--quick]

Half of the questions are asked again and again (and come from the cache), the others once; some of
these are streamed. They come at random times at 50 and at 200 a second; one waits while all users
are busy, and latency counts from when it was due. A provider answers at once. Everything, those who
ask included, shares the machine. Writes docs/benchmarks/load.{json,md}.
"""

import argparse
import asyncio
import datetime
import json
import os
import random
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import orjson
import psutil  # type: ignore[import-untyped,unused-ignore]
import uvloop

from app.infra.servers import servers
from app.settings import load_settings
from scripts.benchmarks import add_options, home_of_its_own, write
from scripts.chat_benchmark.corpus import QUESTIONS, prepare_samples
from scripts.chat_benchmark.processes import Server, server
from scripts.chat_benchmark.report import table

#: Design: performance.
RATES, P95_MS = (50, 200), 1000.0
#: Kind of question → its share.
MIX = {"asked before": 0.5, "new": 0.3, "new, streamed": 0.2}
#: How the provider answers: sixty words that cite.
BEHAVIOUR = "cited:60:20"
#: The record that the provider keeps of its calls is thrown away so often.
FORGET_S = 5.0
COLUMNS = {
    "rate": "asked/s", "kind": "kind", "questions": "questions", "errors": "errors",
    "p50_ms": "p50 ms", "p95_ms": "p95 ms", "p99_ms": "p99 ms",
}  # fmt: skip
COSTS = {
    "rate": "asked/s", "answered": "answered/s", "api": "API ms", "postgres": "PostgreSQL ms",
    "valkey-server": "Redis ms", "provider": "provider ms", "users": "users ms",
    "cores": "cores in use", "worker_mb": "largest worker, MB",
}  # fmt: skip


@dataclass
class Tally:
    """What became of the questions of one kind."""

    errors: int = 0
    total_ms: list[float] = field(default_factory=list)


class Users:
    """People who ask, each question the first of a conversation."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session = session
        self._url = f"{url}/api/v1/chat"
        self._headers = {"X-API-Key": key, "Content-Type": "application/json"}
        self._number = 0
        self.tallies: dict[str, Tally] = defaultdict(Tally)

    def body(self, kind: str) -> bytes:
        """A question of a kind."""
        self._number += 1
        question = QUESTIONS[self._number % len(QUESTIONS)]
        if kind != "asked before":
            question = f"{question} Case {self._number}."
        return orjson.dumps({"question": question, "stream": "streamed" in kind})

    async def ask(self, kind: str, due: float) -> None:
        """Put a question that was due at ``due``; all that goes wrong is an error."""
        tally = self.tallies[kind]
        try:
            async with self._session.post(
                self._url, data=self.body(kind), headers=self._headers
            ) as response:
                raw = await response.read()
            ended = b"event: done" in raw if "streamed" in kind else b'"status":' in raw
            if response.status != 200 or not ended:
                tally.errors += 1
        except (aiohttp.ClientError, OSError, TimeoutError):
            tally.errors += 1
        tally.total_ms.append((time.perf_counter() - due) * 1e3)

    async def drive(self, rate: float, seconds: float, users: int) -> None:
        """Ask at ``rate`` a second for so long; a question waits while all users are busy."""
        chance = random.Random(rate)  # noqa: S311 - arrivals
        due = time.perf_counter()
        end = due + seconds

        async def user() -> None:
            nonlocal due
            while due < end:
                due += chance.expovariate(rate)
                mine = due
                kind = chance.choices([*MIX], [*MIX.values()])[0]
                await asyncio.sleep(mine - time.perf_counter())
                await self.ask(kind, mine)

        async with asyncio.TaskGroup() as group:
            for _ in range(users):
                group.create_task(user())


def cpu_s(api: Server, provider: Server, home: Path) -> dict[str, float]:
    """CPU seconds so far of everybody who takes part."""
    trees = {"api": api.pid, "provider": provider.pid}
    found = {
        name: sum(map(_used, (one := psutil.Process(pid), *one.children(recursive=True))))
        for name, pid in trees.items()
    }
    for name in ("postgres", "valkey-server"):
        found[name] = sum(_used(one) for one in psutil.process_iter() if _is(one, name, home))
    return {**found, "users": sum(os.times()[:2])}


def _used(process: psutil.Process) -> float:
    try:
        return float(sum(process.cpu_times()[:2]))
    except psutil.Error:
        return 0.0


def _is(process: psutil.Process, name: str, home: Path) -> bool:
    """Whether it is a server of ``home``, whose folder of data it works in."""
    try:
        return process.name() == name and Path(process.cwd()).is_relative_to(home)
    except psutil.Error:
        return False


def largest_mb(api: Server) -> int:
    """Memory of the largest worker."""
    workers = psutil.Process(api.pid).children(recursive=True)
    return int(max(worker.memory_info().rss for worker in workers) / 1e6)


async def forget(session: aiohttp.ClientSession, provider: Server) -> None:
    """Keep the provider's record short, for ever."""
    while True:
        await asyncio.sleep(FORGET_S)
        async with session.delete(f"{provider.url}/control"):
            pass


async def run(
    api: Server, provider: Server, home: Path, options: argparse.Namespace
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One row for each rate and kind, and one of costs for each rate."""
    rows, costs = [], []
    key = (home / "dev.key").read_text().strip()
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    async with aiohttp.ClientSession(connector=connector) as session:
        await api.until_up(session, "/readyz")
        await provider.until_up(session, "/control")
        forgetting = asyncio.create_task(forget(session, provider))
        await Users(session, api.url, key).drive(options.rates[0], options.warm_up, options.users)
        for rate in options.rates:
            users = Users(session, api.url, key)
            before, began = cpu_s(api, provider, home), time.perf_counter()
            await users.drive(rate, options.seconds, options.users)
            took_s, after = time.perf_counter() - began, cpu_s(api, provider, home)
            asked = sum(len(tally.total_ms) for tally in users.tallies.values())
            rows += [row_of(rate, kind, users.tallies[kind]) for kind in MIX]
            used = {name: after[name] - before[name] for name in after}
            costs.append(
                {
                    "rate": rate,
                    "answered": round(asked / took_s, 1),
                    **{name: round(seconds / asked * 1e3, 2) for name, seconds in used.items()},
                    "cores": round(sum(used.values()) / took_s, 2),
                    "worker_mb": largest_mb(api),
                }
            )
        forgetting.cancel()
    return rows, costs


def row_of(rate: float, kind: str, tally: Tally) -> dict[str, Any]:
    """What became of the questions of one kind at one rate."""
    p50, p95, p99 = np.percentile(tally.total_ms, [50, 95, 99]).round(1).tolist()
    counts = {"questions": len(tally.total_ms), "errors": tally.errors}
    return {"rate": rate, "kind": kind, **counts, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}


def benchmark(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Start, fill, measure, stop."""
    os.environ["DOCENT_HOME"] = str(home)
    load = os.getloadavg()[0]
    with servers(load_settings()), ExitStack() as stack:
        prepare_samples()
        fake = [sys.executable, "-m", "tests.fake_provider", "--port", "{port}"]
        provider = stack.enter_context(server("provider", [*fake, "--behaviour", BEHAVIOUR], home))
        gunicorn = ["-m", "gunicorn", "-c", "scripts/gunicorn_conf.py", "-b", "127.0.0.1:{port}"]
        api = stack.enter_context(
            server(
                "api",
                [sys.executable, *gunicorn, "app.main:app"],
                home,
                LOCAL_LLM_BASE_URL=f"{provider.url}/v1",
                PROVIDER_ORDER="local",
                WORKERS="2",
            )
        )
        rows, costs = uvloop.run(run(api, provider, home, options))
    return {
        "command": f"python -m scripts.benchmark_load --seconds {options.seconds:g}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {"cores": os.cpu_count(), "load": round(load, 1)},
        "users": options.users,
        "rows": rows,
        "costs": costs,
        "within_budget": all(not row["errors"] and row["p95_ms"] <= P95_MS for row in rows),
    }


def page(result: dict[str, Any]) -> str:
    """docs/benchmarks/load.md."""
    machine = result["machine"]
    mix = ", ".join(f"{share:.0%} {kind}" for kind, share in MIX.items())
    lines = [
        "# Many people at once",
        "",
        f"Made by `{result['command']}` on {result['date']}; do not edit.",
        f"{machine['cores']} cores, load {machine['load']} before the run, shared by the API (two"
        f" workers), PostgreSQL, Redis, a provider that answers at once, and {result['users']}"
        f" users: {mix}. Latency counts from when a question was due.",
        "",
        *table(result["rows"], COLUMNS),
        "",
        "CPU of one question, by who used it:",
        "",
        *table(result["costs"], COSTS),
        "",
        f"No error and 95 % within {P95_MS:g} ms: {'yes' if result['within_budget'] else 'NO'}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run it; 1 when the budget is not held."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300, help="of each rate")
    parser.add_argument("--users", type=int, default=120)
    add_options(parser, quick="three seconds of five users")
    options = parser.parse_args()
    options.rates, options.warm_up = RATES, 10.0
    if options.quick:
        options.seconds, options.users, options.rates, options.warm_up = 3, 5, (10,), 1.0
    with home_of_its_own() as home:
        result = benchmark(options, home)
    sys.stdout.write(page(result))
    write(options, {"load.json": json.dumps(result, indent=2) + "\n", "load.md": page(result)})
    return 0 if options.quick or result["within_budget"] else 1


if __name__ == "__main__":
    sys.exit(main())
