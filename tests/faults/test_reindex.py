"""The embedding model of a running copy is changed: two workers answer all through it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app.infra.embedded.servers import embedded_servers
from tests.embedding_server import MODEL, EmbeddingServer, embedding_server
from tests.faults.running import ANSWER, QUESTION, Docent, copy_of_docent, until, write_paper

CLIENTS = 3
COMMAND = "scripts.reindex"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as running:
        yield running


@pytest.fixture
def copy(server: EmbeddingServer) -> Iterator[Docent]:
    """A copy whose processes know both models, with its servers."""
    settings = {name.upper(): value for name, value in server.settings().items()}
    with (
        copy_of_docent(PROVIDER_ORDER="extractive", WORKERS=2, **settings) as docent,
        embedded_servers(docent.home),
    ):
        yield docent


class Asking:
    """Callers without a pause, each question on a new connection, so that both workers answer."""

    def __init__(self, docent: Docent) -> None:
        self._docent = docent
        self.wrong: list[object] = []
        self.answered = 0

    async def ask(self, client: httpx.AsyncClient, number: int) -> None:
        headers = {"X-API-Key": self._docent.key, "Connection": "close"}
        while True:
            # Never asked before: nobody's cache knows its vector.
            question = f"{QUESTION} ({number}.{self.answered})"
            try:
                response = await client.post(
                    f"{self._docent.url}/api/v1/chat", headers=headers, json={"question": question}
                )
                if response.status_code != 200 or ANSWER not in response.json()["answer"]:
                    self.wrong.append((response.status_code, response.text))
            except httpx.TransportError as error:
                self.wrong.append(error)
            self.answered += 1

    async def more(self, count: int) -> None:
        """Wait for so many more answers."""
        wanted = self.answered + count
        async with asyncio.timeout(60):
            while self.answered < wanted:  # noqa: ASYNC110 - of three callers, whichever
                await asyncio.sleep(0.05)


@asynccontextmanager
async def asking(docent: Docent) -> AsyncIterator[Asking]:
    callers = Asking(docent)
    async with httpx.AsyncClient(timeout=30) as client:
        tasks = [asyncio.create_task(callers.ask(client, n)) for n in range(CLIENTS)]
        try:
            yield callers
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def command(docent: Docent, *arguments: str) -> str:
    ended = await asyncio.to_thread(docent.command, COMMAND, *arguments)
    assert ended.code == 0, ended.text
    return ended.text


async def test_no_question_fails_while_the_model_is_switched(
    copy: Docent, server: EmbeddingServer, tmp_path: Path
) -> None:
    served, worker = copy.program("scripts.serve"), copy.program("app.worker")
    await asyncio.to_thread(copy.until_ready)
    async with asking(copy) as callers:
        await callers.more(20)
        await command(copy, "prepare")
        assert not any(QUESTION in text and "(" in text for text in server.texts)
        told = await command(copy, "compare", "--limit", "20")
        assert "overlap@10" in told
        assert f"answers: {MODEL}" in await command(copy, "switch")
        server.texts.clear()
        await callers.more(100)
        asked = callers.answered
        assert len([t for t in server.texts if QUESTION in t]) > 50, "both workers have followed"

        # What is published now is embedded by the model that answers.
        paper = write_paper(tmp_path / "mast.pdf", [["The mast is forty metres high."]])
        document_id = await asyncio.to_thread(copy.submit, paper)
        await asyncio.to_thread(copy.until_ingested, document_id)
        assert any("forty metres" in text for text in server.texts)

        assert "answers: all-MiniLM-L6-v2" in await command(copy, "switch")
        await callers.more(100)
        await command(copy, "drop")
        await callers.more(20)
        assert callers.answered > asked
        assert callers.wrong == [], f"{len(callers.wrong)} of {callers.answered}"
    print(f"{callers.answered} questions answered")
    assert worker.stop(signal.SIGTERM).code == 0
    assert served.stop(signal.SIGTERM, 30).code == 0


def test_a_killed_preparation_goes_on_where_it_was(
    copy: Docent, server: EmbeddingServer, tmp_path: Path
) -> None:
    """Killed between two batches: what the first one stored is not embedded again."""
    words = [f"Valve {n} of the {n % 97} ring opens at {n} bar." for n in range(300)]
    worker = copy.program("app.worker")
    copy.submit(write_paper(tmp_path / "valves.pdf", [[word] for word in words]))
    until(lambda: count(copy, "public.chunks") > 300, 120, "the valves are published")
    assert worker.stop(signal.SIGTERM).code == 0
    chunks = count(copy, "public.chunks")
    server.texts.clear()
    server.delay_s = 1.0
    first = copy.program(COMMAND, "prepare")
    until(lambda: count(copy, "beside.chunks") > 0, 60, "a batch is stored")
    first.kill()
    server.delay_s = 0.0
    done = count(copy, "beside.chunks")
    assert 0 < done < chunks
    server.texts.clear()
    ended = copy.command(COMMAND, "prepare")
    assert ended.code == 0, ended.text
    assert f"{chunks} of {chunks} chunks; ready" in " ".join(ended.lines)
    assert len(server.texts) == chunks - done + 1, "and a word to see whether the model answers"


def count(copy: Docent, table: str) -> int:
    """How many rows; none of a table that is not there yet."""
    [row] = copy.rows("SELECT to_regclass(%s) IS NOT NULL AS there", table)
    return copy.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] if row["there"] else 0
