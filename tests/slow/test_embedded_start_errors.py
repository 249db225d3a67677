"""What can be wrong when the embedded servers start, and the one sentence each gives."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.infra.embedded import folders as places
from app.infra.embedded.account import Account, as_account, enters
from app.infra.embedded.faults import StartError, from_log
from app.infra.embedded.folders import check_space, folders_of, make_home, make_sockets
from app.infra.embedded.locks import alone
from app.infra.embedded.servers import embedded_servers, status, stop
from app.infra.embedded.wheels import wheel_program
from tests.conftest import remove_home

IS_ROOT = os.geteuid() == 0
SELF = Account(os.geteuid(), os.getegid())


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    remove_home(tmp_path / "home")


def reason(home: Path) -> str:
    """The sentence a start gives; it is one, and it leaves nothing running."""
    with pytest.raises(StartError) as caught, embedded_servers(home):
        pass
    sentence = caught.value.detail
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert (status(home).postgres_pid, status(home).redis_pid) == (None, None)
    return sentence


@pytest.mark.parametrize("folder", ["postgres18", "postgres16"])
def test_data_of_another_postgresql(home: Path, folder: str) -> None:
    (home / folder).mkdir(parents=True)
    (home / folder / "PG_VERSION").write_text("16\n")
    sentence = reason(home)
    assert "PostgreSQL 16" in sentence
    assert "PostgreSQL 18" in sentence
    assert "DOCENT_HOME" in sentence


def test_a_data_folder_that_is_not_one(home: Path) -> None:
    (home / "postgres18").mkdir(parents=True)
    (home / "postgres18" / "letters.txt").touch()
    assert "move that folder away" in reason(home)


def test_a_home_that_is_a_file(home: Path) -> None:
    home.touch()
    assert "not a folder" in reason(home)
    assert "not a folder" in reason(home / "below")
    home.unlink()


def test_a_home_of_somebody_else(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from app.errors import AppError
from app.infra.embedded.servers import embedded_servers
try:
    with embedded_servers(Path(sys.argv[1])): pass
except AppError as error:
    print(error.detail)
"""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    ordinary = Account(65534, 65534) if IS_ROOT else SELF
    needs = [Path(sys.executable), Path(os.__file__), Path(places.__file__)]
    command, options = as_account(ordinary, [sys.executable, "-c", code, str(closed)], needs)
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, **options)
    assert done.stdout.startswith("Docent cannot write to")
    assert done.stdout.count("\n") == 1


def test_a_full_disk_is_told_before_anything_is_written(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_home(folders_of(home))
    full = shutil.disk_usage(home)._replace(free=places.FREE_BYTES_AGAIN - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: full)
    with pytest.raises(StartError, match="is full"):
        check_space(folders_of(home))
    assert "is full" in reason(home)
    assert not (home / "postgres18").exists()


def test_a_disk_that_fills_up_while_a_server_starts(home: Path) -> None:
    """On a real file system of 30 MB where we may mount one, else on initdb's own words."""
    home.mkdir()
    options = ["-t", "tmpfs", "-o", "size=30m,mode=0755", "none", str(home)]
    mount = ["mount", *options]
    if IS_ROOT and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(places, "FREE_BYTES_NEW", 0)
                assert "is full" in reason(home)
        finally:
            stop(home)
            subprocess.run(["umount", str(home)], check=True)
    words = 'initdb: error: could not write to file "pg_wal/x": No space left on device'
    assert "is full" in from_log("PostgreSQL", home, words, home).detail


def test_damaged_data(home: Path) -> None:
    with embedded_servers(home):
        pass
    control = home / "postgres18" / "global" / "pg_control"
    with control.open("r+b") as file:
        file.write(b"damage" * 20)
    assert "damaged" in reason(home)
    [journal] = (home / "redis").glob("appendonlydir/*.incr.aof")
    journal.write_bytes(b"*damage\r\n")
    assert "Redis cannot read its file" in reason(home)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FATAL:  something new", "PostgreSQL did not start (something new): see"),
        ("", "PostgreSQL did not start (it wrote no reason): see"),
        ("sh: 1: /x/postgres: not found", "install Docent again"),
        ("FATAL: could not create shared memory segment: x", "not enough memory"),
        ("could not open file: Read-only file system", "read-only"),
    ],
)
def test_what_a_server_wrote_becomes_a_sentence(text: str, expected: str, tmp_path: Path) -> None:
    assert expected in from_log("PostgreSQL", tmp_path / "log", text, tmp_path).detail


def test_a_program_that_is_missing() -> None:
    with pytest.raises(StartError, match="install Docent again"):
        wheel_program("no_such_package", "bin/server")
    with pytest.raises(StartError, match="install Docent again"):
        wheel_program("app", "no-such-program")


@pytest.mark.parametrize("trap", ["open", "link", "file", "other"])
def test_a_socket_folder_somebody_else_made_is_not_trusted(
    home: Path, tmp_path: Path, trap: str
) -> None:
    sockets = folders_of(home).sockets
    if trap == "link":
        sockets.symlink_to(tmp_path)
    elif trap == "file":
        sockets.touch()
    else:
        sockets.mkdir(mode=0o700)
        sockets.chmod(0o777 if trap == "open" else 0o700)
    account = Account(SELF.uid + 1, SELF.gid) if trap == "other" else SELF
    try:
        with pytest.raises(StartError, match=r"remove it.*DOCENT_HOME"):
            make_sockets(folders_of(home), account)
    finally:
        sockets.unlink() if trap in {"link", "file"} else sockets.rmdir()


def test_a_new_home_and_its_sockets_are_private(home: Path) -> None:
    with embedded_servers(home):
        assert stat.S_IMODE(home.stat().st_mode) == (0o711 if IS_ROOT else 0o700)
        for folder in [home / "postgres18", home / "redis", home / "logs"]:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(folders_of(home).sockets.stat().st_mode) == 0o700


def test_a_lock_nobody_gives_back(tmp_path: Path) -> None:
    with (
        alone(tmp_path / "lock", SELF, 1),
        pytest.raises(StartError, match="starting or stopping"),
        alone(tmp_path / "lock", SELF, 0.05),
    ):
        pass


def test_who_may_enter_what(tmp_path: Path) -> None:
    stranger = Account(SELF.uid + 1, SELF.gid + 1)
    tmp_path.chmod(0o700)
    assert enters(SELF, tmp_path)
    assert not enters(stranger, tmp_path)
    assert not enters(stranger, tmp_path / "file")
    assert enters(stranger, Path("/bin/sh"))
