"""``make run`` from the first line it prints to the last, and copies of it side by side."""

import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.faults.running import ANSWER, ROOT, Docent, copy_of_docent, key_in, until, write_paper

HAS_DEMO = (ROOT / ".venv-demo" / "bin" / "python").exists()
#: What the issue promises for Ctrl-C.
STOP_S = 10.0


@pytest.fixture(scope="module")
def running() -> Iterator[Docent]:
    """A copy that runs for the whole module."""
    with copy_of_docent() as docent:
        docent.run("--no-demo")
        yield docent


def test_start_ask_stop_and_start_again() -> None:
    with copy_of_docent() as docent:
        launcher = docent.run()
        introduction = "\n".join(launcher.lines)
        assert docent.url in launcher.until_line("| API")
        assert (f"http://127.0.0.1:{docent.demo_port}" in introduction) == HAS_DEMO
        key = key_in(launcher.until_line("| Key"))
        assert key == docent.key
        assert docent.status_of("/readyz") == 200
        if HAS_DEMO:
            assert httpx.get(f"http://127.0.0.1:{docent.demo_port}/_stcore/health").text == "ok"

        curl = launcher.until_line("| Try").partition("Try")[2].strip()
        pasted = subprocess.run(["sh", "-c", curl], capture_output=True, text=True, check=True)
        assert '"answer_id"' in pasted.stdout
        first = docent.ask().json()
        assert ANSWER in first["answer"]

        ended, took_s = stop(docent)
        assert (ended.code, ended.lines[-1]) == (0, "docent | stopped")
        assert took_s < STOP_S

        again = docent.run("--no-demo")
        assert key_in(again.until_line("| Key")) == key
        second = docent.ask().json()
        assert (second["answer"], second["citations"]) == (first["answer"], first["citations"])
        docent.check_intact()
        assert stop(docent)[0].code == 0
