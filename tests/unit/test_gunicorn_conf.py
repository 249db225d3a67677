"""What gunicorn says has the form of all other logs."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging
from types import SimpleNamespace
from gunicorn.config import Config
from gunicorn.glogging import Logger
from app.infra.logging import configure_logging
from scripts import gunicorn_conf

config = Config()
config.set("errorlog", gunicorn_conf.errorlog)
log = Logger(config)
configure_logging("INFO", as_json=True)
gunicorn_conf.on_starting(SimpleNamespace(log=log))
log.setup(config)  # at SIGHUP
log.error("Worker (pid:%s) was sent %s!", 7, "SIGKILL")
log.error("postgresql://u:canary-canary@host/db")
"""


def test_what_gunicorn_says_is_json_masked_and_said_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True,
        env={**os.environ, "DOCENT_HOME": str(tmp_path)}, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    killed, secret = map(json.loads, done.stderr.splitlines())
    assert (killed["event"], killed["level"]) == ("Worker (pid:7) was sent SIGKILL!", "error")
    assert secret["event"] == "postgresql://u:***@host/db"


@pytest.mark.parametrize(("given", "hard", "allowed"), [(64, 300, 300), (300, 300, 300)])
def test_as_many_connections_as_the_system_allows(
    tmp_path: Path, given: int, hard: int, allowed: int
) -> None:
    """A shell gives a part of it, and whoever came after so many was cut off."""
    program = (
        "import resource; from scripts import gunicorn_conf as _;"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (given, hard)),
        env={**os.environ, "DOCENT_HOME": str(tmp_path)}, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert int(done.stdout) == allowed
