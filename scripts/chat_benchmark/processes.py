"""The processes that take part, and the CPU time the kernel counts for each."""

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import aiohttp

ROOT = Path(__file__).resolve().parents[2]
#: Importing LlamaIndex takes seconds on a quiet machine, minutes on a busy one.
START_S = 900.0


class Server:
    """A child process on a port of its own."""

    def __init__(self, name: str, child: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.name = name
        self._child = child
        self.port = port
        self.pid = child.pid
        self._log = log
        self._proc = Path(f"/proc/{child.pid}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_ns(self) -> int:
        """Nanoseconds all its threads have run, from the kernel's scheduler.

        The threads of a server that has answered once live as long as it does.
        """
        threads = (self._proc / "task").glob("*/schedstat")
        return sum(int(thread.read_bytes().split()[0]) for thread in threads)

    def resident_mb(self) -> int:
        """Memory it has now."""
        pages = int((self._proc / "statm").read_bytes().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000

    async def until_up(self, session: aiohttp.ClientSession, path: str) -> None:
        """Wait for an answer below 500; what the process said, when none comes."""
        limit = time.monotonic() + START_S
        while time.monotonic() < limit and self._child.poll() is None:
            try:
                async with session.get(self.url + path) as response:
                    if response.status < 500:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
        raise SystemExit(f"{self.name} did not come up:\n{self.said()}")

    def said(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-3000:]


@contextmanager
def server(
    name: str, command: Sequence[str | Path], folder: Path, **environment: str
) -> Iterator[Server]:
    """Run ``command``, with ``{port}`` in it replaced, until the end of the block."""
    port, log = free_port(), folder / f"{name.replace(' ', '-')}.log"
    # Programs from outside the product's environment import our modules too.
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    arguments = [str(part).format(port=port) for part in command]
    with log.open("wb") as out:
        child = subprocess.Popen(arguments, cwd=ROOT, env=variables, stdout=out, stderr=out)
    try:
        yield Server(name, child, port, log)
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
