"""A tenant that asks ten times what it may, or uploads without end, and its neighbour."""

import asyncio
import itertools
import statistics
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from app.auth.keys import create_key, secret_of
from app.settings import Settings
from tests.faults.pair import Pair, started_pair
from tests.faults.running import PATIENCE_S, QUESTION, until

#: What a tenant may ask in a minute, and how many questions a second the noisy one sends.
QUOTA, NOISE_HZ = 60, 10
#: Questions of the neighbour, one after the other, in quiet and in noise.
ASKED = 30
#: Its 95th percentile may be so much worse (design: faults, A5), and what two shared cores add.
WORSE, SHARED_S = 1.2, 0.2
UPLOADS = 200
_numbers = itertools.count()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    settings = {
        "OPENROUTER_MODEL": "drip:20:0.02",
        "TENANT_QUESTIONS_AT_ONCE": 20,
        "KEY_QUESTIONS_PER_MINUTE": QUOTA,
    }
    with started_pair(**settings) as pair:
        pair.faulty.behave(None)
        yield pair


def new_key(pair: Pair, tenant: str) -> str:
    secret = secret_of(Settings(docent_home=pair.docent.home))
    return create_key(pair.docent.database_url, secret, tenant=tenant, name=tenant)


async def ask(client: httpx.AsyncClient, key: str) -> tuple[int, float]:
    """Status and seconds of one question."""
    started = time.monotonic()
    response = await client.post(
        "/api/v1/chat",
        json={"question": f"{QUESTION} ({next(_numbers)})"},
        headers={"X-API-Key": key},
    )
    return response.status_code, time.monotonic() - started


def percentile_95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]


async def test_ten_times_its_quota_slows_no_neighbour(pair: Pair) -> None:
    noisy, neighbour = new_key(pair, "noisy"), pair.docent.key
    limits = httpx.Limits(max_connections=None)
    over = False
    answers: list[asyncio.Task[tuple[int, float]]] = []

    async def make_noise(client: httpx.AsyncClient) -> None:
        while not over:
            answers.append(asyncio.create_task(ask(client, noisy)))
            await asyncio.sleep(1 / NOISE_HZ)

    async with (
        httpx.AsyncClient(base_url=pair.docent.url, timeout=30, limits=limits) as client,
        httpx.AsyncClient(base_url=pair.docent.url, timeout=30) as own,
    ):
        quiet = [await ask(own, neighbour) for _ in range(ASKED)]
        noise = asyncio.create_task(make_noise(client))
        loud = [await ask(own, neighbour) for _ in range(ASKED)]
        over = True
        await noise
        statuses = Counter(status for status, _ in await asyncio.gather(*answers))
    assert {status for status, _ in quiet + loud} == {200}
    assert statuses == {200: QUOTA, 429: len(answers) - QUOTA}
    before, after = (percentile_95([seconds for _, seconds in asked]) for asked in (quiet, loud))
    print(f"the neighbour's 95th percentile: {before:.3f} s in quiet, {after:.3f} s in noise")
    assert after < before * WORSE + SHARED_S


def test_hundreds_of_uploads_do_not_keep_a_neighbours_document_waiting(pair: Pair) -> None:
    with httpx.Client(base_url=pair.docent.url, timeout=30) as client:

        def upload(key: str) -> str:
            note = f"Note {next(_numbers)}: the gate of the yard is green."
            response = client.post(
                "/api/v1/docs",
                files={"file": ("note.txt", note.encode())},
                headers={"X-API-Key": key},
            )
            return str(response.raise_for_status().json()["document"]["id"])

        noisy = new_key(pair, "uploader")
        for _ in range(UPLOADS):
            upload(noisy)
        document = upload(pair.docent.key)
    pair.docent.program("app.worker")
    until(
        lambda: pair.docent.rows(
            "SELECT 1 FROM documents WHERE id = %s AND current_version IS NOT NULL", document
        ),
        PATIENCE_S,
        "the neighbour's document is ready",
    )
    [row] = pair.docent.rows(
        "SELECT count(*) AS n FROM document_versions WHERE status = 'ready' AND tenant_id ="
        " (SELECT id FROM tenants WHERE name = 'uploader')"
    )
    print(f"the neighbour's document was ready after {row['n']} of {UPLOADS} of the noisy one's")
    assert row["n"] < UPLOADS / 10
