"""The folder a run counts in: made, given, swept and removed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import Settings
from scripts import metrics_folder
from scripts.metrics_folder import PREFIX, VARIABLE, MetricsFolder


@pytest.fixture(autouse=True)
def within(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Folders are made below a place of the test's own."""
    monkeypatch.setattr(metrics_folder, "SHARED_MEMORY", tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path


def made(backend: str = "prometheus") -> MetricsFolder:
    return MetricsFolder(Settings(_env_file=None, metrics_backend=backend))  # type: ignore[call-arg, arg-type]


def test_it_is_private_and_removed_with_everything_in_it(within: Path) -> None:
    folder = made()
    [path] = within.iterdir()
    assert os.environ[VARIABLE] == str(path)
    assert path.stat().st_mode & 0o077 == 0
    (path / "counter_1.db").touch()
    folder.remove()
    assert (list(within.iterdir()), VARIABLE in os.environ) == ([], False)
    folder.remove()


def test_one_that_was_given_is_used_and_left(monkeypatch: pytest.MonkeyPatch, within: Path) -> None:
    monkeypatch.setenv(VARIABLE, "/given")
    made().remove()
    assert (list(within.iterdir()), os.environ[VARIABLE]) == ([], "/given")


def test_a_process_that_asks_again_keeps_its_folder_and_removes_it(within: Path) -> None:
    """Gunicorn runs its configuration file again on SIGHUP, while its workers count."""
    made()
    [path] = within.iterdir()
    again = made()
    assert (list(within.iterdir()), os.environ[VARIABLE]) == ([path], str(path))
    again.remove()
    assert list(within.iterdir()) == []


def test_no_other_backend_wants_one(within: Path) -> None:
    made("noop").remove()
    assert list(within.iterdir()) == []


def test_what_killed_runs_have_left_is_removed(within: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    kept = [within / f"{PREFIX}{os.getpid()}-x", within / f"{PREFIX}strange-x", within / "other"]
    for path in (within / f"{PREFIX}{ended.pid}-x", *kept):
        path.mkdir()
    made().remove()
    assert sorted(within.iterdir()) == sorted(kept)
