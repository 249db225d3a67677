"""`make reindex`: change the embedding model while the old one answers; docs/reindex.md.

    python -m scripts.reindex status
    python -m scripts.reindex prepare                 embed every chunk by the other model too
    python -m scripts.reindex compare [--data DIR]    both models on the same questions
    python -m scripts.reindex switch                  answer with the other model, or back
    python -m scripts.reindex drop                    remove the vectors that are not answered with
    python -m scripts.reindex rebuild                 build the vector index anew

The model to change to is NEXT_EMBEDDING_MODEL with its dimension, URL and key. Everything may be
interrupted, and goes on where it was. Exit code 0 when done, 1 otherwise.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from app.auth.keys import tenant_named
from app.errors import AppError, ConfigurationError, Unavailable
from app.infra.logging import configure_logging
from app.infra.postgres import PROGRAM_S, open_pool
from app.infra.servers import owner_url, urls_of
from app.retrieval.embedding import Embedder
from app.retrieval.models import build_embedder, next_settings
from app.settings import Settings, load_settings
from app.wiring import open_house
from scripts.evaluate import throw_away
from scripts.evaluation.corpus import fill as fill_corpus
from scripts.evaluation.dataset import load
from scripts.prepare import known_servers, prepared_servers
from scripts.reindexing.comparison import Compared, compare, logged_questions, table_of
from scripts.reindexing.filling import catch_up_and_switch, fill, insist
from scripts.reindexing.tables import (
    Owner,
    Standing,
    alone,
    drop_beside,
    make_beside,
    make_indexes,
    rebuild_index,
    standing,
)

BUSY = "The chunks are in use without end (a long publication?); nothing was changed, try again."


@asynccontextmanager
async def owning(settings: Settings) -> AsyncIterator[Owner]:
    """A connection as the owner of the tables."""
    try:
        owner = await psycopg.AsyncConnection.connect(
            owner_url(settings), autocommit=True, row_factory=dict_row, connect_timeout=5
        )
    except psycopg.OperationalError as error:
        raise Unavailable("The database of DATABASE_URL cannot be reached.") from error
    async with owner:
        yield owner


@asynccontextmanager
async def model_named(settings: Settings, name: str) -> AsyncIterator[Embedder]:
    """The model ``name``, which has to be one of those that the settings name.

    Raises:
        ConfigurationError: it is not.
    """
    for known in (settings, next_settings(settings)):
        if known is not None and known.embedding_model == name:
            threads = settings.embedding_threads or os.cpu_count() or 1
            embedder = build_embedder(known, threads=threads)
            try:
                yield embedder
            finally:
                await embedder.close()
            return
    raise ConfigurationError(
        f"The settings do not name {name}: set NEXT_EMBEDDING_MODEL={name},"
        " NEXT_EMBEDDING_DIMENSION and, unless it is the built-in model, NEXT_EMBEDDING_BASE_URL."
    )


def other_model(settings: Settings, current: str) -> Settings:
    """The settings of the model that they name beside the ``current`` one.

    Raises:
        ConfigurationError: they name none.
    """
    for known in (next_settings(settings), settings):
        if known is not None and known.embedding_model != current:
            return known
    raise ConfigurationError(
        f"The index answers with {current}, and the settings name no other model: set"
        " NEXT_EMBEDDING_MODEL and NEXT_EMBEDDING_DIMENSION, and NEXT_EMBEDDING_BASE_URL."
    )


def beside(found: Standing) -> str:
    """The name of the model beside.

    Raises:
        ConfigurationError: there is none.
    """
    if found.beside is None:
        raise ConfigurationError(
            "No other model's vectors are there; run `python -m scripts.reindex prepare` first."
        )
    return found.beside


@contextmanager
def bar(console: Console, found: Standing) -> Iterator[Callable[[int], None]]:
    """A line that shows how many chunks are done."""
    progress = Progress(
        "Embedding", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
    with progress:
        done = found.chunks - found.missing
        task = progress.add_task("", total=found.chunks, completed=done)
        yield lambda count: progress.advance(task, count)


async def prepare(settings: Settings, owner: Owner, console: Console) -> None:
    """Embed every chunk by the other model, beside the vectors that answer."""
    await alone(owner)
    target = other_model(settings, (await standing(owner)).current)
    name = target.embedding_model
    async with model_named(settings, name) as embedder:
        await embedder.embed_query("ready")  # before anything is made for a model that is away
        await make_beside(owner, name, embedder.dimension)
        with bar(console, await standing(owner)) as tell:
            await fill(owner, embedder, tell)
    console.print("Building the indexes ...")
    await make_indexes(owner)
    await status(owner, console)


async def status(owner: Owner, console: Console) -> None:
    """Say how things stand, and what comes next."""
    found = await standing(owner)
    console.print(f"answers: {found.current} ({found.dimension} dimensions)")
    if found.beside is None:
        console.print("beside it: nothing")
        return
    state = "ready" if found.ready else "`prepare` or `switch` does the rest"
    console.print(
        f"beside it: {found.beside} ({found.beside_dimension} dimensions),"
        f" {found.chunks - found.missing} of {found.chunks} chunks; {state}"
    )


async def switch_models(settings: Settings, owner: Owner, console: Console) -> None:
    """Answer with the model beside from now on; the one that answered stands beside then."""
    await alone(owner)
    found = await standing(owner)
    async with model_named(settings, beside(found)) as embedder:
        with bar(console, found) as tell:
            switched = await catch_up_and_switch(owner, embedder, tell)
    if not switched:
        raise Unavailable(BUSY)
    await status(owner, console)
    console.print(
        "Processes that know both models follow within two seconds. `switch` goes back;"
        f" to stay, make {found.beside} EMBEDDING_MODEL, restart, and `drop`."
    )


async def drop(owner: Owner, console: Console) -> None:
    """Remove what stands beside."""
    await alone(owner)
    if not await insist(lambda: drop_beside(owner)):
        raise Unavailable(BUSY)
    await status(owner, console)


async def rebuild(owner: Owner, console: Console) -> None:
    """Build the vector index anew; the old one answers until then."""
    await alone(owner)
    await rebuild_index(owner)
    console.print("The vector index was built anew.")


async def compare_live(settings: Settings, owner: Owner, limit: int) -> dict[str, dict[str, Any]]:
    """Both models on the questions of the query log, as far as they are kept."""
    found = await standing(owner)
    async with (
        model_named(settings, found.current) as current,
        model_named(settings, beside(found)) as other,
        open_pool(urls_of(settings).database_url, size=1, timeout_s=30) as pool,
    ):
        questions = await logged_questions(owner, limit)
        return {"query log": await compare(pool, [current, other], questions, {})}


async def compare_golden(
    settings: Settings, folder: Path, limit: int | None, console: Console
) -> dict[str, dict[str, Any]]:
    """Both models on questions with known answers, in ``settings``' throw-away house."""
    results = {}
    async with open_house(settings, statement_timeout_s=PROGRAM_S) as house:
        dataset = load(folder, limit=limit)
        filled = []
        for corpus in dataset.corpora:
            name = f"{dataset.name} {corpus.lang}"
            tenant_id = await asyncio.to_thread(tenant_named, owner_url(settings), name)
            filled.append((name, tenant_id, corpus, await fill_corpus(house, tenant_id, corpus)))
        async with owning(settings) as owner:
            await prepare(settings, owner, console)
            found = await standing(owner)
        async with model_named(settings, beside(found)) as other:
            for name, tenant_id, corpus, places in filled:
                asked = [
                    Compared(tenant_id, one.text, one) for one in corpus.questions if one.answerable
                ]
                models = [house.embedder, other]
                results[name] = await compare(house.pool, models, asked, places)
    return results


def golden(
    settings: Settings, folder: Path, limit: int | None, console: Console
) -> dict[str, dict[str, Any]]:
    """`compare_golden` on servers of its own, which are thrown away after."""
    with tempfile.TemporaryDirectory(prefix="docent-compare-") as home:
        # The house has the one model; the other is asked beside it.
        own = throw_away(settings, Path(home))
        with prepared_servers(own):
            return asyncio.run(compare_golden(own, folder, limit, console))


def tell_comparison(
    results: dict[str, dict[str, Any]], file: Path | None, console: Console
) -> None:
    """Print the tables, and write the numbers to ``file``."""
    for name, result in results.items():
        console.print(table_of(name, result))
    if file is not None:
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


async def run(settings: Settings, options: argparse.Namespace, console: Console) -> None:
    """Do what was asked for on the database of the settings."""
    async with owning(settings) as owner:
        match options.verb:
            case "prepare":
                await prepare(settings, owner, console)
            case "switch":
                await switch_models(settings, owner, console)
            case "drop":
                await drop(owner, console)
            case "rebuild":
                await rebuild(owner, console)
            case "compare":
                results = await compare_live(settings, owner, options.limit or 200)
                tell_comparison(results, options.json, console)
            case _:
                await status(owner, console)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("status", "prepare", "switch", "drop", "rebuild"):
        verbs.add_parser(verb)
    comparing = verbs.add_parser("compare")
    comparing.add_argument("--data", type=Path, metavar="DIR", help="questions with known answers")
    comparing.add_argument("--limit", type=int, help="so many questions")
    comparing.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there too")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Do one step; the exit code."""
    options, console = parse(arguments), Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: leave in order
    try:
        settings = load_settings()
        configure_logging("WARNING", as_json=settings.log_json)
        if options.verb == "compare" and options.data is not None:
            results = golden(settings, options.data, options.limit, console)
            tell_comparison(results, options.json, console)
            return 0
        with known_servers(settings):
            asyncio.run(run(settings, options, console))
    except AppError as error:
        sys.stderr.write(f"docent: {error.detail}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("docent: stopped; the same command goes on where it was.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
