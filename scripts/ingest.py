"""`make ingest`: ingest every document below a folder, and say what became of each.

Exit code 0 when every file is in, 1 when some failed, 2 when nothing could be tried at all.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.auth.keys import tenant_named
from app.errors import AppError
from app.infra.logging import configure_logging
from app.infra.postgres import PROGRAM_S
from app.infra.servers import owner_url
from app.ingestion.folder import Progress as Watched
from app.ingestion.folder import Received, find_files, take_in, watch
from app.settings import Settings, load_settings
from app.wiring import House, open_house
from scripts.prepare import prepared_servers


async def ingest(settings: Settings, folder: Path, tenant: str, console: Console) -> int:
    """Ingest ``folder`` for ``tenant``; the exit code."""
    files = find_files(folder)
    tenant_id = tenant_named(owner_url(settings), tenant)
    async with open_house(
        settings,
        embedding_threads=settings.embedding_threads or os.cpu_count() or 1,
        statement_timeout_s=PROGRAM_S,
    ) as house:
        received: list[Received] = []
        with _bar(console, transient=True) as bar:
            task = bar.add_task("Taking in", total=len(files))
            async for batch in take_in(house.pool, house.intake, tenant_id, files):
                received += batch
                bar.update(task, completed=len(received))
        waited = {
            (item.document_id, item.version): item
            for item in received
            if item.document_id is not None and item.version is not None
        }
        last = await _work(house, tenant_id, list(waited), console) if waited else None
    return _report(console, folder, received, last)


def _bar(console: Console, *, transient: bool = False) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files"),
        TimeElapsedColumn(),
        console=console,
        transient=transient,
    )


async def _work(
    house: House, tenant_id: str, versions: list[tuple[str, int]], console: Console
) -> Watched | None:
    """Run jobs here, beside any worker that runs elsewhere, until all ``versions`` are settled."""
    working = asyncio.create_task(house.worker.run())
    last: Watched | None = None
    try:
        with _bar(console) as bar:
            task = bar.add_task("Ingesting", total=len(versions))
            async for last in watch(house.pool, tenant_id, versions):
                pages = f"page {last.pages_done} of {last.pages_total}"
                bar.update(task, completed=last.done, description=f"Ingesting, {pages}")
                if working.done():
                    working.result()  # a worker that ended early ended with an error
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    return last


def _report(console: Console, folder: Path, received: list[Received], last: Watched | None) -> int:
    failures = {} if last is None else last.failures
    verdicts: Counter[str] = Counter()
    failed: list[tuple[str, str]] = []
    for item in received:
        reason = item.reason
        if item.document_id is not None and item.version is not None:
            reason = failures.get((item.document_id, item.version))
        if reason is not None:
            failed.append((str(item.path), reason))
        verdicts["failed" if reason is not None else item.verdict] += 1
    table = Table(title=f"{folder}", title_justify="left")
    for column in ("new", "changed", "unchanged", "failed", "chunks embedded", "chunks reused"):
        table.add_column(column, justify="right")
    table.add_row(
        *(str(verdicts[name]) for name in ("new", "changed", "unchanged", "failed")),
        str(0 if last is None else last.chunks_embedded),
        str(0 if last is None else last.chunks_reused),
    )
    console.print(table)
    for path, reason in failed:
        console.print(f"failed: {path}: {reason}", style="red", markup=False, soft_wrap=True)
    if not received:
        console.print(f"No document was found below {folder}.", markup=False)
        return 2
    return 1 if failed else 0


def named_folder(text: str) -> Path:
    """A path as it was typed; nothing is no folder, and not the one that the command runs in."""
    if not text:
        raise argparse.ArgumentTypeError("no folder was named")
    return Path(text)


def main(arguments: list[str]) -> int:
    """Ingest a folder; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=named_folder)
    parser.add_argument("--tenant", default="default", help="made if it is new")
    options = parser.parse_args(arguments)
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: leave in order
    try:
        settings = load_settings()
        configure_logging("WARNING", as_json=settings.log_json)
        with prepared_servers(settings):
            return asyncio.run(ingest(settings, options.folder, options.tenant, console))
    except AppError as error:
        sys.stderr.write(f"docent: {error.detail}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("docent: stopped; what was taken in goes on with the next worker.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
