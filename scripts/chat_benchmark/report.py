"""The tables, the budgets and the page."""

from collections.abc import Sequence
from typing import Any

from scripts.chat_benchmark.measure import LONG, SHORT, Case, Tallies, Tally
from scripts.chat_benchmark.targets import DIRECT, OURS

#: Design: performance.
JSON_CPU_MS, TOKEN_US, P99_MS, FIRST_MS = 3.0, 25.0, 25.0, 15.0
#: What an empty FastAPI POST took on the machine for which the budgets were set.
EMPTY_POST_MS = 0.19


def rows_of(tallies: Tallies, cases: Sequence[Case], names: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each case and target; "added" is what it takes longer than the provider alone."""
    rows = []
    for case in cases:
        direct = tallies[case.name, DIRECT]
        for name in names:
            tally = tallies[case.name, name]
            rows.append(
                {
                    "case": case.name,
                    "target": name,
                    "requests": len(tally.total_ms),
                    "cpu_ms": round(tally.cpu_ms, 3),
                    "provider_cpu_ms": round(tally.provider_ms, 3),
                    **latencies(tally, direct, streamed=case.streamed),
                    "pieces": round(tally.pieces / len(tally.total_ms), 1)
                    if case.streamed
                    else None,
                }
            )
    return rows


def latencies(tally: Tally, direct: Tally, *, streamed: bool) -> dict[str, float | None]:
    """Percentiles of it, and how far they are from the provider's own."""

    def added(share: int, *, first: bool) -> float:
        mine, its = (
            t.quantile(t.first_ms if first else t.total_ms, share) for t in (tally, direct)
        )
        return round(mine - its, 2)

    return {
        "p50_ms": round(tally.quantile(tally.total_ms, 50), 2),
        "p99_ms": round(tally.quantile(tally.total_ms, 99), 2),
        "added_p50_ms": added(50, first=False),
        "added_p99_ms": added(99, first=False),
        "added_first_p50_ms": added(50, first=True) if streamed else None,
        "added_first_p99_ms": added(99, first=True) if streamed else None,
    }


def slopes_of(
    tallies: Tallies, shapes: Sequence[str], names: Sequence[str]
) -> list[dict[str, Any]]:
    """CPU of a token, from streams of two lengths: the target's and the provider's."""
    rows = []
    for shape in shapes:
        for name in names:
            short, long = (tallies[f"{shape}, {size} tokens", name] for size in (SHORT, LONG))
            tokens = LONG - SHORT
            rows.append(
                {
                    "shape": shape,
                    "target": name,
                    "us_per_token": round((long.cpu_ms - short.cpu_ms) / tokens * 1e3, 2),
                    "provider_us_per_token": round(
                        (long.provider_ms - short.provider_ms) / tokens * 1e3, 2
                    ),
                    "pieces_per_token": round(long.pieces / len(long.total_ms) / LONG, 2),
                }
            )
    return rows


def budgets(result: dict[str, Any]) -> list[tuple[str, str]]:
    """The budgets of the design, each with what was measured."""
    found: list[tuple[str, float, float]] = []
    for row in (row for row in result["rows"] if row["target"] == OURS):
        case = row["case"]
        if case.startswith("JSON"):
            found.append((f"CPU ms of a request, {case}", row["cpu_ms"], JSON_CPU_MS))
            scaled = round(row["cpu_ms"] * EMPTY_POST_MS / result["empty_post_ms"], 3)
            found.append((f"the same, were an empty POST {EMPTY_POST_MS} ms", scaled, JSON_CPU_MS))
        if "/s" in case:
            found.append((f"added p99 ms, {case}", row["added_p99_ms"], P99_MS))
        if "/s" in case and row["added_first_p50_ms"] is not None:
            later = row["added_first_p50_ms"]
            found.append((f"first token later by p50 ms, {case}", later, FIRST_MS))
    for row in (row for row in result["slopes"] if row["target"] == OURS):
        found.append((f"CPU us of a token, {row['shape']}", row["us_per_token"], TOKEN_US))
    return [
        (f"{name} <= {limit:g}", f"{measured:g} {'yes' if measured <= limit else 'NO'}")
        for name, measured, limit in found
    ]


def table(rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> list[str]:
    """Markdown of ``rows``; ``columns`` are keys and headings."""
    lines = [f"| {' | '.join(columns.values())} |", "|---" * len(columns) + "|"]
    for row in rows:
        cells = ["" if row[key] is None else str(row[key]) for key in columns]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


COSTS = {
    "case": "case",
    "target": "asked",
    "cpu_ms": "CPU ms",
    "added_p50_ms": "added p50 ms",
    "added_p99_ms": "added p99 ms",
    "added_first_p50_ms": "first token added p50 ms",
    "added_first_p99_ms": "p99 ms",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "provider_cpu_ms": "provider's CPU ms",
}
SLOPES = {
    "shape": "stream",
    "target": "asked",
    "us_per_token": "CPU us per token",
    "pieces_per_token": "pieces per token received",
    "provider_us_per_token": "provider's CPU us per token",
}


def summary(result: dict[str, Any]) -> list[str]:
    """Tables and budgets."""
    lines = table(result["rows"], COSTS)
    if result["slopes"]:
        lines += ["", *table(result["slopes"], SLOPES)]
    lines += ["", "| budget | measured |", "|---|---|"]
    return lines + [f"| {name} | {value} |" for name, value in result["budgets"]]


def page(result: dict[str, Any]) -> str:
    """docs/benchmarks/chat.md."""
    machine = result["machine"]
    same = ", ".join(f"{count} of 5" for count in result["passages_shared_with_naive"])
    lines = [
        "# Answering a question",
        "",
        f"Made by `{result['command']}` on {result['date']}; do not edit.",
        f"{machine['cores']} cores, {machine['memory_gb']} GB, load {machine['load_before']} before"
        f" the run and {machine['load_after']} after it, Python {machine['python']};"
        f" {result['chunks']} chunks of the sample documents.",
        "",
        "One worker each, all started at once and asked in turns over HTTP, the same questions; the"
        " scripted provider (`tests/fake_provider.py`) answers at once, and the answers' texts must"
        " be equal. CPU is the asked process's own for one request, all its threads, from /proc"
        " (the provider's, in the rows that ask it directly; the database and Redis are others)."
        " Questions repeat, so their embedding is cached."
        ' "Added" is a percentile less the same percentile of the provider asked directly.'
        " Paced clients ask at random times, and latency counts from there.",
        "",
        f"An empty FastAPI POST took {result['empty_post_ms']} ms of CPU in the same run, and"
        f" {EMPTY_POST_MS} ms on the machine for which the budgets were set; those of a request are"
        " shown for both.",
        "",
        "FastAPI + LlamaIndex + PGVectorStore is the least that does it"
        " (`scripts/chat_benchmark/naive_app.py`): no credentials, tenants, citations, limits or"
        f" logs. Its passages are by vector alone, ours fused with full text: {same} are the same."
        " LiteLLM's Router sits behind one route and is handed the product's own prompts, so it"
        " neither searches nor cites.",
        "",
        *summary(result),
        "",
        f"Memory of the API worker afterwards: {result['resident_mb']} MB.",
    ]
    return "\n".join(lines) + "\n"
