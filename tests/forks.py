"""Processes of ours that begin at once: forked from one that has imported the product already.

Importing it takes seconds of CPU, and the tests start some seventy processes. They are as real as
any other, with their own memory, environment, output and exit code; gunicorn forks its workers just
so. What is about the import itself is started with ``subprocess``.
"""

import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest import mock

import coverage

ROOT = Path(__file__).parents[1]
#: What coverage tells the processes that Python starts; forked ones ask for it by themselves.
MEASURED = "COVERAGE_PROCESS_CONFIG"
#: Nothing that a test runs takes so long, on a machine however busy: it hangs.
HANGS_S = 600
_FORKS = multiprocessing.get_context("forkserver")
# Not app.main, which reads the settings when it is imported.
_FORKS.set_forkserver_preload(["app.factory", "app.worker", "uvicorn", "uvloop"])


def fork(
    target: Callable[..., object],
    *arguments: Any,
    env: Mapping[str, str],
    out: Path | None = None,
    err: Path | None = None,
) -> BaseProcess:
    """Call ``target`` in a process of its own, to which it returns the exit code."""
    with mock.patch.dict(os.environ):
        os.environ.pop(MEASURED, None)
        forkserver.ensure_running()
    process = _FORKS.Process(target=_begin, args=(target, arguments, dict(env), out, err))
    process.daemon = True  # a test that forgets it does not hold up the end
    process.start()
    return process


def end(process: BaseProcess, timeout_s: float = 20) -> int | None:
    """Ask it to end; its exit code, negative for a signal, or None if it does not."""
    process.terminate()
    process.join(timeout_s)
    return process.exitcode


def run(*arguments: str, env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """What ``python -m`` does, to its end."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = fork(_run_module, *arguments, env=env, out=out, err=err)
        process.join(HANGS_S)
        assert process.exitcode is not None, f"{arguments} does not end"
        return subprocess.CompletedProcess(
            arguments, process.exitcode, out.read_text(), err.read_text()
        )


def serve(listening: socket.socket) -> None:
    """The API on a socket that somebody listens on already."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    import uvicorn
    import uvloop

    from app.http.protocol import BoundedHttp
    from app.http.websocket_protocol import BoundedWebSocket
    from app.main import app

    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        ws=BoundedWebSocket,
        log_config=None,
        access_log=False,
        server_header=False,
    )
    uvloop.run(uvicorn.Server(config).serve(sockets=[listening]))


def work() -> int:
    """An ingestion worker."""
    from app.worker import main

    return main()


def _begin(
    target: Callable[..., object],
    arguments: tuple[Any, ...],
    env: dict[str, str],
    out: Path | None,
    err: Path | None,
) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(ROOT)
    for path, number in ((out, 1), (err, 2)):
        if path is not None:
            with path.open("wb") as file:
                os.dup2(file.fileno(), number)
    measuring = coverage.process_startup()
    try:
        sys.exit(target(*arguments))
    finally:
        if measuring is not None:
            measuring.stop()
            measuring.save()


def _run_module(name: str, *arguments: str) -> None:
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
