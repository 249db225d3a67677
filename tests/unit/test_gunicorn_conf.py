"""What gunicorn says has the form of all other logs."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
