"""How the child process gives up what it does not need, and how its end is told.

Imported by the child: the standard library only, and little of it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal

TYPE_CHECKING = False  # importing typing takes a tenth of the child's start
if TYPE_CHECKING:
    from collections.abc import Mapping

#: Codes to end with when there is no result.
MEMORY, TIMEOUT, CRASHED = 3, 4, 5
#: The user and group without rights, on Linux and (as a number) anywhere.
NOBODY = 65534


def lock_down(limits: Mapping[str, int]) -> None:
    """Give up what a parser does not need: time, memory, files, processes, privileges.

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
        return MEMORY  # the kernel's killer, or PDFium's abort when it cannot allocate
    return CRASHED
