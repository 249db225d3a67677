"""One format for everybody's log lines, on stderr, with no local variables in tracebacks."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
#: Logging is process-wide, so it is tried in a process of its own.
SCRIPT = """
import logging, sys, structlog
from pathlib import Path
from app.infra.logging import configure_logging
folder = Path(sys.argv[3]) if len(sys.argv) > 3 else None
configure_logging(sys.argv[1], as_json=sys.argv[2] == "json", folder=folder)
structlog.get_logger("ours").info("ours_info", request_id="r1")
logging.getLogger("theirs").warning("theirs %s", "warned")
logging.getLogger("httpx").info("chatty")
def fail(password):
    raise ValueError("oops")
try:
    fail("hunter2-canary")
except ValueError:
    structlog.get_logger("ours").exception("failed")
KEY = "dk_" + "canary" * 4
structlog.get_logger("ours").error("kept", api_key=KEY, nested={"a": [f"Bearer {KEY}"]}, n=7)
logging.getLogger("theirs").error("with %s", KEY)
try:
    raise OSError(f"postgresql://u:{KEY}@host/db")
except OSError:
    logging.getLogger("theirs").exception("broken")
"""


def run(level: str, form: str, *folder: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, level, form, *folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr


def test_json_lines() -> None:
    lines = [json.loads(line) for line in run("INFO", "json").splitlines()]
    assert [line["event"] for line in lines] == [
        "ours_info",
        "theirs warned",
        "failed",
        "kept",
        "with ***",
        "broken",
    ]
    assert lines[0]["request_id"] == "r1"
    assert [line["level"] for line in lines] == ["info", "warning", *["error"] * 4]
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert "ValueError: oops" in lines[2]["exception"]
    assert (lines[3]["api_key"], lines[3]["nested"]) == ("***", {"a": ["Bearer ***"]})
    assert "postgresql://u:***@host/db" in lines[5]["exception"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_levels_and_secrets(form: str) -> None:
    text = run("ERROR", form)
    assert "ours_info" not in text
    assert "theirs warned" not in text
    assert "failed" in text
    assert "oops" in text
    assert "canary" not in text.replace('"canary" * 4', "").replace("hunter2-canary", "")
    assert "with ***" in text
    # From 3.13 on a traceback quotes the line of a program that is given with -c.
    quoted = text.replace('\\"', '"').replace('fail("hunter2-canary")', "")
    assert "hunter2" not in quoted


def test_the_same_lines_are_in_the_file_of_the_process(tmp_path: Path) -> None:
    said = run("INFO", "json", str(tmp_path / "logs"))
    [file] = (tmp_path / "logs").iterdir()
    # Whose lines are not ours are given their time where they are written.
    written, shown = (re.sub(r"\d\.\d+Z", "", text) for text in (file.read_text(), said))
    assert written == shown
    assert "ours_info" in said
