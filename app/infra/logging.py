"""Logs: structlog for our events, the standard library's for everybody else's, one format.

Ours do not go through the standard library's records, which cost 16 of a line's 42 us.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from app.infra.log_file import MOST_FOLDER_BYTES, LogFile
from app.infra.masking import mask_event

#: These say at INFO what is only of use when they themselves are the problem.
CHATTY = ("alembic", "httpx", "procrastinate", "psycopg.pool")

_FIRST: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
_LAST: list[Processor] = [
    # Before masking, so that it covers the text of exceptions; no local variables are shown.
    structlog.processors.format_exc_info,
    mask_event,
]


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
    number = logging.getLevelName(level)
    outlets: list[Outlet] = [(_Stderr(), _renderer(as_json=as_json, colors=sys.stderr.isatty()))]
    if folder is not None:
        file = LogFile(folder, most_folder_bytes=folder_bytes)
        outlets.append((file, _renderer(as_json=as_json, colors=False)))
    structlog.configure(
        processors=[*_FIRST, *_LAST, _passed_on],
        logger_factory=lambda *_: _Lines(outlets),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=True,
    )
    for handler, renderer in outlets:
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=_FIRST,
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *_LAST,
                    renderer,
                ],
            )
        )
    logging.basicConfig(level=number, handlers=[handler for handler, _ in outlets], force=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, number))


class _Stderr(logging.StreamHandler[TextIO]):
    def write(self, line: str) -> None:
        """Write what is formatted already; whoever calls holds the lock."""
        with suppress(OSError, ValueError):  # nobody reads it, or it is closed
            self.stream.write(f"{line}\n")
            self.stream.flush()


Outlet = tuple[_Stderr | LogFile, Processor]


class _Lines:
    """What structlog's loggers end in: each event becomes a line of every outlet."""

    def __init__(self, outlets: Sequence[Outlet]) -> None:
        self._outlets = outlets

    def __getattr__(self, level: str) -> Callable[[object, str, EventDict], None]:
        """A method for every level; all do the same."""
        return self._write

    def _write(self, logger: object, method: str, event: EventDict) -> None:
        for handler, renderer in self._outlets:
            try:
                line = str(renderer(logger, method, dict(event)))
            except Exception as error:  # noqa: BLE001 - a log line ends nothing
                line = f"{event.get('event')!r} cannot be written: {type(error).__name__}"
            handler.acquire()
            try:
                handler.write(line)
            finally:
                handler.release()


def _passed_on(logger: object, method: str, event: EventDict) -> tuple[Any, dict[str, Any]]:
    """As arguments of a method of `_Lines`."""
    return (logger, method, event), {}


def _renderer(*, as_json: bool, colors: bool) -> Processor:
    if as_json:
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback
    )
