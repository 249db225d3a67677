"""Servers that are frozen in the midst of everything: every request ends, and soon all is well."""

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from tests.faults.running import QUESTION, Docent, copy_of_docent, frozen, until

#: A free connection is waited for for 5 s, a statement for 6; the rest is for shared cores.
BOUND_S = 20.0
#: Normal again within 10 s on a free machine (design: faults).
HEAL_S = 30.0
#: Between two requests of one client.
PAUSE_S = 0.2
SEED = 20261126
#: Which servers, at how many moments each.
ROUNDS = {("postgres",): 4, ("redis",): 3, ("postgres", "redis"): 2}
#: What is refused without each; what was spent is known to Redis alone.
REFUSED = {"postgres": "database_unavailable", "redis": "spending_unavailable"}
_numbers = itertools.count()


@dataclass(frozen=True)
class Ended:
    """How a request ended."""

    kind: str
    status: int
    problem: str | None
    retry_after: str | None
    seconds: float


async def chat(client: httpx.AsyncClient, **more: object) -> httpx.Response:
    headers = {"Idempotency-Key": f"frozen-{next(_numbers)}"} if more.pop("keyed", False) else {}
    body = {"question": f"{QUESTION} ({next(_numbers)})", **more}
    return await client.post("/api/v1/chat", json=body, headers=headers)


KINDS = {
    "question": chat,
    "stream": lambda client: chat(client, stream=True),
    "session": lambda client: chat(client, session_id="frozen"),
    "keyed": lambda client: chat(client, keyed=True),
    "passages": lambda client: client.post("/api/v1/retrieve", json={"question": QUESTION}),
    "list": lambda client: client.get("/api/v1/docs"),
    "upload": lambda client: client.post(
        "/api/v1/docs", files={"file": ("note.txt", f"Note {next(_numbers)}.".encode())}
    ),
    "usage": lambda client: client.get("/api/v1/admin/usage"),
}


def problem_in(response: httpx.Response) -> str | None:
    """The code of the problem that a response is, or ends with."""
    if response.headers["content-type"].startswith("text/event-stream"):
        last = [line for line in response.text.splitlines() if line.startswith("data:")][-1]
        return json.loads(last.removeprefix("data:")).get("code")
    return None if response.status_code < 400 else response.json()["code"]


class Askers:
    """One client for each kind of request, who asks again and again."""

    def __init__(self, docent: Docent) -> None:
        self.ended: list[Ended] = []
        self._client = httpx.AsyncClient(
            base_url=docent.url, headers={"X-API-Key": docent.key}, timeout=60
        )
        self._over = False

    async def ask(self, kind: str) -> None:
        while not self._over:
            started = time.monotonic()
            response = await KINDS[kind](self._client)
            self.ended.append(
                Ended(
                    kind,
                    response.status_code,
                    problem_in(response),
                    response.headers.get("Retry-After"),
                    time.monotonic() - started,
                )
            )
            await asyncio.sleep(PAUSE_S)

    async def until_more(self, count: int, *, of_each: bool = False) -> None:
        """Until so many more requests have ended, or so many of each kind."""
        before = len(self.ended)

        def enough() -> bool:
            kinds = Counter(one.kind for one in self.ended[before:])
            return (min(kinds[kind] for kind in KINDS) if of_each else kinds.total()) >= count

        async with asyncio.timeout(3 * BOUND_S):
            while not enough():  # noqa: ASYNC110 - they tell nobody
                await asyncio.sleep(0.005)

    async def all_end(self, asking: list[asyncio.Task[None]]) -> None:
        self._over = True
        async with asyncio.timeout(3 * BOUND_S):
            await asyncio.gather(*asking)
        await self._client.aclose()


@pytest.fixture(scope="module")
def running() -> Iterator[Docent]:
    with copy_of_docent(WORKERS=1, DATABASE_POOL_SIZE=4) as docent:
        docent.run("--no-demo")
        docent.until_ready()
        yield docent


def probes(docent: Docent, names: tuple[str, ...]) -> None:
    """The probes tell the truth meanwhile."""
    assert docent.get("/livez", timeout_s=10).status_code == 200
    ready = docent.get("/readyz", timeout_s=10)
    assert ready.status_code == 503
    assert {name: ready.json()["checks"][name] for name in names} == dict.fromkeys(names, "failed")


@pytest.mark.parametrize("names", ROUNDS, ids="+".join)
async def test_frozen_at_any_moment(running: Docent, names: tuple[str, ...]) -> None:
    dice = random.Random(SEED)
    for number in range(ROUNDS[names]):
        askers = Askers(running)
        asking = [asyncio.create_task(askers.ask(kind)) for kind in KINDS]
        await askers.until_more(len(KINDS) + dice.randrange(40))
        with ExitStack() as stack:
            for name in names:
                stack.enter_context(frozen(running.server_pids()[name]))
            if number == 0:
                await asyncio.to_thread(probes, running, names)
            await askers.until_more(2 if "postgres" in names else 5, of_each=True)
        woken = time.monotonic()
        await askers.all_end(asking)
        slowest = max(askers.ended, key=lambda one: one.seconds)
        print(f"{names}: {len(askers.ended)} requests, slowest {slowest}")
        for one in askers.ended:
            assert one.seconds < BOUND_S, one
            if one.problem is not None:
                assert one.status == 503, one
                assert one.retry_after, one
                assert one.problem in {REFUSED[name] for name in names}, one
                assert one.problem == REFUSED["postgres"] or one.kind == "usage", one
        await asyncio.to_thread(until, lambda: running.status_of("/readyz") == 200, HEAL_S, "ready")
        print(f"normal again {time.monotonic() - woken:.1f} s after it was woken")
    await asyncio.to_thread(healthy, running)


def healthy(docent: Docent) -> None:
    """Nothing is lent, queued or half done."""
    pending = "SELECT 1 FROM document_versions WHERE status <> 'ready'"
    until(lambda: docent.rows(pending) == [], 60, "all that was accepted is ingested")
    busy = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    until(lambda: docent.rows(busy) == [], HEAL_S, "no connection is in the midst of something")
    docent.check_intact()
