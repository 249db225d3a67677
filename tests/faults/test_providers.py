"""Every fault of a provider, as a caller of the API meets it: answers keep coming."""

from collections.abc import Iterator

import pytest

from tests.faults.pair import HEALTHY, REQUESTS, Asked, Pair, row_of, started_pair
from tests.faults.provider_faults import FAULTS, LIMITS, Fault

#: What a request may lose to a provider that is known to be down is < 50 ms (docs/fault-table.md
#: holds the measurements); on the shared cores of a test run it is told from a timeout.
KNOWN_MS = LIMITS.idle_s * 1000 / 2


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with started_pair() as pair:
        yield pair


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_answers_keep_coming(pair: Pair, fault: Fault) -> None:
    asked = pair.meet(fault)
    row = row_of([(one.result, one.ms) for one in asked], 0, len(pair.faulty.calls))
    print(f"{fault.name}: {row}")
    assert row.outcomes == ("whole answer",)
    assert asked[0].attempts == [fault.outcome]
    if not fault.is_passing:
        assert [one.attempts for one in asked[1:]] == [[]] * (REQUESTS - 1)
        assert row.hits == (fault.listening == "open")
    assert row.rest_worst_ms < KNOWN_MS
