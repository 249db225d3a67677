"""Runs a program that is told to stop when the one that started it dies, however it dies.

``python tether.py program argument...``; by itself and without imports of ours, so that it costs
milliseconds. Linux only; elsewhere the next launcher stops what a killed one left.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    launcher = int(sys.argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != launcher:  # it died before the line above
            sys.exit(1)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell, that is the point
