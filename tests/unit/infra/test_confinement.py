"""What a confined process can still do, and how its end is told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.infra.confinement import CRASHED, MEMORY, TIMEOUT, settings_of, verdict
from app.infra.sandbox import ROOT


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are Linux's")
def test_a_child_taken_over_can_open_start_and_reach_nothing(tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    child.write_text(f"""
import sys
sys.path.append({ROOT!r})
import json, os, socket
from app.infra import confinement
confinement.lock_down({{"cpu_s": 5, "memory_bytes": 256 << 20}})
def tries(action):
    try: action()
    except (OSError, MemoryError) as error: return type(error).__name__
    return "allowed"
result = {{
    "open": tries(lambda: open("/etc/passwd")),
    "socket": tries(socket.socket),
    "fork": tries(lambda: os.fork() or os._exit(0)),
    "pipe": tries(os.pipe),
    "memory": tries(lambda: bytearray(300 << 20)),
    "uid": os.getuid(),
    "environment": dict(os.environ),
}}
sys.stdout.write(json.dumps(result))
""")
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(child)], env={}, capture_output=True, check=True
    )
    result = json.loads(done.stdout)
    assert "allowed" not in result.values()
    assert result["uid"] != 0
    assert result["environment"].keys() <= {"LC_CTYPE"}


@pytest.mark.parametrize(
    ("status", "peak_bytes", "code"),
    [(0, 900, 0), (-6, 101, MEMORY), (-9, 1, MEMORY), (-11, 99, CRASHED), (-24, 1, TIMEOUT)],
)
def test_how_the_fork_ended_becomes_an_exit_code(status: int, peak_bytes: int, code: int) -> None:
    assert verdict(status, peak_bytes, {"memory_bytes": 400}) == code


def test_settings_are_numbers_by_name() -> None:
    assert settings_of(["cpu_s=60", "memory_bytes=1024"]) == {"cpu_s": 60, "memory_bytes": 1024}
