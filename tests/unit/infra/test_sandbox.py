"""Children that answer, refuse, hang, flood and crash."""

import asyncio
import time
from pathlib import Path

import psutil
import pytest

from app.errors import ConfigurationError
from app.infra.sandbox import (
    ROOT,
    ChildFailed,
    SandboxLimits,
    child_command,
    find_pdfium,
    read_frames,
    run_confined,
)

LIMITS = SandboxLimits(timeout_s=10, memory_bytes=256 << 20, max_output_bytes=100_000)


def script(folder: Path, work: str, *, before: str = "") -> tuple[str]:
    """A child whose ``work(data)`` has the given body; ``before`` runs unconfined."""
    path = folder / "child.py"
    path.write_text(f"""
import sys
sys.path.append({ROOT!r})
import json, os, signal, time
from app.infra.confinement import Refused, settings_of, work_confined
def work(data):
    {work}
{before}
work_confined(work, settings_of(sys.argv[1:]))
""")
    return (str(path),)


async def frames(
    command: tuple[str, ...], *arguments: str, limits: SandboxLimits = LIMITS
) -> list[tuple[bytes, bytes]]:
    result = await run_confined(command, b"input", limits, *arguments)
    return [(tag, bytes(payload)) for tag, payload in read_frames(result)]


async def reason(command: tuple[str, ...], limits: SandboxLimits = LIMITS) -> str:
    with pytest.raises(ChildFailed) as caught:
        await frames(command, limits=limits)
    return caught.value.reason


async def test_frames_come_back_in_order(tmp_path: Path) -> None:
    child = script(tmp_path, "yield b'A', data; yield b'B', repr(sys.argv[1:]).encode()")
    assert await frames(child, "dpi=200") == [
        (b"A", b"input"),
        (b"B", b"['dpi=200', 'cpu_s=10', 'memory_bytes=268435456']"),
    ]


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        ("yield b'A', data; raise Refused('no_pages')", "no_pages"),
        ("raise ValueError", "crashed"),
        ("raise SystemExit(0)", "crashed"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
        ("return [bytearray(1 << 30)]", "memory"),
        ("time.sleep(60)", "timeout"),
        ("while True: pass", "timeout"),
        ("os.kill(os.getpid(), signal.SIGSTOP)", "timeout"),
        ("return iter(lambda: (b'A', bytes(65536)), None)", "too_large_output"),
        ("return [(b'A', bytes(200_000))]", "too_large_output"),
    ],
)
async def test_how_a_child_fails(tmp_path: Path, work: str, expected: str) -> None:
    begin = time.monotonic()
    limits = SandboxLimits(timeout_s=1.5, memory_bytes=256 << 20, max_output_bytes=100_000)
    command = script(tmp_path, work)
    assert await reason(command, limits) == expected
    assert time.monotonic() - begin < 5
    await nobody_runs(command)


async def nobody_runs(command: tuple[str, ...]) -> None:
    for _ in range(50):
        running = psutil.process_iter(["cmdline"])
        if not any(command[0] in (p.info["cmdline"] or ()) for p in running):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the child, or a child of it, is still running")


@pytest.mark.parametrize("output", [b"", b"A", b"A\x09\0\0\0four", b"Z\xff\0\0\0"])
def test_frames_cut_short_are_a_crash(output: bytes) -> None:
    with pytest.raises(ChildFailed, match="crashed"):
        list(read_frames(bytearray(output)))


def test_a_refusal_is_cut_and_never_fails_to_decode() -> None:
    with pytest.raises(ChildFailed) as caught:
        list(read_frames(bytearray(b"E\x40\0\0\0" + b"\xff" * 64)))
    assert caught.value.reason == "\ufffd" * 32


async def test_cancelling_kills_the_child(tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = script(tmp_path, "time.sleep(60)", before=f"open({str(started)!r}, 'w').close()")
    task = asyncio.create_task(frames(command))
    while not started.exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await nobody_runs(command)


async def test_libraries_are_found_only_by_children_that_may(tmp_path: Path) -> None:
    """Nothing that ``site`` would run, ``.pth`` files above all, is run for either."""
    code = "import sys; print([m for m in ('site', 'numpy') if m in sys.modules])"
    for libraries, expected in ((True, b"['numpy']\n"), (False, b"[]\n")):
        flag, program = child_command("app.infra.ids", libraries=libraries)
        program = program.partition("; from ")[0]
        attempt = f"{program}\ntry: import numpy\nexcept ImportError: pass\n{code}"
        limits = SandboxLimits(timeout_s=10, memory_bytes=1 << 30, max_output_bytes=1000)
        assert await run_confined((flag, attempt), b"", limits) == expected


def test_a_missing_library_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="pypdfium2"):
        find_pdfium()
