"""No bytes, from outside or from our own stores, become Python objects by their own word."""

import ast
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from app.auth.keys import create_key
from tests import forks
from tests.conftest import ROOT, SECRET, FreshDatabase, environment
from tests.pdfs import make_pdf

UNSAFE = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}


def watch(event: str, args: tuple[Any, ...]) -> None:
    """Of Python's audit events, which nothing can evade; imports may load compiled files."""
    if event in ("pickle.find_class", "marshal.loads", "marshal.load"):
        frame, names = sys._getframe(), set()
        while frame:
            names.add(frame.f_code.co_filename)
            frame = frame.f_back
        if not any("importlib" in name or "zipimport" in name for name in names):
            os.write(2, f"UNSAFE {event} {sorted(names)}\n".encode())
            os._exit(77)
    elif event == "import" and args[0] in ("shelve", "dill", "cloudpickle"):
        os.write(2, f"UNSAFE import {args[0]}\n".encode())
        os._exit(77)


def watched(target: Callable[..., object], *arguments: Any) -> object:
    """A target of ``fork`` that calls another."""
    sys.addaudithook(watch)
    return target(*arguments)


def test_no_module_of_ours_imports_them() -> None:
    found = [
        f"{path}: {name}"
        for path in (ROOT / "app").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.partition(".")[0] in UNSAFE
    ]
    assert found == []


def test_the_hook_sees_what_it_must() -> None:
    for attack in (
        "import pickle; pickle.loads(pickle.dumps(print))",
        "import marshal; marshal.loads(marshal.dumps(1))",
        "import shelve",
    ):
        process = forks.fork(watched, exec, attack, env=os.environ)
        process.join()
        assert process.exitcode == 77, attack


def test_requests_and_jobs_never_reach_them(database: FreshDatabase, tmp_path: Path) -> None:
    key = create_key(database.database_url, SECRET.encode(), tenant="t", name="t")
    environ = environment(database, tmp_path, LOG_LEVEL="WARNING", PROVIDER_ORDER="extractive")
    said = [tmp_path / "api", tmp_path / "worker"]
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        port = listening.getsockname()[1]
        api = forks.fork(watched, forks.serve, listening, env=environ, err=said[0])
    worker = forks.fork(watched, forks.work, env=environ, err=said[1])
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": key}, timeout=120
        ) as client:
            file = {"file": ("a.pdf", make_pdf([["The pump runs at 40 bar."]]))}
            job = client.post("/api/v1/docs", files=file).json()["job"]["id"]
            with client.stream("GET", f"/api/v1/jobs/{job}/events") as events:
                told = "".join(events.iter_text())
            assert '"succeeded"' in told
            answer = client.post("/api/v1/chat", json={"question": "How many bar is the pump at?"})
            assert answer.json()["citations"]
            client.post("/api/v1/chat", json={"question": "pump", "stream": True})
    finally:
        codes = [forks.end(process) for process in (api, worker)]
    assert not [path.name for path in said if "UNSAFE" in path.read_text()]
    assert codes == [0, 0]
