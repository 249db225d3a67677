"""The jobs' door: ``python -m app.worker`` ingests what was accepted, until told to stop."""

import asyncio
import os
import signal
import sys

import structlog

from app.errors import AppError
from app.infra.collector import settle
from app.infra.logging import configure_logging
from app.infra.postgres import PROGRAM_S
from app.settings import Settings, load_settings
from app.wiring import open_house

log = structlog.get_logger(__name__)


async def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; the job in hand is then left to the next worker."""
    async with open_house(
        settings,
        embedding_threads=settings.embedding_threads or os.cpu_count() or 1,
        statement_timeout_s=PROGRAM_S,
        metrics_port=settings.worker_metrics_port,
    ) as house:
        house.metrics.running("worker")
        settle()
        working = asyncio.create_task(house.worker.run())
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, working.cancel)
        log.info("worker_started")
        try:
            await working
        except asyncio.CancelledError:
            log.info("worker_stopped")


def main() -> int:
    """Run the worker; the exit code."""
    try:
        settings = load_settings()
        configure_logging(
            settings.log_level,
            as_json=settings.log_json,
            folder=settings.log_folder,
            folder_bytes=settings.log_files_max_bytes,
        )
        asyncio.run(run_worker(settings))
    except AppError as error:
        sys.stderr.write(f"docent: {error.detail}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
