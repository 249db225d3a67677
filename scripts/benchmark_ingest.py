"""Ingestion against its ceiling: pages/s beside the embedding model alone, and unchanged files/s.

    python -m scripts.benchmark_ingest [--pages 400] [--files 2000] [--quick]

A throw-away house on its own embedded servers. First the chunks of ``--pages`` pages are embedded
and nothing else: the ceiling. Then the same pages go the whole way, from the folder to the
published versions, once as one PDF and once as PDFs of a hundred pages, each as another tenant's,
each between two measurements of the ceiling, whose mean it is compared with: the machine's speed
drifts. Three rounds, each of pages of its own, the median of the shares. Then one page is changed,
then ``--files`` small files are taken in again unchanged. Writes docs/benchmarks/ingest.{json,md}.
"""

import argparse
import asyncio
import datetime
import json
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.auth.keys import tenant_named  # noqa: E402 - needs the line above
from app.infra.migrations import migrate  # noqa: E402
from app.infra.servers import owner_url, servers  # noqa: E402
from app.ingestion.chunk import chunk_pages  # noqa: E402
from app.ingestion.folder import Progress, find_files, take_in, watch  # noqa: E402
from app.ingestion.new_chunk import embedded_text, new_chunks  # noqa: E402
from app.ingestion.parse import parse_pdf  # noqa: E402
from app.settings import Settings  # noqa: E402
from app.wiring import House, open_house  # noqa: E402
from scripts.benchmarks import add_options, write  # noqa: E402
from tests.pdfs import make_pdf  # noqa: E402

ROUNDS = 3
PAGES_OF_A_PDF = 100
#: What a page is about, and how much of it says so.
OWN_WORDS, OWN_SHARE = 6, 0.3
#: Pages a second that the model embedded on the machine for which the budget was set. Where it is
#: faster, everything else weighs more: the share falls with a better model, and nothing is slower.
EMBEDDED_PER_S = 40
WORDS = Path(ROOT / "docs" / "glossary.md").read_text("utf-8").replace("|", " ").split()


def pages(count: int, turn: str, changed: int | None = None) -> list[list[str]]:
    """Pages of about 180 words, each about a few things of its own, as real pages are.

    The nearer vectors are to one another, the longer a graph of them takes to grow: words drawn
    for all pages alike were .79 from their nearest and .75 from their tenth, these are .66 and .60.
    The abstracts of cranfield, which are of one field, are .69 and .55.
    """
    found = []
    for number in range(count):
        draw = random.Random(f"{turn} {number}")  # noqa: S311 - no secret
        own = draw.sample(sorted(set(WORDS)), k=OWN_WORDS)
        drawn = [draw.choice(own if draw.random() < OWN_SHARE else WORDS) for _ in range(175)]
        words = [f"Page {number}{'x' if number == changed else ''}.", *drawn]
        lines = [" ".join(words[at : at + 12]) for at in range(0, len(words), 12)]
        found.append([line.encode("ascii", "replace").decode() for line in lines])
    return found


def at_budget(besides_s: float) -> float:
    """The share of the ceiling, were the model as fast as where the budget was set."""
    embedding_s = 1 / EMBEDDED_PER_S
    return embedding_s / (embedding_s + besides_s)


def cpu_s() -> float:
    """CPU of this process and of its children that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


async def ceiling(house: House, texts: Sequence[str]) -> float:
    """Seconds to embed ``texts`` and nothing else."""
    started = time.perf_counter()
    await house.embedder.embed_passages(list(texts))
    return time.perf_counter() - started


async def ingest(house: House, tenant_id: str, folder: Path) -> tuple[float, Progress | None]:
    """Seconds from the folder to the last published version, and how it ended."""
    working = asyncio.create_task(house.worker.run())
    started = time.perf_counter()
    versions = []
    async for batch in take_in(house.pool, house.intake, tenant_id, find_files(folder)):
        versions += [(i.document_id, i.version) for i in batch if i.document_id and i.version]
    last = None
    if versions:
        async for progress in watch(house.pool, tenant_id, versions):
            last = progress
    took = time.perf_counter() - started
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    return took, last


def write_pdfs(folder: Path, written: Sequence[list[str]], most: int) -> Path:
    """A folder of the pages as PDFs of at ``most`` so many."""
    folder.mkdir()
    for first in range(0, len(written), most):
        (folder / f"{first}.pdf").write_bytes(make_pdf(written[first : first + most]))
    return folder


def write_texts(folder: Path, count: int) -> None:
    """A folder of small files."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.txt").write_text(f"File {number}.", "utf-8")


async def reingest_edited(
    house: House, tenant_id: str, place: Path, name: str, count: int
) -> tuple[float, Progress]:
    """Seconds to take in one PDF again of which a page was changed."""
    (place / "0.pdf").write_bytes(make_pdf(pages(count, name, changed=count // 2)))
    took, last = await ingest(house, tenant_id, place)
    assert last is not None  # noqa: S101
    return took, last


async def reingest_unchanged(house: House, tenant_id: str, place: Path, count: int) -> float:
    """Seconds to take in a folder of small files again."""
    write_texts(place, count)
    await ingest(house, tenant_id, place)
    took, nothing = await ingest(house, tenant_id, place)
    assert nothing is None  # noqa: S101
    return took


async def measure(settings: Settings, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All of it, in one process."""
    book = make_pdf(pages(options.pages, "alone"))
    before = cpu_s()
    parsed = await parse_pdf(book)
    parse_cpu_s = cpu_s() - before
    chunks = chunk_pages(parsed.pages)
    texts = [embedded_text(chunk) for chunk in new_chunks(chunks, "book")]
    threads = os.cpu_count() or 1
    async with open_house(settings, embedding_threads=threads, statement_timeout_s=600) as house:
        await ceiling(house, texts[:32])
        alone = [await ceiling(house, texts)]
        whole: dict[int, list[float]] = {PAGES_OF_A_PDF: [], options.pages: []}
        shares: dict[int, list[float]] = {most: [] for most in whole}
        for turn in range(options.rounds):
            for most, times in whole.items():
                name = f"{turn} {most}"
                place = write_pdfs(folder / name, pages(options.pages, name), most)
                tenant_id = tenant_named(owner_url(settings), name)
                took, last = await ingest(house, tenant_id, place)
                assert last is not None  # noqa: S101
                assert not last.failures, last.failures  # noqa: S101
                times.append(took)
                alone.append(await ceiling(house, texts))
                shares[most].append(statistics.mean(alone[-2:]) / took)
        edited_s, edited = await reingest_edited(house, tenant_id, place, name, options.pages)
        unchanged_s = await reingest_unchanged(house, tenant_id, folder / "small", options.files)
    one, several = options.pages, PAGES_OF_A_PDF
    ceiling_s = statistics.median(alone)
    besides = {
        most: (statistics.median(took_s) - ceiling_s) / options.pages
        for most, took_s in whole.items()
    }
    return {
        "pages": options.pages,
        "chunks": len(chunks),
        "parse_pages_per_cpu_s": round(options.pages / parse_cpu_s, 1),
        "embedding_alone_pages_per_s": round(options.pages / statistics.median(alone), 2),
        "one_pdf_pages_per_s": round(options.pages / statistics.median(whole[one]), 2),
        "one_pdf_share_of_ceiling": round(statistics.median(shares[one]), 3),
        "one_pdf_besides_ms_per_page": round(besides[one] * 1000, 2),
        "one_pdf_share_at_budget": round(at_budget(besides[one]), 3),
        "several_pdfs_besides_ms_per_page": round(besides[several] * 1000, 2),
        "several_pdfs_share_at_budget": round(at_budget(besides[several]), 3),
        "several_pdfs_pages_per_s": round(options.pages / statistics.median(whole[several]), 2),
        "several_pdfs_share_of_ceiling": round(statistics.median(shares[several]), 3),
        "one_page_changed": {
            "seconds": round(edited_s, 2),
            "chunks_embedded": edited.chunks_embedded,
            "chunks_reused": edited.chunks_reused,
        },
        "unchanged_files_per_s": round(options.files / unchanged_s),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def page(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    rows = {
        "parsing, pages per CPU-second (>= 300)": result["parse_pages_per_cpu_s"],
        "embedding alone, pages/s": result["embedding_alone_pages_per_s"],
        "one PDF, pages/s": result["one_pdf_pages_per_s"],
        "one PDF, share of the ceiling (>= .85)": result["one_pdf_share_of_ceiling"],
        "one PDF, besides embedding, ms a page": result["one_pdf_besides_ms_per_page"],
        f"one PDF, the share were it {EMBEDDED_PER_S} pages/s": result["one_pdf_share_at_budget"],
        f"PDFs of {PAGES_OF_A_PDF} pages, pages/s": result["several_pdfs_pages_per_s"],
        f"PDFs of {PAGES_OF_A_PDF} pages, share": result["several_pdfs_share_of_ceiling"],
        "the same, besides embedding, ms a page": result["several_pdfs_besides_ms_per_page"],
        f"the same, the share were it {EMBEDDED_PER_S} pages/s": result[
            "several_pdfs_share_at_budget"
        ],
        "one page changed: chunks embedded": result["one_page_changed"]["chunks_embedded"],
        "one page changed: chunks reused": result["one_page_changed"]["chunks_reused"],
        "one page changed: seconds": result["one_page_changed"]["seconds"],
        "unchanged files/s (>= 500)": result["unchanged_files_per_s"],
        "peak memory of the process, MB": result["peak_rss_mb"],
    }
    lines = [
        "# Ingestion",
        "",
        f"Made by `python -m scripts.benchmark_ingest` on {result['date']}; do not edit.",
        f"A PDF of {result['pages']} pages, {result['chunks']} chunks; {result['cores']} cores.",
        "",
        "| | measured |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows.items()),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--files", type=int, default=2000)
    add_options(parser, quick="one round of 20 pages and 20 files")
    options = parser.parse_args()
    options.rounds = ROUNDS
    if options.quick:
        options.pages, options.files, options.rounds = 20, 20, 1
    with tempfile.TemporaryDirectory() as place:
        settings = Settings(_env_file=None, docent_home=Path(place) / "home")  # type: ignore[call-arg]
        with servers(settings):
            migrate(
                owner_url(settings),
                embedding_model=settings.embedding_model,
                embedding_dimension=settings.embedding_dimension,
            )
            result = asyncio.run(measure(settings, Path(place), options))
    result["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    result["cores"] = os.cpu_count()
    write(options, {"ingest.json": json.dumps(result, indent=2) + "\n", "ingest.md": page(result)})
    sys.stdout.write(page(result))


if __name__ == "__main__":
    main()
