"""Logs: structlog for our events, the standard library's for everybody else's, one format."""

import logging
import logging.config
import sys
from pathlib import Path
from typing import Any, Literal

import structlog

from app.infra.log_file import MOST_FOLDER_BYTES, LogFile
from app.infra.masking import mask_event

#: These say at INFO what is only of use when they themselves are the problem.
CHATTY = ("alembic", "httpx", "procrastinate", "psycopg.pool")


def configure_logging(
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    *,
    as_json: bool,
    folder: Path | None = None,
    folder_bytes: int = MOST_FOLDER_BYTES,
) -> None:
    """Send every log line of this process to stderr, and to files in ``folder`` if there is one.

    All files there have ``folder_bytes`` together, give or take what is written to.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        cache_logger_on_first_use=True,
    )

    def formatter(*, colors: bool) -> dict[str, Any]:
        return {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": shared,
            "processors": _rendering(as_json=as_json, colors=colors),
        }

    handlers: dict[str, dict[str, Any]] = {
        "stderr": {"class": "logging.StreamHandler", "formatter": "stderr"}
    }
    if folder is not None:
        handlers["file"] = {
            "()": LogFile,
            "folder": folder,
            "most_folder_bytes": folder_bytes,
            "formatter": "file",
        }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "stderr": formatter(colors=sys.stderr.isatty()),
                "file": formatter(colors=False),
            },
            "handlers": handlers,
            "root": {"level": level, "handlers": [*handlers]},
            "loggers": {
                name: {"level": max(logging.WARNING, logging.getLevelName(level))}
                for name in CHATTY
            },
        }
    )


def _rendering(*, as_json: bool, colors: bool) -> list[structlog.typing.Processor]:
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        # Before masking, so that it covers the text of exceptions; no local variables are shown.
        structlog.processors.format_exc_info,
        mask_event,
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
