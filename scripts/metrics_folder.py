"""The folder in which the processes of one run count together (ADR 0012)."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]

from app.infra.metrics_backends import wants_prometheus
from app.settings import Settings

#: Where prometheus-client looks, at its import.
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "docent-metrics-"
#: In memory where that can be had: on a full disk, a write to a mapped file is the process's end.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp below it


class MetricsFolder:
    """Made new for this process and its children, unless whoever started it has given one.

    Raises:
        ConfigurationError: METRICS_BACKEND cannot work.
    """

    def __init__(self, settings: Settings) -> None:
        self._made: Path | None = None
        given, ours = os.environ.get(VARIABLE), f"{PREFIX}{os.getpid()}-"
        if given and Path(given).name.startswith(ours):
            self._made = Path(given)  # by this process: gunicorn reads its configuration on SIGHUP
        elif wants_prometheus(settings) and not given:
            within = SHARED_MEMORY if SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
            _sweep(within)
            self._made = Path(tempfile.mkdtemp(prefix=ours, dir=within))
            os.environ[VARIABLE] = str(self._made)

    def remove(self) -> None:
        """Remove the folder, if it was made here."""
        if self._made is not None:
            shutil.rmtree(self._made, ignore_errors=True)
            del os.environ[VARIABLE]
            self._made = None


def _sweep(within: Path) -> None:
    """Remove what killed runs have left."""
    for path in within.glob(f"{PREFIX}*-*"):
        pid = path.name.removeprefix(PREFIX).partition("-")[0]
        with suppress(OSError):  # another process that starts now was faster
            ours = path.stat().st_uid == os.geteuid()
            if ours and pid.isdecimal() and not psutil.pid_exists(int(pid)):
                shutil.rmtree(path, ignore_errors=True)
