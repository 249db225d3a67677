"""The first provider is there for two seconds and gone for two, under a fleet with 16 clients."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.faults.pair import FAULTY, HEALTHY, Asked, Pair, started_pair
from tests.faults.running import until

WORKERS, CLIENTS = 4, 16
LASTS_S, PHASE_S = 24.0, 2.0
#: The answer a word at a time, so that many are in the middle of it when it breaks off.
TALKING = "drip:0:0.08"


@contextmanager
def flapping(pair: Pair) -> Iterator[None]:
    over = threading.Event()

    def flap() -> None:
        for listening in itertools.cycle(("refused", "open")):
            if over.wait(PHASE_S):
                return
            pair.faulty.behave(TALKING, listening)

    thread = threading.Thread(target=flap)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_no_request_fails_and_no_text_is_lost_or_told_twice() -> None:
    with started_pair(WORKERS=WORKERS, COOLDOWN_S=1) as pair:
        until(lambda: len(pair.workers()) == WORKERS, 30, "all workers")
        pair.recover()
        pair.faulty.behave(TALKING)
        ends = time.monotonic() + LASTS_S

        def keep_asking(number: int) -> list[Asked]:
            asked = []
            while time.monotonic() < ends:
                asked.append(pair.ask(stream=number % 2 == 0))
            return asked

        with flapping(pair), ThreadPoolExecutor(CLIENTS) as clients:
            asked = list(itertools.chain(*clients.map(keep_asking, range(CLIENTS))))
        by = Counter(one.by for one in asked)
        resets = sum(one.events.count("reset") for one in asked)
        outcomes = Counter(outcome for one in asked for outcome in one.attempts)
        slowest_s = max(one.ms for one in asked) / 1000
        print(f"{len(asked)}: {by}, {resets} resets, {outcomes}, slowest {slowest_s:.1f} s")
        # That what was shown since the last reset is the answer, `Asked.read` sees to.
        assert {(one.status, one.result) for one in asked} == {(200, "whole answer")}
        assert set(by) == {FAULTY, HEALTHY}
        assert resets, "some were in the middle of it"
