"""Providers that die in mid-stream, seen by stock OpenAI clients: gone on with, or an error.

The dialect has no reset (ADR 0010): text that was sent is never sent again, and an answer that
stays half is never the end of a stream without an error.
"""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from app.auth.keys import create_key
from app.retrieval.minilm import MiniLmEmbedder
from app.settings import MODEL_DIR
from tests.acceptance.conftest import serving
from tests.conftest import ROOT, SECRET, FreshDatabase
from tests.fake_provider import ANSWER
from tests.faults.running import until
from tests.integration.workshop import open_workshop, write_book

ASKED: dict[str, Any] = {
    "model": "docent",
    "messages": [{"role": "user", "content": "What is the limit of an upload?"}],
}
#: Three providers on one fake server: what each does is the name of its model.
PROVIDERS = {"OPENROUTER": "cut", "GROQ": "dies_with_error", "OPENAI": "ok"}
#: Whatever is seen by the client must be seen by the provider within a second; here on cores that
#: other tests use as well.
LEFT_S = 5.0


@dataclass(frozen=True)
class Rig:
    """The API before its fake providers."""

    url: str
    key: str
    fake: str

    def behave(self, behaviour: str | None) -> None:
        """Make every provider do the same; None: what its model says. Forgets the calls."""
        httpx.delete(f"{self.fake}/control").raise_for_status()
        httpx.post(f"{self.fake}/control", json={"behaviour": behaviour}).raise_for_status()
        until(self.all_available, 60, "no provider is cooling down")

    def all_available(self) -> bool:
        listed = httpx.get(f"{self.url}/api/v1/models", headers={"X-API-Key": self.key}).json()
        return all(model["available"] for model in listed["items"])

    def calls(self) -> list[dict[str, Any]]:
        return httpx.get(f"{self.fake}/control").json()["calls"]

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0)


@pytest.fixture(scope="module")
def rig(database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    home = tmp_path_factory.mktemp("rig")
    asyncio.run(ingest(database, home / "uploads.pdf"))
    key = create_key(database.database_url, SECRET.encode(), tenant="default", name="test")
    program = [sys.executable, "-m", "tests.fake_provider"]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as fake:
        assert fake.stdout is not None
        base_url = fake.stdout.readline().strip()
        settings = {"PROVIDER_ORDER": "openrouter,groq,openai,extractive", "COOLDOWN_S": "0.001",
                    "IDLE_TIMEOUT_S": "0.5"}  # fmt: skip
        for name, model in PROVIDERS.items():
            settings |= {f"{name}_API_KEY": "sk-x", f"{name}_BASE_URL": base_url}
            settings |= {f"{name}_MODEL": model}
        with serving(database, home, **settings) as (url, _):
            httpx.get(f"{url}/livez", timeout=180).raise_for_status()
            yield Rig(url, key, base_url.removesuffix("/v1"))
        fake.terminate()


async def ingest(database: FreshDatabase, book: Path) -> None:
    """Give the tenant a book about uploads."""
    embedder = MiniLmEmbedder(MODEL_DIR, threads=1)
    pages = [["Uploads", "The limit of an upload is 10 MB.", "It is checked on arrival."]]
    async with open_workshop(database, "default", embedder=embedder) as shop:  # type: ignore[arg-type]
        await shop.ingest(write_book(book, pages))
    await embedder.close()


def read(rig: Rig) -> tuple[str, str | None, openai.APIError | None]:
    """The text of a stream, its finish, and the error that a stock client raised."""
    text, finish = [], None
    with rig.client() as client:
        try:
            for chunk in client.chat.completions.create(**ASKED, stream=True):
                text.append(chunk.choices[0].delta.content or "")
                finish = chunk.choices[0].finish_reason or finish
        except openai.APIError as error:
            return "".join(text), finish, error
    return "".join(text), finish, None


def test_the_next_provider_goes_on_with_the_same_words(rig: Rig) -> None:
    """Two die behind the same two words; the third says them again, the client reads them once."""
    rig.behave(None)
    assert read(rig) == (ANSWER, "stop", None)
    assert [call["behaviour"] for call in rig.calls()] == list(PROVIDERS.values())


@pytest.mark.parametrize("behaviour", ["cut", "dies_with_error", "stall", "ends_early"])
def test_an_answer_of_other_words_is_not_appended(rig: Rig, behaviour: str) -> None:
    """All models die behind the same words, and then the documents are quoted instead."""
    rig.behave(behaviour)
    text, finish, error = read(rig)
    assert (text, finish) == ("The limit", None)
    assert error is not None
    assert error.code == "provider_failed"
    rig.behave(behaviour)
    reply = httpx.post(f"{rig.url}/v1/chat/completions", json={**ASKED, "stream": True},
                       headers={"X-API-Key": rig.key}, timeout=30)  # fmt: skip
    assert reply.text.count('"finish_reason":"error"') == 1
    assert reply.text.count("data: [DONE]") == 1
    assert reply.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("behaviour", ["cut", "stall"])
def test_without_a_stream_nothing_is_seen_of_it(rig: Rig, behaviour: str) -> None:
    rig.behave(behaviour)
    with rig.client() as client:
        completion = client.chat.completions.create(**ASKED)
    [choice] = completion.choices
    assert (choice.finish_reason, completion.model_extra["docent"]["provider"]) == (
        "stop",
        "extractive",
    )
    assert "The limit of an upload is 10 MB." in (choice.message.content or "")


@pytest.mark.parametrize("behaviour", ["status:500", "empty", "error_200", "status:429"])
def test_what_fails_before_the_first_word_is_not_seen_at_all(rig: Rig, behaviour: str) -> None:
    rig.behave(behaviour)
    text, finish, error = read(rig)
    assert (finish, error) == ("stop", None)
    assert "10 MB" in text


@pytest.mark.parametrize(
    ("stream", "behaviour"),
    [(False, "slow_headers"), (False, "stall:60"), (True, "slow_first_token"),
     (True, "drip:500:0.1")],
)  # fmt: skip
def test_a_client_that_leaves_stops_the_provider(rig: Rig, stream: bool, behaviour: str) -> None:
    rig.behave(behaviour)
    place = urlsplit(rig.url)
    request = httpx.Request(
        "POST",
        f"{rig.url}/v1/chat/completions",
        json={**ASKED, "stream": stream},
        headers={"X-API-Key": rig.key},
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.create_connection((place.hostname, place.port), timeout=30) as wire:
        wire.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n".encode() + request.content)
        until(rig.calls, 30, "the provider is asked")
        if behaviour.startswith("drip"):
            while b"word1" not in wire.recv(65_536):
                pass
        assert not ended(rig)
    until(lambda: ended(rig), LEFT_S, "the provider sees that nobody waits")
    assert {call["state"] for call in rig.calls()} == {"aborted"}


def ended(rig: Rig) -> bool:
    return all(call["state"] != "open" for call in rig.calls())
