"""Budgets on a real Redis that can be made to fail on purpose."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from redis.asyncio import Redis

from app.infra.embedded.redis import valkey_server
from app.infra.redis import Guarded, RedisAway

T = TypeVar("T")


@dataclass(frozen=True)
class Account:
    """Who pays, and what a month may cost."""

    tenant_id: str
    key_id: str = "key_1"
    tenant_budget_usd: float | None = None
    key_budget_usd: float | None = None


class Faulty(Guarded):
    """A Redis that is away, or whose answer is lost, or never comes, after it did its work."""

    def __init__(self, client: Redis) -> None:
        super().__init__(client, left_alone_s=0)
        self.away = False
        self.loses_answers = False
        self.keeps_waiting = False
        self.waited_for = asyncio.Event()

    async def run(self, command: Callable[[Redis], Awaitable[T]]) -> T:
        if self.away:
            raise RedisAway
        done = await super().run(command)
        if self.keeps_waiting:
            self.waited_for.set()
            await asyncio.Event().wait()
        if self.loses_answers:
            raise RedisAway
        return done


@contextmanager
def own_redis(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A Redis that nobody else needs; its URL and its process."""
    sock = folder / "own.sock"
    program = valkey_server()
    command = [program, "--port", "0", "--unixsocket", sock, "--save", "", "--dir", folder]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, cwd=folder)
    try:
        assert process.stdout is not None
        while b"ready to accept connections" not in process.stdout.readline().lower():
            assert process.poll() is None
        yield f"unix://{sock}", process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
