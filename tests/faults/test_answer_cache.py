"""Answers that are kept, on four workers: one call for a crowd, and nothing that is old."""

import asyncio
import random
import signal
from collections.abc import Iterator

import httpx
import pytest

from tests.faults.pair import Pair, started_pair
from tests.faults.running import ANSWER, QUESTION, until
from tests.pdfs import make_pdf

WORKERS = 4
CROWD = 500
STEPS = 1_000
#: Of so many steps, changes; the rest are questions.
RENAMES, REMOVALS, SWITCHES = 120, 120, 60
OTHER = "The beacon shows a violet colour during docking."


@pytest.fixture(scope="module")
def cached() -> Iterator[Pair]:
    with started_pair(
        WORKERS=WORKERS,
        ANSWER_CACHE_TTL_S=600,
        TENANT_QUESTIONS_AT_ONCE=2 * CROWD,  # chance may send a crowd to few of the workers
        DATABASE_TIMEOUT_S=30,  # a crowd on a loaded machine waits; it is not refused
        FIRST_TOKEN_TIMEOUT_S=30,
        ATTEMPT_TIMEOUT_S=60,
        TOTAL_TIMEOUT_S=90,
    ) as pair:
        yield pair


async def crowd(pair: Pair) -> list[dict]:
    """As many answers, each asked for on a connection of its own."""
    headers = {"X-API-Key": pair.docent.key, "Connection": "close"}
    limits = httpx.Limits(max_connections=CROWD)
    async with httpx.AsyncClient(headers=headers, timeout=90, limits=limits) as client:

        async def ask() -> dict:
            body = {"question": QUESTION}
            reply = await client.post(f"{pair.docent.url}/api/v1/chat", json=body)
            assert reply.status_code == 200, reply.text
            return reply.json()

        return await asyncio.gather(*(ask() for _ in range(CROWD)))


def test_five_hundred_at_once_are_one_call(cached: Pair) -> None:
    assert len(cached.workers()) == WORKERS
    cached.faulty.behave("drip:20:0.1")
    cached.faulty.forget()
    answers = asyncio.run(crowd(cached))
    assert len(cached.faulty.calls) == 1
    assert len(cached.healthy.calls) == 0
    assert len({answer["answer"] for answer in answers}) == 1
    assert len({answer["answer_id"] for answer in answers}) == CROWD
    assert sum(answer["cached"] is None for answer in answers) == 1


class Book:
    """The one document, changed and asked about; every request meets any of the workers."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        [document] = self.send("GET", "/api/v1/docs").json()["items"]
        self.title, self.version, self.is_gone = document["title"], 1, False
        self.path = f"/api/v1/docs/{document['id']}"

    def send(self, method: str, path: str, **more: object) -> httpx.Response:
        headers = {"X-API-Key": self._pair.docent.key, "Connection": "close"}
        url = self._pair.docent.url + path
        reply = httpx.request(method, url, headers=headers, timeout=60, **more)  # type: ignore[arg-type]
        return reply.raise_for_status()

    def add_version(self) -> None:
        """A second version, which says something else; the first answers again."""
        content = make_pdf([["Manual of the beacon", OTHER]])
        self.send("PUT", self.path, files={"file": ("manual.pdf", content)})
        worker = self._pair.docent.program("app.worker")
        until(lambda: self.send("GET", self.path).json()["version"] == 2, 60, "version 2 answers")
        worker.stop(signal.SIGTERM, 30)
        self.switch(1)

    def rename(self, title: str) -> None:
        self.send("PATCH", self.path, json={"title": title})
        self.title = title

    def switch(self, version: int) -> None:
        if not self.is_gone:
            self.send("POST", f"{self.path}/versions/{version}/activate")
            self.version = version

    def remove_or_restore(self) -> None:
        if self.is_gone:
            self.send("POST", f"{self.path}/restore")
        else:
            self.send("DELETE", self.path)
        self.is_gone = not self.is_gone

    def ask(self) -> str | None:
        """Ask, and hold the answer against what the document is now; how it was kept."""
        body = {"question": QUESTION, "model": "extractive"}
        answer = self.send("POST", "/api/v1/chat", json=body).json()
        if self.is_gone:
            assert (answer["status"], answer["citations"]) == ("abstained", []), answer
            return None
        assert answer["status"] == "complete", answer
        cited = answer["citations"][0]
        assert (cited["title"], cited["version"]) == (self.title, self.version), answer
        text = ANSWER if self.version == 1 else OTHER
        assert text in answer["answer"], answer
        kept: str | None = answer["cached"]
        return kept


def test_a_thousand_steps_never_serve_what_was_changed(cached: Pair) -> None:
    book = Book(cached)
    book.add_version()
    drawn = random.Random(6)
    steps = ["rename"] * RENAMES + ["remove"] * REMOVALS + ["switch"] * SWITCHES
    steps += ["ask"] * (STEPS - len(steps))
    drawn.shuffle(steps)
    kept = []
    for number, step in enumerate(steps):
        if step == "rename":
            if not book.is_gone:
                book.rename(f"Beacon {number}")
        elif step == "remove":
            book.remove_or_restore()
        elif step == "switch":
            book.switch(3 - book.version)
        kept.append(book.ask())
    assert kept.count("exact") > STEPS / 5, "answers were kept meanwhile"
