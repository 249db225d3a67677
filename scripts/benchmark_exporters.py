"""What exporters cost whose receivers are silent: the same questions with and without them.

    python -m scripts.benchmark_exporters [--rounds 12] [--questions 250] [--quick]

Three APIs over the sample documents, each a real process, asked one question after the other in
turns, and a provider that answers at once. One exports nothing. One sends traces to a collector and
to Langfuse and metrics by OTLP, one sends traces to Langfuse and metrics to Datadog; whoever should
take all that accepts connections and never answers. Writes docs/benchmarks/exporters.{json,md}.
"""

import argparse
import asyncio
import datetime
import json
import os
import random
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from app.infra.servers import servers
from app.settings import load_settings
from scripts.benchmark_chat import UVICORN
from scripts.benchmarks import add_options, home_of_its_own, write
from scripts.chat_benchmark.corpus import prepare_samples
from scripts.chat_benchmark.load import drive
from scripts.chat_benchmark.measure import Tally
from scripts.chat_benchmark.processes import server
from scripts.chat_benchmark.report import table
from scripts.chat_benchmark.targets import Target, ours

#: The budget, in percent of the 99th percentile, and what an API may grow beyond the other's, MB.
SLOWER_PERCENT, GROWN_MB = 5.0, 10
NONE, OTLP, DATADOG = "nothing", "OTLP and Langfuse", "Datadog and Langfuse"
COLUMNS = {
    "exports": "exports", "questions": "questions", "p50_ms": "p50 ms", "p99_ms": "p99 ms",
    "p99_percent": "p99 beyond none, %", "cpu_ms": "CPU ms", "grown_mb": "memory grown, MB",
}  # fmt: skip


@contextmanager
def silence() -> Iterator[int]:
    """A port that accepts everything and answers nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as silent:
        yield int(silent.getsockname()[1])


def exporting(port: int) -> dict[str, dict[str, str]]:
    """The settings of each API."""
    url = f"http://127.0.0.1:{port}"
    langfuse = {
        "LANGFUSE_BASE_URL": url,
        "LANGFUSE_PUBLIC_KEY": "pk-lf-benchmark",
        "LANGFUSE_SECRET_KEY": "sk-lf-benchmark",
        "TRACING_CONTENT": "masked",
    }
    otlp = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "METRICS_BACKEND": "opentelemetry"}
    traces = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{url}/v1/traces"}
    datadog = {
        "METRICS_BACKEND": "datadog",
        "DD_AGENT_HOST": "127.0.0.1",
        "DD_DOGSTATSD_PORT": str(port),
    }
    return {NONE: {}, OTLP: {**langfuse, **otlp, **traces}, DATADOG: {**langfuse, **datadog}}


async def measure(
    session: aiohttp.ClientSession, targets: dict[str, Target], *, rounds: int, questions: int
) -> list[dict[str, Any]]:
    """Ask everybody in turns, in another order every round; the first round warms up."""
    order = random.Random(1)  # noqa: S311 - an order
    tallies = {name: Tally() for name in targets}
    before = dict.fromkeys(targets, 0)
    for turn in range(rounds + 1):
        for name in order.sample([*targets], len(targets)):
            target, tally = targets[name], tallies[name]
            cpu_ns = target.server.cpu_ns()
            numbers = range(turn * questions, (turn + 1) * questions)
            replies = await drive(session, target, numbers, clients=1)
            if turn:
                tally.cpu_ns += target.server.cpu_ns() - cpu_ns
                tally.total_ms += [reply.total_ms for reply in replies]
            else:
                before[name] = target.server.resident_mb()
    base_ms = tallies[NONE].quantile(tallies[NONE].total_ms, 99)
    return [
        {
            "exports": name,
            "questions": len(tally.total_ms),
            "p50_ms": round(tally.quantile(tally.total_ms, 50), 2),
            "p99_ms": round(p99_ms := tally.quantile(tally.total_ms, 99), 2),
            "p99_percent": round((p99_ms / base_ms - 1) * 100, 1),
            "cpu_ms": round(tally.cpu_ms, 3),
            "grown_mb": targets[name].server.resident_mb() - before[name],
        }
        for name, tally in tallies.items()
    ]


async def until_up(session: aiohttp.ClientSession, targets: dict[str, Target]) -> None:
    """Wait for all of them."""
    await asyncio.gather(*(one.server.until_up(session, "/readyz") for one in targets.values()))


def benchmark(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Start, fill, measure, stop."""
    os.environ["DOCENT_HOME"] = str(home)
    load = os.getloadavg()[0]
    with servers(load_settings()), silence() as port, ExitStack() as stack:
        prepare_samples()
        fake = [sys.executable, "-m", "tests.fake_provider", "--port", "{port}"]
        provider = stack.enter_context(server("provider", [*fake, "--behaviour", "ok"], home))
        key = (home / "dev.key").read_text().strip()
        common = {
            "LOCAL_LLM_BASE_URL": f"{provider.url}/v1",
            "PROVIDER_ORDER": "local",
            "ANSWER_CACHE_TTL_S": "0",
        }
        targets = {
            name: ours(
                stack.enter_context(
                    server(name, [sys.executable, *UVICORN, "app.main:app"], home,
                           **common, **settings)
                ),
                key,
            )
            for name, settings in exporting(port).items()
        }  # fmt: skip

        async def run() -> list[dict[str, Any]]:
            async with aiohttp.ClientSession() as session:
                await until_up(session, targets)
                return await measure(
                    session, targets, rounds=options.rounds, questions=options.questions
                )

        rows = uvloop.run(run())
    return {
        "command": "python -m scripts.benchmark_exporters",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {"cores": os.cpu_count(), "load": round(load, 1)},
        "rows": rows,
        "within_budget": within_budget(rows),
    }


def within_budget(rows: list[dict[str, Any]]) -> bool:
    """Whether nobody notices."""
    [base, *others] = rows
    return all(
        row["p99_percent"] < SLOWER_PERCENT and row["grown_mb"] <= base["grown_mb"] + GROWN_MB
        for row in others
    )


def page(result: dict[str, Any]) -> str:
    """docs/benchmarks/exporters.md."""
    machine = result["machine"]
    lines = [
        "# Exporters whose receivers are silent",
        "",
        f"Made by `{result['command']}` on {result['date']}; do not edit.",
        f"{machine['cores']} cores, load {machine['load']} before the run. Three APIs of one worker"
        " each, asked in turns one question after the other; the receivers of traces and metrics"
        " accept connections and never answer. The 99th percentile may grow by"
        f" {SLOWER_PERCENT:g} %, memory by no more than without exporters.",
        "",
        *table(result["rows"], COLUMNS),
        "",
        f"Within the budget: {'yes' if result['within_budget'] else 'NO'}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run it; 1 when the budget is not held."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--questions", type=int, default=250, help="of one round")
    add_options(parser, quick="one round of 20 questions")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.questions = 1, 20
    with home_of_its_own() as home:
        result = benchmark(options, home)
    sys.stdout.write(page(result))
    files = {"exporters.json": json.dumps(result, indent=2) + "\n", "exporters.md": page(result)}
    write(options, files)
    return 0 if options.quick or result["within_budget"] else 1


if __name__ == "__main__":
    sys.exit(main())
