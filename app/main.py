"""The HTTP door: ``gunicorn app.main:app``."""

import gc
import mmap
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn

from app.errors import AppError, Unavailable
from app.factory import create_app
from app.infra.collector import settle
from app.infra.logging import configure_logging
from app.settings import Settings, load_settings
from app.wiring import House, open_house

#: Exit code of a worker that could not start. Gunicorn gives up then (its WORKER_BOOT_ERROR).
WRONG = 3
#: One byte shared by all workers (the module is imported before they are forked): whether one of
#: them has said what is wrong.
_told = mmap.mmap(-1, 1)


@asynccontextmanager
async def open_house_or_exit(settings: Settings) -> AsyncIterator[House]:
    """The house, or one sentence on stderr and the end of this process.

    The end is abrupt, because an error raised here is printed by the server as a traceback, and
    nothing is open yet that would have to be closed.

    Raises:
        Unavailable: the database is away, for a while perhaps.
    """
    async with AsyncExitStack() as stack:
        try:
            house = await stack.enter_async_context(open_house(settings))
        except Unavailable:
            gc.enable()  # it is off since the imports, and this may take days
            raise
        except AppError as error:
            _end(error)
        settle()
        yield house


def _end(error: AppError) -> NoReturn:
    if _told[0]:  # gunicorn is giving up already, and trips over a second WRONG while it does
        os.kill(os.getpid(), signal.SIGKILL)
    _told[0] = 1
    sys.stderr.write(f"docent: {error.detail}\n")
    sys.stderr.flush()
    os._exit(WRONG)


try:
    _settings = load_settings()
except AppError as error:
    sys.exit(f"docent: {error.detail}")
configure_logging(
    _settings.log_level,
    as_json=_settings.log_json,
    folder=_settings.log_folder,
    folder_bytes=_settings.log_files_max_bytes,
)
app = create_app(_settings, open_house=open_house_or_exit)
