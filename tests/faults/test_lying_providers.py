"""Providers whose transport lies: the next one answers, and nobody else is kept waiting."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tests.faults.pair import FAULTY, HEALTHY, Pair, started_pair
from tests.faults.provider_faults import LIMITS
from tests.faults.running import QUESTION, until

ASKERS = 8
#: What an attempt at a liar may be called, by what it does.
LIES = {
    "early_hints": {"malformed"},
    "head_without_end": {"malformed"},
    "head_drips": {"first_token_timeout"},
    "line:1024": {"malformed"},
    "document:1024": {"malformed"},
    # Until it has sent too much, or has said nothing for too long.
    "comments_without_end": {"malformed", "first_token_timeout"},
    "words_without_end": {"stalled"},
    "gzip_bomb:60": {"malformed", "first_token_timeout"},
    "big:100:500": {"server_error"},
    "long_text:10": {"malformed"},
    "calls_a_tool": {"empty"},
    "redirect:307:http://127.0.0.1:9/v1": {"unavailable"},
    "retry_after:1000000000000": {"rate_limited"},
    "no_http": {"malformed"},
    "both_lengths": {"malformed"},
    "no_done:open": {"stalled"},
    "delta_is:7": {"malformed"},
    r"says_raw:half a pair \ud800 [1].": {"malformed"},
    'used:{"prompt_tokens":NaN}': {"malformed"},
}
#: Answers that are whole for all that is wrong with them.
ODD = (
    "two_dones",
    "garbage_after_done",
    "no_done",
    "old_http",
    "gzip_events",
    "many_choices:5000",
    "delta_is:[]",
    'used:{"prompt_tokens":-5,"completion_tokens":1e300,"cost":"7"}',
    'used:"none"',
)
#: A loop that is held up longer is taken for dead by whoever looks at it. What a lie costs it is
#: told more exactly where nobody else runs (tests/unit/llm/test_lying_transport.py).
MOST_SILENT_S = 2.0
#: What all askers' answers may take at once: 4 MB a document, parsed; and what Python keeps of it.
MOST_MB = 150


class Pulse:
    """Whether the worker is alive, all the time, and what it needs for that."""

    def __init__(self, pair: Pair) -> None:
        self.slowest_s = 0.0
        (self._worker,) = map(psutil.Process, pair.workers())
        self._url = pair.docent.url
        self._before_bytes = self._most_bytes = self._worker.memory_info().rss
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._feel)

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def grown_mb(self) -> float:
        return (self._most_bytes - self._before_bytes) / 1e6

    def _feel(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._stop.wait(0.02):
                started = time.monotonic()
                assert client.get("/livez").status_code == 200
                self.slowest_s = max(self.slowest_s, time.monotonic() - started)
                self._most_bytes = max(self._most_bytes, self._worker.memory_info().rss)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with started_pair() as pair:
        yield pair
        told = "\n".join(pair.docent.programs[-1].lines)
        for secret in ("key-of-the-first", "key-of-the-second", QUESTION):
            assert secret not in told


@pytest.mark.parametrize("lie", LIES)
def test_the_next_one_answers_and_the_worker_stays_awake(pair: Pair, lie: str) -> None:
    pair.recover()
    pair.faulty.behave(lie)
    with Pulse(pair) as pulse, ThreadPoolExecutor(ASKERS) as askers:
        asked = list(askers.map(lambda number: pair.ask(stream=number % 2 == 0), range(ASKERS)))
    print(f"{lie}: silent for {pulse.slowest_s:.2f} s at most, {pulse.grown_mb:.0f} MB more")
    assert {(one.by, one.result) for one in asked} == {(HEALTHY, "whole answer")}
    assert max(one.ms for one in asked) < LIMITS.total_s * 1000
    outcomes = {outcome for one in asked for outcome in one.attempts}
    assert outcomes
    assert outcomes <= LIES[lie]
    assert pulse.slowest_s < MOST_SILENT_S
    assert pulse.grown_mb < MOST_MB
    until(lambda: all(c["state"] != "open" for c in pair.faulty.calls), 10, "it is hung up on")


@pytest.mark.parametrize("odd", ODD)
def test_what_is_odd_about_an_answer_costs_it_nothing(pair: Pair, odd: str) -> None:
    pair.recover()
    pair.faulty.behave(odd)
    for stream in (False, True):
        one = pair.ask(stream=stream)
        assert (one.by, one.result, one.attempts) == (FAULTY, "whole answer", ["ok"])
        assert 0 <= one.outcome["usage"]["completion_tokens"] < 1000


def test_signs_that_no_text_has_reach_neither_readers_nor_records(pair: Pair) -> None:
    pair.recover()
    pair.faulty.behave(r"says_raw:The limit\u0000 is \u001b[31m10 MB\u001b[0m [1].")
    for stream in (False, True):
        one = pair.ask(stream=stream)
        assert (one.status, one.by) == (200, FAULTY)
        assert one.text is not None
        record = pair.docent.get(f"/api/v1/answers/{one.outcome['answer_id']}")
        assert record.status_code == 200
        assert "\x00" not in one.text
        assert "\x1b" not in one.text
