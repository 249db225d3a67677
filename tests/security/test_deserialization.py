"""No bytes, from outside or from our own stores, become Python objects by their own word."""

import ast
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from app.auth.keys import create_key
from tests.conftest import ROOT, SECRET, FreshDatabase, environment
from tests.pdfs import make_pdf

UNSAFE = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
#: Python's own audit events, which nothing in the process can evade; imports load compiled files.
HOOK = """
import os, sys
def watch(event, args):
    if event in ("pickle.find_class", "marshal.loads", "marshal.load"):
        frame, names = sys._getframe(), set()
        while frame:
            names.add(frame.f_code.co_filename)
            frame = frame.f_back
        if not any("importlib" in name or "zipimport" in name for name in names):
            os.write(2, f"UNSAFE {event} {sorted(names)}\\n".encode())
            os._exit(77)
    elif event == "import" and args[0] in ("shelve", "dill", "cloudpickle"):
        os.write(2, f"UNSAFE import {args[0]}\\n".encode())
        os._exit(77)
def arm():
    sys.addaudithook(watch)
"""
SERVE = """
import asyncio, socket, uvicorn
from app.main import app
arm()
asyncio.run(uvicorn.Server(uvicorn.Config(app, log_config=None)).serve(
    sockets=[socket.socket(fileno=int(sys.argv[1]))]))
"""
WORK = """
import app.worker, runpy
arm()
runpy.run_module("app.worker", run_name="__main__")
"""


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
        "pickle.loads(pickle.dumps(print))",
        "marshal.loads(marshal.dumps(1))",
        "__import__('shelve')",
    ):
        script = f"import pickle, marshal{HOOK}arm()\n{attack}"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
        assert done.returncode == 77, (attack, done.stderr)


def test_requests_and_jobs_never_reach_them(database: FreshDatabase, tmp_path: Path) -> None:
    key = create_key(database.database_url, SECRET.encode(), tenant="t", name="t")
    environ = environment(database, tmp_path, LOG_LEVEL="WARNING", PROVIDER_ORDER="extractive")
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        port = listening.getsockname()[1]
        api = subprocess.Popen(
            [sys.executable, "-c", HOOK + SERVE, str(listening.fileno())],
            cwd=ROOT, env=environ, pass_fds=[listening.fileno()], stderr=subprocess.PIPE,
        )  # fmt: skip
    worker = subprocess.Popen(
        [sys.executable, "-c", HOOK + WORK], cwd=ROOT, env=environ, stderr=subprocess.PIPE
    )
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
        for process in (api, worker):
            process.terminate()
        seen = b"".join(process.communicate(timeout=30)[1] for process in (api, worker))
    assert b"UNSAFE" not in seen
    assert 77 not in (api.returncode, worker.returncode)
