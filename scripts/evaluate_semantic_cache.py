"""`make evaluate-semantic`: what the semantic cache finds, and what it finds wrongly.

    python -m scripts.evaluate_semantic_cache [--pairs FILE] [--data DIR …] [--json FILE]

Prints hits and false hits by threshold, with the rules and by vectors alone. ``--data`` also takes
every two English questions of a data set, which ask different things, and lists what would be given
one answer. Needs no servers. Exit code 1 when more than 1 % are false at the served threshold.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from app.chat.neighbours import CHOSEN
from app.retrieval.models import build_embedder
from app.settings import load_settings
from scripts.evaluation.report import shown, table
from scripts.evaluation.semantic import Pair, Point, curve, different, judged, read_pairs

PAIRS = Path(__file__).parents[1] / "tests" / "quality" / "question_pairs.jsonl"
MOST_FALSE = 0.01


def points_table(points: Sequence[Point]) -> str:
    """The curve, as it stands in docs/quality.md."""
    header = ["cosine ≥", "hits", "false hits", "hits, vectors alone", "false hits, vectors alone"]
    rows = [
        [f"{p.threshold:.2f}", *map(shown, (p.hits, p.false_hits, p.bare_hits, p.bare_false_hits))]
        for p in points
    ]
    return table(header, rows)


async def measure(options: argparse.Namespace) -> int:
    """Measure and print; the exit code."""
    embedder = build_embedder(load_settings(), threads=os.cpu_count() or 1)
    threshold = CHOSEN["threshold"]
    try:
        pairs = await judged(embedder, read_pairs(options.pairs))
        wild: list[Pair] = []
        for folder in options.data or ():
            wild += await judged(embedder, different(_questions(folder)), least=threshold)
    finally:
        await embedder.close()
    for half in sorted({pair.half for pair in pairs}):
        part = [pair for pair in pairs if pair.half == half]
        same = sum(pair.kind == "same" for pair in part)
        print(f"{half}: {same} that ask the same, {len(part) - same} that nearly do\n")
        print(points_table(curve(part)) + "\n")
    false = [pair for pair in pairs if pair.kind != "same" and pair.hit(threshold)]
    told = [*false, *(pair for pair in wild if pair.hit(threshold))]
    for pair in told:
        print(f"{pair.half}, {pair.kind}: {pair.answered} | {pair.asked}")
    print(f"{len(wild)} pairs of the data above {threshold}, {len(told) - len(false)} of them hits")
    if options.json is not None:
        numbers = [asdict(point) for point in curve(pairs)]
        options.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    near = sum(pair.kind != "same" for pair in pairs)
    return int(len(false) > MOST_FALSE * near)


def _questions(folder: Path) -> list[str]:
    lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    return [row["question"] for row in rows if row.get("lang", "en") == "en"]


def main(arguments: Sequence[str]) -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--pairs", type=Path, default=PAIRS, metavar="FILE")
    parser.add_argument("--data", type=Path, action="append", metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there too")
    return asyncio.run(measure(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
