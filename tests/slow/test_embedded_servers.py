"""The embedded servers live, are shared, die in every order and come back with their data."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from app.infra.embedded.account import Account, as_account
from app.infra.embedded.processes import alive
from app.infra.embedded.servers import ServerUrls, embedded_servers, start, status, stop, urls_for
from tests.conftest import remove_home

ROOT = Path(__file__).parents[2]
#: Uses the servers until its input ends.
USER = """
import sys
from pathlib import Path
from app.infra.embedded.servers import embedded_servers, status
with embedded_servers(Path(sys.argv[1])):
    print(status(Path(sys.argv[1])), flush=True)
    sys.stdin.read()
"""
NOBODY = Account(65534, 65534)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that was used once and is stopped; copied, because making one takes seconds."""
    home = tmp_path_factory.mktemp("cluster") / "home"
    with embedded_servers(home) as urls:
        write(urls, "first")
    return home


@pytest.fixture
def make_home(cluster: Path, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    homes: list[Path] = []

    def make(name: str = "home", *, empty: bool = False) -> Path:
        home = tmp_path / name
        if not empty:
            subprocess.run(["cp", "-a", str(cluster), str(home)], check=True)
        homes.append(home)
        return home

    yield make
    for home in homes:
        remove_home(home)


def write(urls: ServerUrls, value: str) -> None:
    with psycopg.connect(urls.database_url) as database:
        database.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        database.execute("INSERT INTO kept VALUES (%s)", [value])
    with redis.Redis.from_url(urls.redis_url) as cache:
        cache.rpush("kept", value)


def read(urls: ServerUrls) -> tuple[list[str], list[str]]:
    with psycopg.connect(urls.database_url) as database:
        rows = [row[0] for row in database.execute("SELECT value FROM kept").fetchall()]
    with redis.Redis.from_url(urls.redis_url, decode_responses=True) as cache:
        return rows, list(cache.lrange("kept", 0, -1))  # type: ignore[arg-type,unused-ignore]


def pids(home: Path) -> tuple[int, int]:
    found = status(home)
    assert found.postgres_pid is not None
    assert found.redis_pid is not None
    return found.postgres_pid, found.redis_pid


def kill(*numbers: int) -> None:
    """SIGKILL, all at once, and wait until they are gone."""
    for number in numbers:
        os.kill(number, signal.SIGKILL)
    while any(alive(number) for number in numbers):
        os.sched_yield()


def start_user(home: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", USER, str(home)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


@contextmanager
def user(home: Path) -> "Iterator[subprocess.Popen[str]]":
    """Another process that uses the servers, already inside."""
    with start_user(home) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ServerStatus")
        yield process


def stopped(home: Path) -> bool:
    found = status(home)
    return found.postgres_pid is None and found.redis_pid is None


def test_the_last_user_stops_the_servers_and_data_is_kept(make_home: Callable[..., Path]) -> None:
    home = make_home()
    with user(home) as other:
        with embedded_servers(home) as urls:
            assert urls == urls_for(home)
            write(urls, "second")
            before = pids(home)
        assert pids(home) == before
        other.communicate("")
    assert stopped(home)
    assert not Path(urls.redis_url.removeprefix("unix://")).parent.exists()
    with embedded_servers(home) as urls:
        assert read(urls) == (["first", "second"],) * 2


def test_several_first_starts_at_once_share_one_pair(make_home: Callable[..., Path]) -> None:
    home = make_home(empty=True)
    users = [start_user(home) for _ in range(3)]
    lines = {process.stdout.readline() for process in users if process.stdout is not None}
    assert len(lines) == 1, lines
    assert lines == {f"{status(home)}\n"}
    for process in users:
        process.communicate("")
        assert process.returncode == 0
    assert stopped(home)


@pytest.mark.parametrize("victims", ["postgres", "redis", "both"])
def test_a_killed_server_is_started_again_with_its_data(
    make_home: Callable[..., Path], victims: str
) -> None:
    home = make_home()
    with embedded_servers(home) as urls:
        write(urls, "second")
        database, cache = pids(home)
        kill(*{"postgres": [database], "redis": [cache], "both": [database, cache]}[victims])
        names = {"postgres": ["PostgreSQL"], "redis": ["Redis"], "both": ["Redis", "PostgreSQL"]}
        assert start(home) == names[victims]
        assert read(urls) == (["first", "second"],) * 2
    assert stopped(home)


def test_servers_of_a_killed_user_are_taken_over(make_home: Callable[..., Path]) -> None:
    home = make_home()
    with user(home) as killed:
        before = pids(home)
        killed.kill()
    assert pids(home) == before
    with embedded_servers(home) as urls:
        assert pids(home) == before
        assert read(urls) == (["first"],) * 2
    assert stopped(home)


def test_everything_killed_at_once(make_home: Callable[..., Path]) -> None:
    home = make_home()
    with user(home) as other:
        write(urls_for(home), "second")
        kill(other.pid, *pids(home))
    with embedded_servers(home) as urls:
        assert read(urls) == (["first", "second"],) * 2
    assert stopped(home)


def test_a_pid_given_to_somebody_else_is_not_taken_for_a_server(
    make_home: Callable[..., Path],
) -> None:
    home = make_home()
    with embedded_servers(home):
        remains = (home / "postgres18/postmaster.pid").read_text().splitlines()
        kill(*pids(home))
    with subprocess.Popen(["sleep", "60"]) as stranger:
        remains[0] = str(stranger.pid)
        (home / "postgres18/postmaster.pid").write_text("\n".join(remains) + "\n")
        (home / "redis/redis.pid").write_text(f"{stranger.pid}\n")
        assert stopped(home)
        with embedded_servers(home) as urls:
            assert read(urls) == (["first"],) * 2
        assert stranger.poll() is None
        stranger.kill()


def test_a_deleted_home_starts_anew_and_its_old_servers_go(make_home: Callable[..., Path]) -> None:
    home = make_home()
    with user(home) as killed:
        old = pids(home)
        killed.kill()
    shutil.rmtree(home)
    make_home()
    with embedded_servers(home) as urls:
        assert not set(old) & set(pids(home))
        assert not any(alive(pid) for pid in old)
        assert read(urls) == (["first"],) * 2


def test_leaving_a_deleted_home_leaves_its_successor_alone(make_home: Callable[..., Path]) -> None:
    home = make_home()
    with embedded_servers(home):
        home.rename(home.with_name("moved"))
        subprocess.run(["cp", "-a", str(make_home("other")), str(home)], check=True)
        start(home)
        before = pids(home)
    assert pids(home) == before
    stop(home)
    assert stopped(home)


def test_a_tidied_socket_folder_is_made_again(make_home: Callable[..., Path]) -> None:
    home = make_home()
    with embedded_servers(home) as urls:
        shutil.rmtree(Path(urls.redis_url.removeprefix("unix://")).parent)
        start(home)
        assert read(urls) == (["first"],) * 2


def test_homes_live_side_by_side_whatever_the_length_of_their_paths(
    make_home: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / ("x" * 120)).mkdir()
    near, far = make_home("near"), make_home("x" * 120 + "/" + "y" * 120)
    with embedded_servers(near) as one, embedded_servers(far) as two:
        write(two, "far")
        assert read(one) == (["first"],) * 2
        assert read(two) == (["first", "far"],) * 2


def test_an_ordinary_user_runs_them_and_root_may_follow() -> None:
    folder = Path(tempfile.mkdtemp())  # not below pytest's own, which nobody may enter
    home = folder / "home"
    ordinary().own(folder)
    try:
        for _time in range(2):
            done = as_nobody(home)
            assert (done.returncode, done.stderr) == (0, "")
            assert stopped(home)
        with embedded_servers(home):  # as ourselves: root keeps the owner of the data
            assert (home / "postgres18").stat().st_uid == folder.stat().st_uid
        assert as_nobody(home).returncode == 0
    finally:
        remove_home(home)
        folder.rmdir()


def ordinary() -> Account:
    return NOBODY if os.geteuid() == 0 else Account(os.geteuid(), os.getegid())


def as_nobody(home: Path) -> "subprocess.CompletedProcess[str]":
    """Use the servers once as an unprivileged user (ourselves, unless we are root)."""
    # nobody may not be let into the folders of our interpreter and our checkout
    needs = [Path(sys.executable), Path(os.__file__), ROOT, Path(psycopg.__file__)]
    command, options = as_account(ordinary(), [sys.executable, "-c", USER, str(home)], needs)
    # nor may it write where coverage would have it write
    environment = {name: os.environ[name] for name in os.environ if "COVERAGE" not in name}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
