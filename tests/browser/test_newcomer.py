"""The first minutes of somebody who has just cloned this: `make run`, a question, Ctrl-C."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import photograph, until_served
from tests.browser.test_journeys import QUESTION
from tests.faults.running import Docent, Program

OpenPage = Callable[..., Any]
#: Servers are made, the samples are read, and the demo starts, on whatever machine.
PATIENCE_S = 300.0


@pytest.fixture
def made() -> Iterator[Docent]:
    """A home that is not there yet; whatever runs on it is ended."""
    folder = Path(tempfile.mkdtemp(prefix="docent-new-"))
    docent = Docent(folder / "home")
    try:
        yield docent
    finally:
        docent.clean_up()
        shutil.rmtree(folder, ignore_errors=True)


def test_from_make_run_to_the_page_behind_an_answer(made: Docent, open_page: OpenPage) -> None:
    running = Program(["make", "run"], made.environment)
    made.programs.append(running)
    running.until_line("Ctrl-C stops everything", PATIENCE_S)

    until_served(f"http://127.0.0.1:{made.demo_port}/_stcore/health")
    page = open_page(f"http://127.0.0.1:{made.demo_port}")
    page.get_by_role("button", name=QUESTION).click()
    page.get_by_role("img", name="quote marked").first.wait_for()
    page.get_by_test_id("stFeedback").wait_for()
    photograph(page, "newcomer", top=True)

    printed = shlex.split(running.until_line("Try   ").partition("Try   ")[2])
    told = json.loads(subprocess.run(printed, check=True, capture_output=True).stdout)
    assert told["citations"][0]["page"] == 39
    assert told["citations"][0]["verified"] is True

    page.close()
    os.killpg(running.pid, signal.SIGINT)
    running.until_line("docent | stopped")
    assert made.status_of("/livez") == 0
