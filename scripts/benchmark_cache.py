"""What an answer costs that was given before: the same question again, by one client and by many.

    python -m scripts.benchmark_cache [--rounds 6] [--quick]

Three real processes over real HTTP, one worker each, asked in turns: the product, which has kept
its answer, a FastAPI application whose POST route does nothing, and one whose route asks PostgreSQL
and Redis as often and does nothing else. CPU is each process's own, from the kernel. Writes
docs/benchmarks/cache.{json,md}.
"""

import argparse
import datetime
import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvloop

from app.infra.servers import servers
from app.settings import load_settings
from scripts.benchmark_chat import ANSWER, UVICORN
from scripts.benchmarks import add_options, home_of_its_own, write
from scripts.chat_benchmark.corpus import prepare_samples
from scripts.chat_benchmark.load import drive
from scripts.chat_benchmark.measure import behave
from scripts.chat_benchmark.processes import Server, server
from scripts.chat_benchmark.targets import ASKING, EMPTY, OURS, Target, asking, empty, ours

COMMAND = "python -m scripts.benchmark_cache"
CLIENTS = (1, 32)
REQUESTS = 1_000
#: A quick run asks so many times less.
FEWER = 20
BUDGET_MS = 1.0
BUDGET_SHARE = 0.4


async def cpu_ms(session: aiohttp.ClientSession, target: Target, count: int, clients: int) -> float:
    """CPU of one request, when all of them are the same."""
    await drive(session, target, [0] * clients * 4, clients=clients)
    before = target.server.cpu_ns()
    replies = await drive(session, target, [0] * count, clients=clients)
    spent = target.server.cpu_ns() - before
    if target.name == OURS and any(orjson.loads(r.raw)["cached"] != "exact" for r in replies):
        raise SystemExit("an answer was not the one that is kept")
    return spent / count / 1e6


async def run(parts: dict[str, Server], key: str, rounds: int, count: int) -> list[dict[str, Any]]:
    """The best round of each: the noise of a shared machine only adds."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    async with aiohttp.ClientSession(connector=connector) as session:
        for name, path in (
            ("provider", "/control"), (OURS, "/readyz"), (EMPTY, "/ready"), (ASKING, "/ready"),
        ):  # fmt: skip
            await parts[name].until_up(session, path)
        await behave(session, parts["provider"], ANSWER)
        product = ours(parts[OURS], key)
        targets = [product, empty(parts[EMPTY]), asking(parts[ASKING])]
        await drive(session, product, [0], clients=1)  # makes the answer that is kept
        rows = []
        for clients in CLIENTS:
            turns = [
                [await cpu_ms(session, target, count, clients) for target in targets]
                for _ in range(rounds)
            ]
            hit, post, least = (min(column) for column in zip(*turns, strict=True))
            rows.append(
                {
                    "clients": clients,
                    "hit_cpu_ms": round(hit, 3),
                    "empty_post_cpu_ms": round(post, 3),
                    "asking_post_cpu_ms": round(least, 3),
                    "share_of_empty_posts": round(post / hit, 2),
                    "share_of_asking_posts": round(least / hit, 2),
                }
            )
    return rows


def benchmark(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Start, ask, stop."""
    os.environ["DOCENT_HOME"] = str(home)
    settings, load = load_settings(), os.getloadavg()[0]
    with servers(settings), ExitStack() as stack:
        prepare_samples()

        def add(name: str, *arguments: str, **environment: str) -> Server:
            python = [sys.executable, "-m", *arguments]
            return stack.enter_context(server(name, python, home, **environment))

        provider = add("provider", "tests.fake_provider", "--port", "{port}")
        api = add(
            OURS,
            *UVICORN[1:],
            "app.main:app",
            LOCAL_LLM_BASE_URL=f"{provider.url}/v1",
            PROVIDER_ORDER="local",
            ANSWER_CACHE_TTL_S="3600",
            LOG_JSON="true",
        )
        parts = {"provider": provider, OURS: api}
        for name, app in ((EMPTY, "empty_app"), (ASKING, "asking_app")):
            parts[name] = add(name, *UVICORN[1:], f"scripts.chat_benchmark.{app}:app")
        key = (home / "dev.key").read_text().strip()
        rows = uvloop.run(run(parts, key, options.rounds, options.count))
    return {
        "command": COMMAND,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
        "rows": rows,
    }


def page(result: dict[str, Any]) -> str:
    """docs/benchmarks/cache.md."""
    lines = [
        "# An answer that was given before",
        "",
        f"Made by `{result['command']}` on {result['date']}; do not edit.",
        f"{result['cores']} cores, load {result['load_before']} before the run. One worker each of "
        "the product, of a FastAPI application whose POST route does nothing, and of one whose "
        "route asks PostgreSQL and Redis as often, by the product's own connections, and does "
        "nothing else; asked in turns, the best round of each. A share says how many hits a core "
        "answers for a hundred of those requests. Budget: "
        f"{BUDGET_MS:g} ms and {BUDGET_SHARE:.0%} of the empty ones.",
        "",
        "| clients | CPU ms of a hit | of an empty POST | share | of one that asks | share |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['clients']} | {row['hit_cpu_ms']} | {row['empty_post_cpu_ms']} "
        f"| {row['share_of_empty_posts']:.0%} | {row['asking_post_cpu_ms']} "
        f"| {row['share_of_asking_posts']:.0%} |"
        for row in result["rows"]
    ]
    lines += [
        "",
        "A hit checks the key and the state of the documents in PostgreSQL, counts the request in "
        "Redis, and keeps the new turn of the conversation and the record of the answer there: one "
        "statement and two scripts. The answer itself a worker has at hand for half a minute after "
        "it read it. An empty POST does none of that.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=6)
    add_options(parser, quick="a small round")
    options = parser.parse_args()
    options.count = REQUESTS // FEWER if options.quick else REQUESTS
    if options.quick:
        options.rounds = 1
    with home_of_its_own() as home:
        result = benchmark(options, home)
    text = page(result)
    sys.stdout.write(text)
    write(options, {"cache.json": json.dumps(result, indent=2) + "\n", "cache.md": text})


if __name__ == "__main__":
    main()
