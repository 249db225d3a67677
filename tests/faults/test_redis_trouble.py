"""A Redis that is slow, takes no writes, is full or was emptied: questions and documents go on."""

import itertools
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from redis import Redis

from app.infra.embedded.servers import embedded_servers, urls_for
from app.infra.redis import LEFT_ALONE_S
from tests.door import Door
from tests.faults.doors import door_before
from tests.faults.running import ANSWER, QUESTION, Docent, copy_of_docent, until, write_paper

ASKED = 20
#: What a request may lose to a Redis that does not answer (REDIS_TIMEOUT_S), and noise.
LOST_S, NOISE_S = 0.2, 0.3
#: Normal again within 10 s (design: faults), with room for shared cores.
HEAL_S = 20.0
_numbers = itertools.count()


@dataclass
class Served:
    """`make serve` and a worker, whose Redis stands behind a door."""

    docent: Docent
    door: Door
    redis: Redis

    def ask(self, **more: str) -> tuple[httpx.Response, float]:
        """A question that nobody asked before, and the seconds it took."""
        started = time.monotonic()
        answer = httpx.post(
            f"{self.docent.url}/api/v1/chat",
            headers={"X-API-Key": self.docent.key},
            json={"question": f"{QUESTION} ({next(_numbers)})", **more},
            timeout=15,
        )
        return answer, time.monotonic() - started

    def check_it_goes_on(self) -> None:
        """Questions are answered, a document is ingested, the probe of life stays up."""
        for _ in range(5):
            answer, seconds = self.ask()
            assert (answer.status_code, ANSWER in answer.json()["answer"]) == (200, True)
            assert seconds < 3
        assert self.docent.status_of("/livez") == 200
        text = [[f"Note {next(_numbers)}", "The gate of the yard is green."]]
        paper = write_paper(self.docent.home / "papers" / f"{text[0][0]}.pdf", text)
        self.docent.until_ingested(self.docent.submit(paper), 30)

    def heal(self) -> None:
        """Wait until what needs Redis works again: a session is remembered."""

        def remembers() -> bool:
            session = f"s{next(_numbers)}"
            assert self.ask(session_id=session)[0].status_code == 200
            return self.docent.status_of(f"/api/v1/sessions/{session}") == 200

        print(f"normal again after {until(remembers, HEAL_S, 'sessions are remembered'):.1f} s")
        assert self.docent.status_of("/readyz") == 200
        self.docent.check_intact()

    def tell(self, commands: list[str]) -> None:
        for command in commands:
            self.redis.execute_command(*command.split())

    def log_in(self) -> int:
        body = {"email": "nobody@example.org", "password": "wrong horse battery staple"}
        return httpx.post(f"{self.docent.url}/api/v1/auth/login", json=body, timeout=15).status_code


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with copy_of_docent(WORKERS=1) as docent, embedded_servers(docent.home):
        path = urls_for(docent.home).redis_url.removeprefix("unix://")
        with door_before(path) as door, Redis(unix_socket_path=path) as redis:
            docent.settings["REDIS_URL"] = f"redis://127.0.0.1:{door.port}"
            programs = [docent.program("scripts.serve"), docent.program("app.worker")]
            docent.until_ready()
            yield Served(docent, door, redis)
            for program in programs:
                program.stop()


def test_slow_it_costs_one_timeout_and_is_left_alone(served: Served) -> None:
    usual_s = statistics.median(served.ask()[1] for _ in range(5))
    served.door.delay_s = 2.0
    try:
        started = time.monotonic()
        asked = [served.ask() for _ in range(ASKED)]
        lasted_s = time.monotonic() - started
        served.check_it_goes_on()
    finally:
        served.door.delay_s = 0.0
    assert {answer.status_code for answer, _ in asked} == {200}
    lost = [seconds - usual_s for _, seconds in asked]
    paid = sum(extra > LOST_S * 0.75 for extra in lost)
    print(f"slow Redis: {paid} of {ASKED} lost time, {max(lost):.2f} s at most")
    assert max(lost) < LOST_S + NOISE_S
    assert statistics.median(lost) < LOST_S / 2
    assert paid <= 2 + lasted_s / LEFT_ALONE_S
    served.heal()


#: What makes Redis refuse to write, what ends it, and what a wrong password gets meanwhile: a full
#: one goes on counting, and nobody guesses passwords while nobody counts.
WRITELESS = {
    "a read-only replica": (["REPLICAOF 127.0.0.1 1"], ["REPLICAOF NO ONE"], 503),
    "full": (
        ["CONFIG SET maxmemory-policy noeviction", "CONFIG SET maxmemory 1"],
        ["CONFIG SET maxmemory 256mb", "CONFIG SET maxmemory-policy volatile-lru"],
        401,
    ),
}


@pytest.mark.parametrize("fault", WRITELESS)
def test_without_writes_it_is_done_without(served: Served, fault: str) -> None:
    assert served.log_in() == 401
    broken, mended, refusal = WRITELESS[fault]
    served.tell(broken)
    try:
        served.check_it_goes_on()
        assert served.log_in() == refusal
        session = f"s{next(_numbers)}"
        assert served.ask(session_id=session)[0].status_code == 200
        found = served.docent.status_of(f"/api/v1/sessions/{session}")
        assert found == (404 if fault == "full" else 503), "it is not kept; a full one is read"
        event = "full" if fault == "full" else "failed"
        told = httpx.get(f"{served.docent.url}/metrics", timeout=15).text
        assert f'docent_redis_away_total{{event="{event}"}}' in told
    finally:
        served.tell(mended)
    served.heal()
    assert served.log_in() == 401


def test_emptied_it_is_filled_again(served: Served) -> None:
    headers = {"X-API-Key": served.docent.key, "Idempotency-Key": f"kept-{next(_numbers)}"}
    body = {"question": QUESTION, "session_id": "emptied"}

    def ask() -> httpx.Response:
        url = f"{served.docent.url}/api/v1/chat"
        return httpx.post(url, json=body, headers=headers, timeout=15)

    first = ask()
    assert served.docent.status_of("/api/v1/sessions/emptied") == 200
    served.redis.flushall()
    served.check_it_goes_on()
    assert served.docent.status_of("/api/v1/sessions/emptied") == 404, "what was said is gone"
    again = ask()
    assert (again.headers["Idempotent-Replayed"], again.text) == ("true", first.text)
    served.heal()
