"""A PostgreSQL that takes no writes, ends its connections, or keeps a lock: told, and over soon."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import psycopg
import pytest

from tests.faults.pair import Pair, started_pair
from tests.faults.running import ANSWER, QUESTION, Docent, until

#: A statement is given 5 s and a connection as many; the rest is for shared cores.
BOUND_S = 20.0
#: Normal again within 10 s on a free machine (design: faults).
HEAL_S = 30.0
ASKERS, TERMINATIONS = 16, 8
#: The provider writes for 3 s: streams that are past retrieval when the database fails.
SLOWLY, QUICKLY = "drip:30:0.1", "ok"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    settings = {
        "OPENROUTER_MODEL": f"{QUICKLY},{SLOWLY}",
        "ATTEMPT_TIMEOUT_S": 20,
        "TOTAL_TIMEOUT_S": 20,
        "DATABASE_POOL_SIZE": 5,
    }
    with started_pair(**settings) as pair:
        pair.faulty.behave(None)
        pair.model = QUICKLY
        yield pair


@pytest.fixture
def docent(pair: Pair) -> Iterator[Docent]:
    """The copy; after each test it is as if nothing had been."""
    yield pair.docent
    started = time.monotonic()
    until(lambda: upload(pair.docent).status_code == 202, HEAL_S, "uploads are accepted")
    assert pair.ask().status == 200
    print(f"normal again after {time.monotonic() - started:.1f} s")
    assert pair.docent.status_of("/readyz") == 200
    lent = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()"
    )
    until(lambda: pair.docent.rows(lent) == [], HEAL_S, "nothing is under way")


def upload(docent: Docent) -> httpx.Response:
    note = f"Note {next(_numbers)}: the gate of the yard is green."
    return httpx.post(
        f"{docent.url}/api/v1/docs",
        headers={"X-API-Key": docent.key},
        files={"file": ("note.txt", note.encode())},
        timeout=BOUND_S + 5,
    )


def check_refused(response: httpx.Response) -> None:
    problem = response.json()
    assert (response.status_code, problem["code"]) == (503, "database_unavailable"), problem
    assert problem["retryable"]
    assert int(response.headers["Retry-After"]) > 0


def set_read_only(docent: Docent, value: str) -> None:
    with psycopg.connect(docent.database_url, autocommit=True) as owner:
        owner.execute("SET default_transaction_read_only = off")
        owner.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}".encode())
        owner.execute("SELECT pg_reload_conf()")


def test_without_writes_questions_are_answered_and_uploads_refused(
    pair: Pair, docent: Docent
) -> None:
    """As a standby is that was not promoted yet."""
    set_read_only(docent, "on")
    try:
        until(lambda: upload(docent).status_code != 202, HEAL_S, "the server has read it")
        check_refused(upload(docent))
        assert pair.ask().status == 200
        keyed = httpx.post(
            f"{docent.url}/api/v1/chat",
            headers={"X-API-Key": docent.key, "Idempotency-Key": "read-only"},
            json={"question": QUESTION},
            timeout=BOUND_S,
        )
        check_refused(keyed)
        assert docent.status_of("/livez") == 200
    finally:
        set_read_only(docent, "off")


async def test_ending_every_connection_again_and_again_fails_no_question(
    pair: Pair, docent: Docent
) -> None:
    ended, over = Counter[int](), False

    async def ask(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> None:
        while not over:
            response = await client.post(path, json=body)
            ended[response.status_code] += 1
            if response.status_code == 503:
                check_refused(response)

    async with httpx.AsyncClient(
        base_url=docent.url, headers={"X-API-Key": docent.key}, timeout=BOUND_S
    ) as client:
        slow = asyncio.create_task(
            client.post(
                "/api/v1/chat", json={"question": QUESTION, "stream": True, "model": SLOWLY}
            )
        )
        await asyncio.to_thread(
            until, lambda: len(pair.faulty.calls) > 0, 10, "it is past retrieval"
        )
        asking = [
            asyncio.create_task(ask(client, "/api/v1/retrieve", {"question": QUESTION}))
            for _ in range(ASKERS)
        ]
        for _ in range(TERMINATIONS):
            before = ended.total()
            await asyncio.to_thread(
                docent.rows,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            async with asyncio.timeout(BOUND_S):
                while ended.total() < before + 2 * ASKERS:  # noqa: ASYNC110 - they tell nobody
                    await asyncio.sleep(0.01)
        over = True
        await asyncio.gather(*asking)
        assert "event: done" in (await slow).text, "a stream past retrieval goes on"
    print(f"while all connections were ended {TERMINATIONS} times: {dict(ended)}")
    assert set(ended) <= {200, 503}
    assert ended[200] > 0.9 * ended.total()


def test_a_lock_that_is_kept_is_waited_for_only_so_long(pair: Pair, docent: Docent) -> None:
    with psycopg.connect(docent.database_url) as owner:
        owner.execute("LOCK TABLE chunks IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        refused = docent.ask(timeout_s=BOUND_S)
        seconds = time.monotonic() - started
        check_refused(refused)
        print(f"a question that meets a lock is refused after {seconds:.1f} s")
        assert docent.get("/livez", timeout_s=2).status_code == 200
        assert docent.status_of("/readyz") == 200, "everything is there"
        assert docent.status_of("/api/v1/docs") == 200, "what needs no chunks goes on"


async def test_a_pool_of_waiters_refuses_in_time_and_the_probes_answer(
    pair: Pair, docent: Docent
) -> None:
    """Behind a lock 200 questions want the five connections."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=docent.url, headers={"X-API-Key": docent.key}, timeout=60, limits=limits
    ) as client:

        async def ask() -> float:
            started = time.monotonic()
            check_refused(await client.post("/api/v1/retrieve", json={"question": QUESTION}))
            return time.monotonic() - started

        with psycopg.connect(docent.database_url) as owner:
            owner.execute("LOCK TABLE chunks IN ACCESS EXCLUSIVE MODE")
            asked = [asyncio.create_task(ask()) for _ in range(200)]
            assert (await client.get("/livez")).status_code == 200
            probe = await client.get("/readyz")
            assert probe.status_code in (200, 503)
            slowest = max(await asyncio.gather(*asked))
        print(f"200 questions behind a lock: all refused within {slowest:.1f} s")
        assert slowest < 2 * BOUND_S
        answer = await client.post("/api/v1/retrieve", json={"question": QUESTION})
        assert ANSWER in answer.text
