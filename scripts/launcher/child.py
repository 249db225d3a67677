"""One program that the launcher runs: started, listened to, started again, stopped."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from scripts.launcher.voice import readable, say

TETHER = Path(__file__).with_name("tether.py")
ROOT = Path(__file__).resolve().parents[2]
#: A log is put aside when it passes this size.
LOG_BYTES = 10 * 2**20
#: Waits before starts after unexpected ends; back to the first after a minute of running.
BACKOFF_S = (0.5, 1, 2, 5, 10, 30)
SETTLED_S = 60
#: How our own programs begin the sentence that says why they end.
OURS = "docent: "


class Child:
    """A program in a process group of its own, so that the terminal's Ctrl-C does not reach it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        keep: bool = True,
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log = log
        self.environment = dict(environment or {})
        #: Whether it is meant to run for as long as the launcher does.
        self.keep = keep
        self.process: subprocess.Popen[bytes] | None = None
        #: Its latest lines, for the message when it ends.
        self.lines: deque[str] = deque(maxlen=20)
        self._reader: threading.Thread | None = None
        self._started_at = 0.0
        self._failures = 0
        self._again_at = 0.0

    def start(self, *, once: Mapping[str, str] | None = None, pass_fds: Sequence[int] = ()) -> None:
        """Start it; ``once`` joins its environment this time only.

        Always from the main thread: on Linux a child is tied to the thread that started it.
        """
        self.lines.clear()
        self._started_at = time.monotonic()
        python = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid())]
        self.process = subprocess.Popen(
            [*python, *self.command],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment, **(once or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
            pass_fds=pass_fds,
        )
        assert self.process.stdout is not None  # noqa: S101 - for the type checker
        self._reader = threading.Thread(target=self._read, args=[self.process.stdout], daemon=True)
        self._reader.start()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def end(self) -> str | None:
        """How it ended, in words; None while it runs or before it has."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        if self._reader is not None:
            self._reader.join(1)  # its last words
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def last_words(self) -> str:
        """The line that most likely says why it ended."""
        told = [line for line in self.lines if line.strip()]
        ours = [line for line in told if line.startswith(OURS)]
        return (ours or told or ["it said nothing"])[-1].removeprefix(OURS)

    def revive(self, record: Callable[[], None]) -> None:
        """Start it again if it has ended, after a wait that grows; say so in one line."""
        how = self.end()
        if how is None:
            return
        now = time.monotonic()
        if self._again_at == 0.0:
            if now - self._started_at > SETTLED_S:
                self._failures = 0
            wait_s = BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
            self._failures += 1
            self._again_at = now + wait_s
            say(f"{self.name} {how} and is started again in {wait_s} s (see {self.log})")
            self.signal_group(signal.SIGTERM)  # what it may have left, such as gunicorn's workers
        elif now >= self._again_at:
            self._again_at = 0.0
            self.signal_group(signal.SIGKILL)
            self.start()
            record()

    def terminate(self) -> None:
        """Ask it to stop."""
        if self.running and self.process is not None:
            self.process.terminate()

    def kill(self) -> None:
        """End it and every process it started, now."""
        self.signal_group(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def signal_group(self, number: signal.Signals) -> None:
        """Signal every process of its group, also when the first of them has ended."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except (ProcessLookupError, PermissionError):
                return

    def _read(self, pipe: IO[bytes]) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with pipe:
            for raw in pipe:
                line = raw.decode(errors="replace").rstrip("\n")
                with suppress(OSError):  # a full disk must not stop us reading, hence the child
                    self._keep_line(raw)
                if (text := readable(line)) is not None:
                    self.lines.append(text)
                    if self.keep:
                        say(text, speaker=self.name)

    def _keep_line(self, raw: bytes) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as file:
            file.write(raw)
