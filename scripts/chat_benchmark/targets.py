"""Who is asked, how a question is put to each, and how its answer is read."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from scripts.chat_benchmark.corpus import QUESTIONS
from scripts.chat_benchmark.processes import Server

DIRECT, OURS = "provider, directly", "Docent"
NAIVE, LITELLM = "FastAPI + LlamaIndex + PGVectorStore", "LiteLLM Router"
EMPTY = "FastAPI, empty POST"
ASKING = "FastAPI, a POST that asks as often"
#: The product numbers its quotes anew, so markers are left out of comparisons.
_MARKER = re.compile(r"\s*\[\d+\]")

Body = Callable[[int, bool], dict[str, Any]]


@dataclass(frozen=True)
class Target:
    """One way to an answer."""

    name: str
    server: Server
    path: str
    #: The request for question ``n``, streamed or not.
    body: Body
    #: What stands in a streamed answer as often as a piece of text does.
    mark: bytes
    read: Callable[[bytes, bool], str]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.server.url + self.path

    def text(self, raw: bytes, streamed: bool) -> str:
        """The answer's text as it is compared."""
        return _MARKER.sub("", self.read(raw, streamed)).strip()


def events_of(raw: bytes) -> list[tuple[str, Any]]:
    """Names and data of server-sent events; an event without a name is a ``message``."""
    events = []
    for block in raw.split(b"\n\n"):
        fields = dict(
            line.split(b": ", 1) for line in block.split(b"\n") if line and line[:1] != b":"
        )
        if b"data" in fields and fields[b"data"] != b"[DONE]":
            name = fields.get(b"event", b"message").decode()
            events.append((name, orjson.loads(fields[b"data"])))
    return events


def read_answer(raw: bytes, streamed: bool) -> str:
    """The text of an answer of the product, or of a peer that speaks as it does."""
    if not streamed:
        return str(orjson.loads(raw)["answer"])
    events = events_of(raw)
    if not events or events[-1][0] != "done":
        raise SystemExit(f"a stream did not end with done: {raw[-300:]!r}")
    return "".join(data["text"] for name, data in events if name == "delta")


def read_completion(raw: bytes, streamed: bool) -> str:
    """The text of the provider's own answer, which is always streamed: the product asks so too."""
    choices = [choice for _, data in events_of(raw) for choice in data["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def questions(number: int, streamed: bool) -> dict[str, Any]:
    """What is sent to those who search."""
    return {"question": QUESTIONS[number % len(QUESTIONS)], "stream": streamed}


def ours(server: Server, key: str) -> Target:
    """The product."""
    headers = {"X-API-Key": key}
    mark = b"event: delta\n"
    return Target(OURS, server, "/api/v1/chat", questions, mark, read_answer, headers)


def naive(server: Server) -> Target:
    """The peer that does the same work."""
    return Target(NAIVE, server, "/chat", questions, b"event: delta\n", read_answer)


def empty(server: Server) -> Target:
    """Nobody: what FastAPI costs by itself."""
    return Target(EMPTY, server, "/chat", questions, b"event: delta\n", read_answer)


def asking(server: Server) -> Target:
    """Nobody, who asks PostgreSQL and Redis as often as the product does for a kept answer."""
    return Target(ASKING, server, "/asking", questions, b"event: delta\n", read_answer)


def prompted(
    prompts: Sequence[list[dict[str, Any]]], *, provider: Server, litellm: Server | None
) -> list[Target]:
    """Those who are handed the product's own prompts, one for each question."""

    def body(number: int, streamed: bool) -> dict[str, Any]:
        return {"messages": prompts[number % len(prompts)], "stream": streamed}

    def completion(number: int, streamed: bool) -> dict[str, Any]:
        usage = {"stream_options": {"include_usage": True}}
        return {**body(number, streamed), "model": "ok", "stream": True, **usage}

    path = "/v1/chat/completions"
    targets = [Target(DIRECT, provider, path, completion, b'"content":', read_completion)]
    if litellm is not None:
        targets.append(Target(LITELLM, litellm, "/chat", body, b"event: delta\n", read_answer))
    return targets
