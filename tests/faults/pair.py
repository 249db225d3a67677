"""A started Docent with a faulty provider first and a healthy one second, asked and measured."""

import itertools
import json
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped,unused-ignore]

from app.infra.embedded.servers import embedded_servers
from tests.fake_provider import ANSWER
from tests.faults.provider_faults import DRIPPED, LIMITS, Fault, ScriptedProvider, scripted_provider
from tests.faults.running import QUESTION, Docent, Program, copy_of_docent

#: Requests of one row: the first meets the fault, the rest should not.
REQUESTS = 20
#: Requests before them, which find everybody healthy and tell what is usual.
WARM_UP = 6
#: The providers' names in Docent's configuration.
FAULTY, HEALTHY = "openrouter", "groq"
#: The first provider's; each has a circuit of its own.
MODELS = [f"model-{number}" for number in range(50)]
_numbers = itertools.count()


@dataclass
class Asked:
    """One question and what came of it."""

    ms: float = 0.0
    status: int = 0
    #: The text that a caller ends up with; None when told of a failure.
    text: str | None = None
    #: The answer object, or the problem.
    outcome: dict[str, Any] = field(default_factory=dict)
    #: Names of the events of a stream, in order.
    events: list[str] = field(default_factory=list)
    headers: httpx.Headers = field(default_factory=httpx.Headers)

    @property
    def by(self) -> str:
        """The provider that answered, or the code of the problem."""
        return str(self.outcome.get("provider") or self.outcome.get("code"))

    @property
    def attempts(self) -> list[str]:
        """How the attempts at the faulty provider ended."""
        made = [a["outcome"] for a in self.outcome.get("attempts", []) if a["provider"] == FAULTY]
        return [outcome for outcome in made if outcome != "cooling_down"]

    @property
    def result(self) -> str:
        """In the words of the table."""
        if self.text is None:
            return f"error: {self.by}"
        return "extractive answer" if self.by == "extractive" else result_of(self.text)

    def read(self, response: httpx.Response) -> None:
        """Read a streamed or whole answer to its end."""
        self.status, self.headers = response.status_code, response.headers
        if not response.headers["content-type"].startswith("text/event-stream"):
            self._end(json.loads(response.read()))
            return
        name, shown = "", ""
        for line in response.iter_lines():
            if line.startswith("event:"):
                name = line.removeprefix("event:").strip()
                self.events.append(name)
            elif line.startswith("data:"):
                data = json.loads(line.removeprefix("data:"))
                shown = "" if name == "reset" else shown + data.get("text", "")
                if name in {"done", "error"}:
                    self._end(data)
        assert [e for e in self.events if e in {"done", "error"}] == self.events[-1:], self.events
        assert self.text in (None, shown), f"shown {shown!r}, done says {self.text!r}"

    def _end(self, outcome: dict[str, Any]) -> None:
        self.outcome, self.text = outcome, outcome.get("answer")


def result_of(text: str) -> str:
    """What an answer that was given as a success is, in the words of the table."""
    if text == ANSWER:
        return "whole answer"
    if text.strip() == DRIPPED.strip():
        return "the slow answer, whole"
    return "part of an answer as success" if text.strip() else "empty answer as success"


@dataclass(frozen=True)
class Row:
    """What a fault costs; latencies are beyond the median of a healthy first provider."""

    outcomes: tuple[str, ...]
    first_ms: float
    rest_median_ms: float
    rest_worst_ms: float
    hits: int


def row_of(asked: list[tuple[str, float]], usual_ms: float, hits: int) -> Row:
    """``asked``: results and milliseconds in order."""
    extra = [ms - usual_ms for _, ms in asked]
    return Row(
        outcomes=tuple(dict.fromkeys(result for result, _ in asked)),
        first_ms=extra[0],
        rest_median_ms=statistics.median(extra[1:]),
        rest_worst_ms=max(extra[1:]),
        hits=hits,
    )


class Pair:
    """Docent and its two providers."""

    def __init__(self, docent: Docent, faulty: ScriptedProvider, healthy: ScriptedProvider) -> None:
        self.docent, self.faulty, self.healthy = docent, faulty, healthy
        self.model: str | None = None
        self.usual_ms = 0.0
        self._models = iter(MODELS)

    def client(self, **options: Any) -> httpx.Client:
        """Connections of a caller's own; new ones may meet another worker."""
        headers = {"X-API-Key": self.docent.key}
        return httpx.Client(base_url=self.docent.url, headers=headers, timeout=60, **options)

    def ask(self, client: httpx.Client | None = None, *, stream: bool = False) -> Asked:
        """Ask what nobody has asked before."""
        if client is None:
            with self.client() as own:
                return self.ask(own, stream=stream)
        question = f"{QUESTION} (asked {next(_numbers)})"
        body = {"question": question, "stream": stream, "model": self.model}
        asked, started = Asked(), time.perf_counter()
        with client.stream("POST", "/api/v1/chat", json=body) as response:
            asked.read(response)
        asked.ms = (time.perf_counter() - started) * 1000
        return asked

    def ask_all(self, count: int = REQUESTS, *, stream: bool = False) -> list[Asked]:
        """One after the other on one connection."""
        with self.client() as client:
            return [self.ask(client, stream=stream) for _ in range(count)]

    def meet(self, fault: Fault, *, stream: bool = False, count: int = REQUESTS) -> list[Asked]:
        """Ask while nothing is known of the fault yet."""
        self.recover(WARM_UP, stream=stream)
        self.faulty.behave(fault.behaviour, fault.listening)
        self.faulty.forget()
        return self.ask_all(count, stream=stream)

    def recover(self, count: int = 2, *, stream: bool = False) -> None:
        """A healthy first provider, of which nothing bad is known.

        Another model of it: every model has a circuit of its own, and is asked for by name.
        ``usual_ms`` is what a request takes now.
        """
        self.faulty.behave("ok")
        self.model = next(self._models)
        asked = self.ask_all(count, stream=stream)
        self.usual_ms = statistics.median(one.ms for one in asked)
        assert {one.by for one in asked} == {FAULTY}, asked

    def workers(self) -> list[int]:
        """Gunicorn's workers; `make serve` is its parent."""
        (gunicorn,) = psutil.Process(self.docent.programs[-1].pid).children()
        return [child.pid for child in gunicorn.children()]


@contextmanager
def started_pair(**settings: object) -> Iterator[Pair]:
    """`make serve` on a copy of its own, one worker unless told otherwise."""
    with (
        scripted_provider() as faulty,
        scripted_provider() as healthy,
        copy_of_docent(**{**_settings(faulty, healthy), **settings}) as docent,
        embedded_servers(docent.home),
    ):
        serve(docent)
        yield Pair(docent, faulty, healthy)
        stop(docent.programs[-1])


def serve(docent: Docent, **settings: object) -> Program:
    """Start the API alone and wait for it."""
    program = docent.program("scripts.serve", **settings)
    docent.until_ready()
    return program


def stop(served: Program) -> None:
    """As an operator does."""
    assert served.stop(signal.SIGTERM, 60).code == 0


def _settings(faulty: ScriptedProvider, healthy: ScriptedProvider) -> dict[str, object]:
    return {
        "PROVIDER_ORDER": f"{FAULTY},{HEALTHY},extractive",
        "OPENROUTER_BASE_URL": faulty.url,
        "OPENROUTER_MODEL": ",".join(MODELS),
        "OPENROUTER_API_KEY": "key-of-the-first",
        "GROQ_BASE_URL": healthy.url,
        "GROQ_API_KEY": "key-of-the-second",
        "WORKERS": 1,
        "CONNECT_TIMEOUT_S": LIMITS.connect_s,
        "FIRST_TOKEN_TIMEOUT_S": LIMITS.first_token_s,
        "IDLE_TIMEOUT_S": LIMITS.idle_s,
        "ATTEMPT_TIMEOUT_S": LIMITS.attempt_s,
        "TOTAL_TIMEOUT_S": LIMITS.total_s,
        "COOLDOWN_S": LIMITS.cooldown_s,
    }
