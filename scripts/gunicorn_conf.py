"""How gunicorn serves the API: ``gunicorn -c scripts/gunicorn_conf.py app.main:app``.

The application is imported once, before the workers are forked (LlamaIndex alone takes seconds).
``uvicorn-worker`` rather than gunicorn's own asgi worker: 15 % less CPU per small request here, and
its flow control and disconnects are proven. ``max_requests`` stays 0, for a worker that recycles
itself stops its heartbeat and would be killed under a stream longer than ``timeout``.
"""

import asyncio
import ctypes
import gc
import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.errors import AppError  # noqa: E402 - needs the line above
from app.http.protocol import BoundedHttp  # noqa: E402
from app.http.websocket_protocol import BoundedWebSocket  # noqa: E402
from app.settings import load_settings  # noqa: E402
from scripts.metrics_folder import VARIABLE, MetricsFolder  # noqa: E402

PR_SET_PDEATHSIG = 1
gc.disable()  # a sixth of the CPU of the application's import; on again once a worker is open
#: Set by the launcher: the read end of a pipe that tells when the database is ready.
GATE_VARIABLE = "DOCENT_GATE_FD"
#: Streams may finish for so long after SIGTERM; the launcher stops everything within 10 s.
DRAIN_S = 5
#: Connections are open files. Shells allow 1,024, and who came after was cut off without a word.
OPEN_FILES = 65_536
#: A request on a connection accepted just before arrives within so long.
ARRIVAL_S = 0.5

try:
    settings = load_settings()
    metrics_folder = MetricsFolder(settings)  # before prometheus_client is imported, and the forks
except AppError as error:
    sys.exit(f"docent: {error.detail}")


class ApiServer(Server):
    """Uvicorn, waiting for requests that are on their way when it is asked to stop.

    By itself it closes every connection without a running request at once, also one it has just
    accepted: during a rolling restart new callers were cut off.
    """

    async def shutdown(self, sockets: Any = None) -> None:  # noqa: ANN401 - uvicorn's own
        for server in self.servers:
            server.close()  # accepts nothing more; the other workers do
        await asyncio.sleep(ARRIVAL_S)
        await super().shutdown(sockets)


class ApiWorker(UvicornWorker):  # type: ignore[misc]
    """Uvicorn inside gunicorn, cancelling what has not drained in time."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": BoundedHttp,
        "ws": BoundedWebSocket,
        "ws_max_size": 65_536,
        "ws_per_message_deflate": False,
        "access_log": False,  # the application writes its own
        "server_header": False,
        "proxy_headers": False,  # X-Forwarded-For is the caller's word until a proxy is configured
        "timeout_graceful_shutdown": DRAIN_S,
    }

    async def _serve(self) -> None:
        # UvicornWorker's own, with our server
        self.config.app = self.wsgi
        server = ApiServer(config=self.config)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


def allow_open_files() -> None:
    """Take as many as the system lets us have without asking its administrator."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS has another limit beside
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


allow_open_files()
_host = f"[{settings.bind_address}]" if ":" in settings.bind_address else settings.bind_address
bind = f"{_host}:{settings.port}"
workers = settings.workers
worker_class = ApiWorker
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - heartbeats
preload_app = True
chdir = str(ROOT)
timeout = 60  # seconds without a heartbeat
graceful_timeout = DRAIN_S + 1
keepalive = 65  # seconds; more than the usual 60 of a proxy, which must be the one to hang up
control_socket_disable = True
loglevel = "warning"
errorlog = None  # no handler of its own; see on_starting
proc_name = "docent-api"


def on_starting(server: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter
    """Wait for the launcher's word after the imports, before the first worker."""
    # The application has configured logging by now. What gunicorn says of a worker that was killed,
    # and uvicorn of one that did not start, has its form too, and its masking.
    server.log.error_log.handlers[:] = logging.getLogger().handlers
    gate = os.environ.pop(GATE_VARIABLE, None)
    if gate is None:
        return
    opened = os.read(int(gate), 1)
    os.close(int(gate))
    if not opened:  # the launcher has gone
        sys.exit(0)


def post_fork(server: Any, worker: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter and worker
    """Let no worker outlive a killed master, whose port it would keep."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != server.pid:
            worker.alive = False
            sys.exit(0)


def child_exit(server: Any, worker: Any) -> None:  # noqa: ANN401 - gunicorn's own
    """Forget the gauges of the worker that ended; what it has counted stays."""
    if folder := os.environ.get(VARIABLE):
        # Imported late: nothing else of it is needed here, and only with this backend.
        from app.infra.metrics_prometheus import forget_dead

        forget_dead(Path(folder))


def on_exit(server: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter
    """Remove what was made for this run."""
    metrics_folder.remove()
