"""Files of log lines: whose they are, and what becomes of the full ones."""

import gzip
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from app.infra.log_file import LogFile


@contextmanager
def logger(folder: Path, most_bytes: int = 1000, **bounds: int) -> Iterator[logging.Logger]:
    """A logger that writes there; everything is compressed when it ends."""
    handler = LogFile(folder, most_bytes=most_bytes, **bounds)
    found = logging.getLogger(f"of the test in {folder}")
    found.propagate = False
    found.addHandler(handler)
    yield found
    found.removeHandler(handler)
    handler.close()
    for thread in threading.enumerate():
        if thread.name == "log-file":
            thread.join()


def test_a_file_is_of_a_process_and_a_day_and_nobody_elses(tmp_path: Path) -> None:
    with logger(tmp_path / "logs") as log:
        log.warning("one")
        log.warning("two \ud800")
    [file] = (tmp_path / "logs").iterdir()
    assert re.fullmatch(rf"app_{os.getpid()}_\d{{4}}-\d\d-\d\d\.log", file.name)
    assert file.read_text() == "one\ntwo \\ud800\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_full_one_is_compressed_and_no_line_is_lost(tmp_path: Path) -> None:
    lines = [f"line {number:03} {'x' * 90}" for number in range(35)]
    with logger(tmp_path) as log:
        for line in lines:
            log.warning(line)
    [plain] = tmp_path.glob("*.log")
    packed = sorted(tmp_path.glob("*.gz"))
    assert len(packed) == 3
    assert {file.stat().st_mode & 0o777 for file in packed} == {0o600}
    assert sorted(tmp_path.iterdir()) == sorted([plain, *packed])
    found = [*(gzip.decompress(file.read_bytes()).decode() for file in packed), plain.read_text()]
    assert "".join(found).splitlines() == lines


def test_a_forked_process_writes_its_own(tmp_path: Path) -> None:
    with logger(tmp_path) as log:
        log.warning("of the parent")
        child = os.fork()
        if child == 0:
            log.warning("of the child")
            os._exit(0)
        os.waitpid(child, 0)
        log.warning("of the parent too")
    texts = {file.name.split("_")[1]: file.read_text() for file in tmp_path.iterdir()}
    assert texts == {
        str(os.getpid()): "of the parent\nof the parent too\n",
        str(child): "of the child\n",
    }


def test_a_disk_that_takes_nothing_costs_the_line_and_no_more(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.write_text("in the way")
    with logger(folder) as log:
        log.warning("lost")
        folder.unlink()
        log.warning("kept")
    [file] = folder.iterdir()
    assert file.read_text() == "kept\n"


def aged(folder: Path, name: str, days: int) -> Path:
    """A file of 1,000 bytes that was last written to so long ago."""
    path = folder / name
    path.write_bytes(b"x" * 1000)
    then = time.time() - days * 86_400
    os.utime(path, (then, then))
    return path


def test_the_oldest_go_when_all_together_are_too_much(tmp_path: Path) -> None:
    names = ["app_7_2026-01-01.log", "app_7_2026-01-02.070000.1.log.gz", "app_8_2026-01-02.gz.part"]
    oldest, older, abandoned = (aged(tmp_path, name, 90 - at) for at, name in enumerate(names))
    old = aged(tmp_path, "app_8_2026-01-03.log", 80)
    written = aged(tmp_path, f"app_9_{datetime.now(UTC):%Y-%m-%d}.log", 85)
    theirs = aged(tmp_path, "notes.txt", 99)
    with logger(tmp_path, most_folder_bytes=3500) as log:
        log.warning("one more")
    assert not [path for path in (oldest, older) if path.exists()]
    assert all(path.exists() for path in (abandoned, old, written, theirs))
    with logger(tmp_path, most_folder_bytes=0) as log:
        log.warning("and another")
    left = {path.name.split("_")[1] for path in tmp_path.glob("app_*")}
    assert left == {"9", str(os.getpid())}, "what is written to stays"


def test_a_folder_of_full_files_keeps_its_size(tmp_path: Path) -> None:
    with logger(tmp_path, most_bytes=2000, most_folder_bytes=6000) as log:
        for _ in range(200):
            log.warning(os.urandom(200).hex())
    assert sum(path.stat().st_size for path in tmp_path.glob("*.gz")) <= 6000
    assert list(tmp_path.glob("*.gz"))


def test_a_file_that_was_taken_for_old_is_begun_anew(tmp_path: Path) -> None:
    with logger(tmp_path, most_bytes=10) as log:
        log.warning("long enough to be full")
        [file] = tmp_path.iterdir()
        file.unlink()
        log.warning("kept")
    assert file.read_text() == "kept\n"
