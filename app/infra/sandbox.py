"""The parent's side of a confined child: one process serves one input, and can be killed.

A child runs our own code over bytes nobody has checked. It limits itself (``confinement.py``);
nothing here relies on that. This side gives it no environment and no import path but ours, bounds
the wall clock and the size of its answer, believes nothing in it, kills the whole process group
whatever happens, and always reaps.
"""

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
from asyncio import StreamReader, StreamReaderProtocol
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.errors import ConfigurationError
from app.infra.confinement import FRAME, MEMORY, TIMEOUT

#: Where the package ``app`` is found.
ROOT = str(Path(__file__).parents[2])
#: A native library that starts threads would lose them in the child's fork.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class ChildFailed(Exception):
    """The child gave no complete result; ``reason`` is the slug that says why.

    It is ``timeout``, ``too_large_output``, ``memory``, ``crashed``, or what the child wrote when
    it refused: an unchecked text of at most 32 characters, to be looked up among those it may give.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one child may cost."""

    #: Wall clock; the CPU time is limited to the same number.
    timeout_s: float
    #: Address space, everything the interpreter and libraries map included.
    memory_bytes: int
    max_output_bytes: int


def child_command(module: str, *, libraries: bool = False) -> tuple[str, ...]:
    """Return what the interpreter runs to call a module's ``main`` with the arguments that follow.

    Args:
        module: Its full name, ``app.….…_child``.
        libraries: Whether it may import installed libraries. They are found by their folder alone:
            ``site``, and with it every ``.pth`` file, stays out.
    """
    folders = [ROOT]
    if libraries:
        folders += dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    return (
        "-c",
        f"import sys; sys.path += {folders!r}; from {module} import main; main(*sys.argv[1:])",
    )


async def run_confined(
    command: Sequence[str], data: bytes, limits: SandboxLimits, *arguments: str
) -> bytearray:
    """Return what the child wrote about ``data``, which it reads on standard input.

    Cancelling kills the child at once.

    Args:
        command: A ``child_command``; its last arguments will be ``cpu_s=`` and ``memory_bytes=``.
        data: The whole input.
        limits: What it may cost.
        arguments: What to call the child with.

    Raises:
        ChildFailed: ``timeout``, ``too_large_output``, ``memory`` or ``crashed``.
    """
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        process = start(file, [*command, *arguments], limits)
    try:
        async with asyncio.timeout(limits.timeout_s):
            result = await read_all(process, limits.max_output_bytes)
    except TimeoutError as error:
        raise ChildFailed("timeout") from error
    finally:
        # The child closes its output only by ending, so what is killed here has failed already.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        status = await asyncio.shield(asyncio.to_thread(reap, process))
    if status:
        raise ChildFailed({MEMORY: "memory", TIMEOUT: "timeout"}.get(status, "crashed"))
    return result


def start(
    file: BinaryIO, command: Sequence[str], limits: SandboxLimits
) -> "subprocess.Popen[bytes]":
    """Start the child in a session, and so a process group, of its own."""
    costs = (
        f"cpu_s={max(1, round(limits.timeout_s))}",
        f"memory_bytes={limits.memory_bytes}",
    )
    return subprocess.Popen(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-I", "-S", *command, *costs],
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ONE_THREAD,
        cwd="/",
        start_new_session=True,
    )


async def read_all(process: "subprocess.Popen[bytes]", max_bytes: int) -> bytearray:
    """Return the child's output once it has ended.

    Raises:
        ChildFailed: ``too_large_output`` when there is more than ``max_bytes``.
    """
    loop = asyncio.get_running_loop()
    reader = StreamReader(limit=1 << 20)
    pipe, _ = await loop.connect_read_pipe(lambda: StreamReaderProtocol(reader), process.stdout)
    result = bytearray()
    try:
        while chunk := await reader.read(1 << 20):
            result += chunk
            if len(result) > max_bytes:
                raise ChildFailed("too_large_output")
    finally:
        pipe.close()
    return result


def reap(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the dead or dying child, close our end of its pipe, and return its exit status."""
    status = process.wait()
    if process.stdout:
        process.stdout.close()
    return status


def read_frames(result: bytearray) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the tag and payload of each frame before the last.

    Raises:
        ChildFailed: With the child's own reason; ``crashed`` when the frames are cut short.
    """
    at, view = 0, memoryview(result)
    while at + FRAME.size <= len(view):
        tag, size = FRAME.unpack_from(view, at)
        payload = view[at + FRAME.size : at + FRAME.size + size]
        at += FRAME.size + size
        if at > len(view):
            break
        if tag == b"Z":
            return
        if tag == b"E":
            raise ChildFailed(bytes(payload[:32]).decode(errors="replace"))
        yield tag, payload
    raise ChildFailed("crashed")


def find_pdfium() -> str:
    """Return the path of the PDFium library in pypdfium2's wheel, without loading it here.

    Raises:
        ConfigurationError: There is none.
    """
    spec = importlib.util.find_spec("pypdfium2_raw")
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in sorted(Path(folder).glob("*pdfium.*")):
            if path.suffix in {".so", ".dylib", ".dll"}:
                return str(path)
    raise ConfigurationError("PDFium is missing: install pypdfium2 from its wheel.")
