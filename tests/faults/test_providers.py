"""Every fault of a provider, as a caller of the API meets it: answers keep coming."""

from collections.abc import Iterator

import pytest

from tests.faults.pair import FAULTY, HEALTHY, Asked, Pair, serve, started_pair, stop
from tests.faults.provider_faults import FAULTS, LIMITS, Fault

#: A request loses < 50 ms to a provider that is known to be down (docs/fault-table.md holds the
#: measurements); on the shared cores of a test run, less than any timeout tells.
KNOWN_MS = LIMITS.connect_s * 1000
#: A streamed row needs not all of the 20 requests again.
STREAMED = 6


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with started_pair() as pair:
        yield pair


def check(fault: Fault, asked: list[Asked], hits: int) -> None:
    """Whole answers by the second provider, and the first left alone as soon as it may be."""
    print(fault.name, [(one.result, round(one.ms), one.attempts, one.events) for one in asked[:3]])
    assert {one.result for one in asked} == {"whole answer"}
    assert {one.by for one in asked} == {HEALTHY}
    assert set(asked[0].attempts) == {fault.outcome}
    if fault.strikes:
        assert [len(one.attempts) for one in asked] == [
            int(number < fault.strikes) for number in range(len(asked))
        ]
        assert hits == (fault.strikes if fault.listening == "open" else 0)
        assert max(one.ms for one in asked[fault.strikes :]) < KNOWN_MS


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_answers_keep_coming(pair: Pair, fault: Fault) -> None:
    asked = pair.meet(fault)
    check(fault, asked, len(pair.faulty.calls))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_streams_end_once_and_whole(pair: Pair, fault: Fault) -> None:
    """What was shown since the last reset is the answer (:meth:`Asked.read` sees to that)."""
    asked = pair.meet(fault, stream=True, count=STREAMED)
    check(fault, asked, len(pair.faulty.calls))
    assert [one.events.count("reset") for one in asked] == [
        int(fault.is_late and number < fault.strikes) for number in range(STREAMED)
    ]
    assert all(one.events[-1] == "done" for one in asked)


def test_without_any_provider_the_passages_answer(pair: Pair) -> None:
    pair.recover()
    for provider in (pair.faulty, pair.healthy):
        provider.behave("ok", "refused")
    try:
        _, *asked = pair.ask_all(5)
        for one in asked:
            assert (one.status, one.by, one.result) == (200, "extractive", "extractive answer")
            assert [a["outcome"] for a in one.outcome["attempts"]] == [
                "cooling_down", "cooling_down", "ok",
            ]  # fmt: skip
            assert one.ms < 1000
    finally:
        pair.healthy.behave("ok")


def test_without_passages_either_the_caller_is_told_when_to_return(pair: Pair) -> None:
    stop(pair.docent.programs[-1])
    serve(pair.docent, PROVIDER_ORDER=f"{FAULTY},{HEALTHY}")
    for provider in (pair.faulty, pair.healthy):
        provider.behave("status:503:7")
    first, *others = pair.ask_all(4)
    assert first.status == 503
    for one in others:
        assert (one.status, one.by) == (503, "providers_failed")
        assert one.outcome["retryable"] is True
        assert 1 <= int(one.headers["retry-after"]) <= LIMITS.cooldown_s
        assert one.ms < 1000
