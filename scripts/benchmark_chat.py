"""What answering a question costs: ours beside the provider alone, a LlamaIndex stack and LiteLLM.

    python -m scripts.benchmark_chat [--rounds 6] [--quick] [--keep FOLDER]

Real processes over real HTTP, one worker each, with the sample documents in servers of their own
and the peers in an environment of their own, all thrown away (``--keep`` keeps them for another
run), and a provider that answers at once. Everything is interleaved, everybody must say the same,
and CPU is each process's own, from the kernel. ``--quick`` leaves the peers out. Writes
docs/benchmarks/chat.{json,md}.
"""

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from app.infra.servers import servers
from app.settings import MODEL_DIR, load_settings
from scripts.benchmarks import add_options, home_of_its_own, write
from scripts.chat_benchmark.corpus import QUESTIONS, fill
from scripts.chat_benchmark.load import ask
from scripts.chat_benchmark.measure import LONG, SHORT, Case, behave, empty_post_ms, measure
from scripts.chat_benchmark.peers import QUIET, make_environment
from scripts.chat_benchmark.processes import Server, server
from scripts.chat_benchmark.report import budgets, page, rows_of, slopes_of, summary
from scripts.chat_benchmark.targets import (
    DIRECT,
    EMPTY,
    LITELLM,
    NAIVE,
    OURS,
    Target,
    empty,
    naive,
    ours,
    prompted,
)

COMMAND = "python -m scripts.benchmark_chat"
#: As scripts/gunicorn_conf.py serves.
UVICORN = [
    "-m",
    "uvicorn",
    *("--loop", "uvloop"),
    *("--http", "httptools"),
    *("--log-level", "warning"),
    *("--port", "{port}"),
    "--no-access-log",
    "--no-server-header",
    "--no-proxy-headers",
]
#: A quick run asks so many times less.
FEWER = 8
#: A cited answer, and the ways in which a stream may come.
ANSWER = "cited:60:20"
SHAPES = {
    "stream, one write": "ok:{}",
    "stream, a packet per token": "drip:{}:0",
    # Slow enough that every token is a read, a wake-up and a write of its own.
    "stream, a token every 2 ms": "drip:{}:0.002",
}


def cases_of(rate: float, *, stream: bool) -> list[Case]:
    """What is asked."""
    cases = [
        Case("JSON, 1 client", ANSWER, 40),
        Case("JSON, 32 clients", ANSWER, 96, clients=32),
        Case(f"JSON, 32 clients at {rate:g}/s", ANSWER, int(rate * 3), clients=32, rate=rate),
    ]
    if not stream:
        return cases
    cases += [
        Case(f"{shape}, {size} tokens", behaviour.format(size), count, clients=4, streamed=True)
        for shape, behaviour in SHAPES.items()
        for size, count in ((SHORT, 24), (LONG, 8))
    ]
    fast = f"drip:{SHORT}:0"
    paced = f"stream, 32 clients at {rate:g}/s, {SHORT} tokens"
    return [*cases, Case(paced, fast, int(rate * 3), clients=32, rate=rate, streamed=True)]


def start(
    stack: ExitStack, peers: Path | None, database_url: str, folder: Path
) -> dict[str, Server]:
    """Start everybody; the peers if there is a folder for their environment."""

    def add(name: str, python: str | Path, arguments: Sequence[str], **environment: str) -> Server:
        return stack.enter_context(server(name, [python, *arguments], folder, **environment))

    fake = ["-m", "tests.fake_provider", "--port", "{port}"]
    provider = add(DIRECT, sys.executable, fake)
    address = f"{provider.url}/v1"
    api = add(
        OURS,
        sys.executable,
        [*UVICORN, "app.main:app"],
        LOCAL_LLM_BASE_URL=address,
        PROVIDER_ORDER="local",
        ANSWER_CACHE_TTL_S="0",
        LOG_JSON="true",
    )
    package = "scripts.chat_benchmark"
    nobody = add(EMPTY, sys.executable, [*UVICORN, f"{package}.empty_app:app"])
    started = {DIRECT: provider, OURS: api, EMPTY: nobody}
    if peers is None:
        return started
    environment = {
        **QUIET,
        "BENCHMARK_PROVIDER": address,
        "BENCHMARK_DATABASE": database_url,
        "BENCHMARK_MODEL": str(MODEL_DIR),
    }
    python = make_environment(peers)
    stack_app = add(NAIVE, python, [*UVICORN, f"{package}.naive_app:app"], **environment)
    router = add(LITELLM, python, [*UVICORN, f"{package}.litellm_app:app"], **environment)
    return {**started, NAIVE: stack_app, LITELLM: router}


async def prompts_of(
    session: aiohttp.ClientSession, product: Target, provider: Server
) -> list[list[dict[str, Any]]]:
    """What the product asks the provider, for each question."""
    prompts = []
    for number in range(len(QUESTIONS)):
        async with session.delete(f"{provider.url}/control"):
            pass
        await ask(session, product, number, streamed=False, due=0)
        async with session.get(f"{provider.url}/control") as response:
            prompts.append((await response.json())["calls"][-1]["body"]["messages"])
    return prompts


async def shared_passages(
    session: aiohttp.ClientSession, product: Target, peer: Target
) -> list[int]:
    """Of five passages, how many both found for each question, by document and page."""
    shared = []
    for number, question in enumerate(QUESTIONS):
        async with session.post(
            f"{product.server.url}/api/v1/retrieve",
            json={"question": question},
            headers=product.headers,
        ) as response:
            mine = [(p["title"], p["page"]) for p in (await response.json())["passages"]]
        reply = await ask(session, peer, number, streamed=False, due=0)
        theirs = [(s["title"], s["page"]) for s in json.loads(reply.raw)["sources"]]
        shared.append(sum(min(mine.count(place), theirs.count(place)) for place in set(mine)))
    return shared


async def streams(session: aiohttp.ClientSession, product: Target) -> bool:
    """Whether this version of the product streams."""
    body = product.body(0, True)
    async with session.post(product.url, json=body, headers=product.headers) as response:
        return response.content_type == "text/event-stream"


async def run(parts: dict[str, Server], key: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    # Servers end a connection that is idle for 5 s; one may not be used again at that moment.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    async with aiohttp.ClientSession(connector=connector) as session:
        await parts[OURS].until_up(session, "/readyz")
        for name in parts.keys() - {DIRECT, OURS}:
            await parts[name].until_up(session, "/ready")
        provider = parts[DIRECT]
        await provider.until_up(session, "/control")
        await behave(session, provider, ANSWER)
        product = ours(parts[OURS], key)
        prompts = await prompts_of(session, product, provider)
        direct, *router = prompted(prompts, provider=provider, litellm=parts.get(LITELLM))
        peers = [naive(parts[NAIVE])] if NAIVE in parts else []
        targets = [direct, product, *peers, *router]
        shared = await shared_passages(session, product, peers[0]) if peers else []
        cases = cases_of(options.rate, stream=await streams(session, product))
        if options.quick:
            cases = [replace(case, count=case.count // FEWER) for case in cases]
        posts_ms = [await empty_post_ms(session, empty(parts[EMPTY]))]
        tallies = await measure(session, targets, provider, cases, rounds=options.rounds)
        posts_ms.append(await empty_post_ms(session, empty(parts[EMPTY])))
    names = [target.name for target in targets]
    shapes = SHAPES if any(case.streamed for case in cases) else []
    return {
        "rows": rows_of(tallies, cases, names),
        "slopes": slopes_of(tallies, list(shapes), names),
        "passages_shared_with_naive": shared,
        "empty_post_ms": round(sum(posts_ms) / len(posts_ms), 3),
        "resident_mb": parts[OURS].resident_mb(),
    }


def benchmark(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Start, fill, measure, stop."""
    os.environ["DOCENT_HOME"] = str(home)
    settings, load = load_settings(), os.getloadavg()[0]
    with servers(settings) as urls, ExitStack() as stack:
        chunks = fill(urls.database_url)
        peers = None if options.quick else home / "peers"
        parts = start(stack, peers, urls.database_url, home)
        key = (home / "dev.key").read_text().strip()
        result = uvloop.run(run(parts, key, options))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    result |= {
        "command": f"{COMMAND} --rounds {options.rounds}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "chunks": chunks,
        "machine": {
            "cores": os.cpu_count(),
            "memory_gb": round(memory / 2**30),
            "python": platform.python_version(),
            "load_before": round(load, 1),
            "load_after": round(os.getloadavg()[0], 1),
        },
    }
    return {**result, "budgets": budgets(result)}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--rate", type=float, default=25, help="requests/s of the paced clients")
    parser.add_argument("--keep", type=Path, help="folder for the servers' data and the peers")
    add_options(parser, quick="a small round without the peers, which would be installed")
    options = parser.parse_args()
    if options.quick:
        options.rounds = 1
    with home_of_its_own() as home:  # the stock table is made in a database of our own
        result = benchmark(options, (options.keep or home).absolute())
    sys.stdout.write("\n".join(summary(result)) + "\n")
    write(options, {"chat.json": json.dumps(result, indent=2) + "\n", "chat.md": page(result)})


if __name__ == "__main__":
    main()
