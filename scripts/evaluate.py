"""`make evaluate DATA=…`: measure retrieval and answers on questions with known answers.

    python scripts/evaluate.py --data DIR [--data DIR …] [--answers] [--ablation] [--together]
        [--slips] [--limit N] [--cache DIR] [--json FILE] [--calibrate FILE] [--judge N]

A DIR holds ``questions.jsonl`` beside ``pdfs/`` or ``passages.jsonl``. Everything runs through the
product's own ingestion, search and chat, on embedded servers of its own that are thrown away after.
Each language of a set is a corpus of its own, unless they are wanted together. Exit code 0 when all
was measured, 1 otherwise.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.auth.keys import tenant_named  # noqa: E402 - needs the line above
from app.errors import AppError  # noqa: E402
from app.infra.logging import configure_logging  # noqa: E402
from app.infra.postgres import PROGRAM_S, tenant_transaction  # noqa: E402
from app.infra.servers import owner_url  # noqa: E402
from app.llm.completion import Provider  # noqa: E402
from app.llm.providers import build_router  # noqa: E402
from app.retrieval.models import build_embedder  # noqa: E402
from app.settings import Settings, load_settings  # noqa: E402
from app.wiring import House, open_house  # noqa: E402
from scripts.evaluation.ablation import ablate, ablation_table  # noqa: E402
from scripts.evaluation.answers import Judged, ask, summed_up  # noqa: E402
from scripts.evaluation.calibration import Filled, calibrated  # noqa: E402
from scripts.evaluation.contexts import compare_contexts, context_table  # noqa: E402
from scripts.evaluation.corpus import Places, fill  # noqa: E402
from scripts.evaluation.dataset import HALVES, Asked, Corpus, Dataset, load  # noqa: E402
from scripts.evaluation.judges import has_model, verdicts  # noqa: E402
from scripts.evaluation.rankings import MODES, averaged, judge, rank  # noqa: E402
from scripts.evaluation.remembered import RememberedEmbedder  # noqa: E402
from scripts.evaluation.report import Result, tables  # noqa: E402
from scripts.evaluation.slips import with_slips  # noqa: E402
from scripts.prepare import prepared_servers  # noqa: E402


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    data: list[Path]
    limit: int | None = None
    json: Path | None = None
    answers: bool = False
    cache: Path | None = None
    ablation: bool = False
    #: All languages of a set in one corpus.
    together: bool = False
    #: One slip of the fingers in each question.
    slips: bool = False
    calibrate: Path | None = None
    #: So many answers of each corpus are judged by a language model.
    judge: int = 0


async def evaluate(
    settings: Settings, options: Options, *, judge: Provider | None = None
) -> list[Result]:
    """Measure every data set in an empty house; ``judge`` judges answers.

    Raises:
        AppError: a data set or one of its files cannot be read.
    """
    results: list[Result] = []
    filled: list[Filled] = []
    threads = settings.embedding_threads or os.cpu_count() or 1
    embedder = build_embedder(settings, threads=threads)
    if options.cache is not None:
        embedder = RememberedEmbedder(embedder, options.cache)
    async with open_house(
        settings,
        embedder=embedder,
        statement_timeout_s=PROGRAM_S,
    ) as house:
        for folder in options.data:
            dataset = _loaded(folder, options)
            for corpus in dataset.corpora:
                name = _name(dataset, corpus)
                say(f"{name}: ingesting")
                tenant_id = await asyncio.to_thread(tenant_named, owner_url(settings), name)
                places = await fill(house, tenant_id, corpus)
                say(f"{name}: {len(corpus.questions)} questions")
                result = await measure(house, tenant_id, name, corpus, places, options.answers)
                if options.ablation:
                    asked = [one for one in corpus.questions if one.answerable]
                    ablation = await ablate(house, tenant_id, places, asked)
                    contexts = await compare_contexts(house, tenant_id, places, asked)
                    result = replace(result, ablation=ablation, contexts=contexts)
                if judge is not None:
                    asked = [one for one in corpus.questions if one.answerable][: options.judge]
                    result = replace(result, judged=await verdicts(house, tenant_id, asked, judge))
                results.append(result)
                filled.append(Filled(name, tenant_id, corpus))
        if options.calibrate is not None:
            say("calibrating")
            curve = await calibrated(house, [one for one in filled if one.corpus.lang == "en"])
            options.calibrate.write_text(curve, encoding="utf-8")
    return results


def _loaded(folder: Path, options: Options) -> Dataset:
    dataset = load(folder, limit=options.limit, together=options.together)
    return with_slips(dataset) if options.slips else dataset


def _name(dataset: Dataset, corpus: Corpus) -> str:
    return dataset.name if len(dataset.corpora) == 1 else f"{dataset.name} {corpus.lang}"


async def measure(
    house: House, tenant_id: str, name: str, corpus: Corpus, places: Places, answers: bool
) -> Result:
    """Ask everything there is to ask of one corpus that has been filled in."""
    answerable = [asked for asked in corpus.questions if asked.answerable]
    rows = {
        label: [
            judge(asked, await rank(house, tenant_id, places, asked.text, mode))
            for asked in answerable
        ]
        for label, mode in MODES.items()
    }
    judged = [await ask(house, tenant_id, places, one) for one in corpus.questions if answers]
    async with tenant_transaction(house.pool, tenant_id) as connection:
        cursor = await connection.execute("SELECT count(*) AS chunks FROM chunks")
        counted = await cursor.fetchone()
    return Result(
        name=name,
        documents=len({document_id for document_id, _ in places}),
        pages=len(places),
        chunks=counted["chunks"] if counted else 0,
        questions=len(corpus.questions),
        answerable=len(answerable),
        rankings={label: averaged(of_mode) for label, of_mode in rows.items()},
        answers=summed_up(judged) if judged else {},
        halves=_halves(corpus.questions, rows["fused"], judged),
    )


def _halves(
    questions: Sequence[Asked], rows: Sequence[dict[str, float]], judged: Sequence[Judged]
) -> dict[str, dict[str, float | None]]:
    """Half → what was measured on it: as served, and of the answers if there are any.

    Args:
        questions: all of them.
        rows: of the answerable ones, in their order.
        judged: answers to all of them, or none.
    """
    answerable = [asked for asked in questions if asked.answerable]
    found: dict[str, dict[str, float | None]] = {}
    for half in HALVES:
        of_half = [row for asked, row in zip(answerable, rows, strict=True) if asked.half == half]
        answers = [one for asked, one in zip(questions, judged, strict=False) if asked.half == half]
        found[half] = {**averaged(of_half), **(summed_up(answers) if answers else {})}
    return found


def throw_away(settings: Settings, home: Path) -> Settings:
    """``settings`` with a house of its own below ``home``, and no provider but the extractive."""
    return settings.model_copy(
        update={
            "docent_home": home,
            "database_url": None,
            "migration_database_url": None,
            "redis_url": None,
            "provider_order": ["extractive"],
            "default_llm_model": None,
        }
    )


def run(options: Options) -> list[Result]:
    """Start the servers, measure, and leave nothing behind."""
    configure_logging("WARNING", as_json=False)
    with tempfile.TemporaryDirectory(prefix="docent-evaluate-") as home:
        settings = throw_away(load_settings(), Path(home))
        with prepared_servers(settings):
            return asyncio.run(_judged(settings, options))


async def _judged(settings: Settings, options: Options) -> list[Result]:
    """Measure, with the operator's own models as the judge."""
    if not options.judge:
        return await evaluate(settings, options)
    judge = build_router(load_settings())
    try:
        if has_model(judge):
            return await evaluate(settings, options, judge=judge)
        say("no language model is configured: answers are not judged")
        return await evaluate(settings, options)
    finally:
        await judge.close()


def say(line: str) -> None:
    """Tell the one who waits; what was measured goes to standard output instead."""
    sys.stderr.write(f"{line}\n")


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="DIR")
    parser.add_argument("--limit", type=int, help="only the first N questions of each language")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there too")
    parser.add_argument("--ablation", action="store_true", help="what each technique gains")
    parser.add_argument("--together", action="store_true", help="a set's languages as one corpus")
    parser.add_argument("--slips", action="store_true", help="misspell a word of each question")
    parser.add_argument(
        "--calibrate",
        type=Path,
        metavar="FILE",
        help="write abstention's threshold there",
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep embeddings between runs")
    parser.add_argument("--answers", action="store_true", help="ask the chat as well")
    parser.add_argument(
        "--judge",
        type=int,
        default=0,
        metavar="N",
        help="let a language model judge the first N answers of each language",
    )
    return Options(**vars(parser.parse_args(arguments)))


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit code."""
    options = parse(arguments)
    try:
        results = run(options)
    except AppError as error:
        sys.stderr.write(f"docent: {error.detail}\n")
        return 1
    print(tables(results))
    if options.ablation:
        print("\n" + ablation_table({result.name: result.ablation for result in results}))
        print("\n" + context_table({result.name: result.contexts for result in results}))
    if options.json is not None:
        numbers = [result.as_json() for result in results]
        options.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
