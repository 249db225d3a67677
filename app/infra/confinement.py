"""The child's side of ``sandbox.py``: it gives up what it does not need, works, tells how it ended.

Imported by every confined child: the standard library only, and little of it.

Standard output is a sequence of frames, each a tag byte, a little-endian u32 length, and bytes:
what the child makes of its input under tags of its own, then one of

- ``E`` the reason slug of a refusal, last;
- ``Z`` empty: the end of a complete result, last.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import struct
import sys

TYPE_CHECKING = False  # importing typing takes a tenth of the child's start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import BinaryIO

    Frames = Iterable[tuple[bytes, bytes]]

#: Codes to end with when there is no result.
MEMORY, TIMEOUT, CRASHED = 3, 4, 5
FRAME = struct.Struct("<cI")
#: The user and group without rights, on Linux and (as a number) anywhere.
NOBODY = 65534


class Refused(Exception):
    """The input cannot be served, for the reason (a slug) that is the only argument."""


def settings_of(arguments: Iterable[str]) -> dict[str, int]:
    """Return the numbers given as ``name=number``: ``cpu_s``, ``memory_bytes``, the work's own."""
    return {name: int(number) for name, _, number in (a.partition("=") for a in arguments)}


def work_confined(work: Callable[[bytes], Frames], limits: Mapping[str, int]) -> None:
    """Write ``work``'s frames for standard input, from a fork that has given up everything else.

    The fork is there to be measured: only the process that forked it learns the peak of its memory,
    by which a failed allocation (a library's abort) is told from a crash. Seen from the
    application, the peak would be the application's own, which Linux hands down through ``exec``.
    Never returns: ends with a code that says how the fork did. ``work`` may raise ``Refused``.
    """
    die_with_parent()
    worker = os.fork()
    if not worker:
        serve(work, limits)
    _, status, usage = os.wait4(worker, 0)
    unit = 1 if sys.platform == "darwin" else 1024
    os._exit(verdict(os.waitstatus_to_exitcode(status), unit * usage.ru_maxrss, limits))


def serve(work: Callable[[bytes], Frames], limits: Mapping[str, int]) -> None:
    """Do the work of the fork, and leave without running destructors."""
    out = sys.stdout.buffer
    gc.disable()  # a child's work makes few cycles and many objects
    try:
        lock_down(limits)
        for tag, payload in work(sys.stdin.buffer.read()):
            write(out, tag, payload)
        write(out, b"Z")
        out.flush()
    except Refused as refusal:
        write(out, b"E", str(refusal).encode())
        out.flush()
    except MemoryError:
        os._exit(MEMORY)
    finally:  # whatever else was raised: never return into the parent's half of the code
        os._exit(CRASHED if sys.exc_info()[1] else 0)


def write(out: BinaryIO, tag: bytes, payload: bytes = b"") -> None:
    """Write one frame."""
    out.write(FRAME.pack(tag, len(payload)))
    out.write(payload)


def lock_down(limits: Mapping[str, int]) -> None:
    """Give up what the work does not need: time, memory, files, processes, privileges.

    No new descriptor means no file, socket or pipe can be opened, whoever the process runs as;
    as root it also becomes ``nobody``. Parts the platform lacks (macOS has no prctl, and does not
    enforce RLIMIT_AS) are skipped: the parent's deadline and output limit hold everywhere.
    """
    cpu_s = limits["cpu_s"]
    for name, soft, hard in (
        ("RLIMIT_CORE", 0, 0),
        ("RLIMIT_CPU", cpu_s, cpu_s + 1),
        ("RLIMIT_AS", limits["memory_bytes"], limits["memory_bytes"]),
        ("RLIMIT_FSIZE", 0, 0),
        ("RLIMIT_NOFILE", 3, 3),
    ):
        limit(name, soft, hard)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    limit("RLIMIT_NPROC", 0, 0)
    ask_kernel(38, 1)  # PR_SET_NO_NEW_PRIVS
    ask_kernel(4, 0)  # PR_SET_DUMPABLE: no ptrace, no /proc/<pid>/mem
    die_with_parent()


def limit(name: str, soft: int, hard: int) -> None:
    """Set a resource limit, if the platform has it and it is not already stricter."""
    try:  # contextlib would take longer to import than all of this to run
        resource.setrlimit(getattr(resource, name), (soft, hard))
    except (AttributeError, ValueError, OSError):
        return


def ask_kernel(option: int, value: int) -> None:
    """Call Linux's ``prctl``; elsewhere do nothing."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl:
        prctl(option, value, 0, 0, 0)


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends, even by ``kill -9``.

    A change of user clears it, so it is asked for after that.
    """
    ask_kernel(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG


def verdict(status: int, peak_bytes: int, limits: Mapping[str, int]) -> int:
    """Return the code to end with for a fork's exit status, negative for the signal it died of."""
    if status >= 0:
        return status
    if -status in (signal.SIGXCPU, signal.SIGALRM):
        return TIMEOUT
    if -status == signal.SIGKILL or peak_bytes > limits["memory_bytes"] // 4:
        return MEMORY  # the kernel's killer, or a library's abort when it cannot allocate
    return CRASHED
