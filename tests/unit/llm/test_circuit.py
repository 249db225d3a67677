"""Laws of one circuit, and the circuits of one process without a Redis."""

from hypothesis import given
from hypothesis import strategies as st

from app.infra.redis import RedisAway
from app.llm.circuit import BACKOFF, JITTER, STRIKES, Circuit, CircuitKey, Pass, waits_s
from app.llm.circuit_board import Shared
from app.llm.circuits import Circuits
from app.llm.failures import RULES, ProviderFailed

KEY = CircuitKey("groq", "llama", "hash")
asked = st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 5000)), min_size=1, max_size=20)


@given(asked)
def test_it_is_never_shortened_and_never_shorter_than_asked(failures):
    circuit, now = Circuit(), 0.0
    for pause_s, asked_s in failures:
        now += pause_s
        before = circuit.open_until
        circuit.open(now, asked_s, waits_s(60))
        assert circuit.open_until >= before
        assert circuit.open_until - now >= max(asked_s, 60) - 1.001, "about as long is as long"
        assert circuit.is_shut_to(now)


@given(st.integers(1, 50), st.floats(0.1, 3600))
def test_backoff_grows_to_a_bound(failures, cooldown_s):
    circuit, now, waits = Circuit(), 0.0, []
    for _ in range(failures):
        circuit.open(now, 0, waits_s(cooldown_s))
        waits.append(circuit.open_until - now)
        now = circuit.open_until
    assert circuit.failures == failures
    assert waits[0] >= cooldown_s * 0.999
    assert max(waits) <= cooldown_s * BACKOFF[-1] * (1 + JITTER) * 1.001


@given(st.sampled_from(sorted(RULES)), st.integers(1, 5))
def test_what_opens_it_is_the_rule_of_the_fault(fault, times):
    circuits = Circuits(clock=lambda: 0.0)
    for _ in range(times):
        circuits.failed(Pass(KEY), ProviderFailed(fault))
    needed = {"once": 1, "long": 1, "twice": STRIKES, "never": 99}[RULES[fault].opens]
    assert bool(circuits.remaining_s(KEY)) is (times >= needed)


async def test_one_probe_and_what_becomes_of_it():
    now = 0.0
    circuits = Circuits(cooldown_s=10, clock=lambda: now, lease_s=30)
    circuits.failed(Pass(KEY), ProviderFailed("stalled"))
    assert await circuits.admit(KEY) is None
    now = 10.0
    probe = await circuits.admit(KEY)
    assert probe.lease
    assert await circuits.admit(KEY) is None
    circuits.failed(probe, ProviderFailed("empty"))
    assert circuits.remaining_s(KEY) == 10, "a probe has one chance"
    now = 20.0
    circuits.released(await circuits.admit(KEY))
    again = await circuits.admit(KEY)
    circuits.failed(again, ProviderFailed("rejected"))
    assert (await circuits.admit(KEY)).lease, "nothing was found out; somebody else tries"
    now = 51.0
    lost = await circuits.admit(KEY)
    assert lost.lease, "a probe that was never heard of again does not close the door"
    circuits.succeeded(lost)
    assert await circuits.admit(KEY) == Pass(KEY)


async def test_a_late_success_does_not_close_it():
    circuits = Circuits(clock=lambda: 0.0)
    early = await circuits.admit(KEY)
    circuits.failed(Pass(KEY), ProviderFailed("rate_limited"))
    circuits.succeeded(early)
    assert circuits.remaining_s(KEY)


async def test_only_so_many_are_remembered():
    circuits = Circuits(capacity=2, clock=lambda: 0.0)
    keys = [CircuitKey("groq", "llama", str(n)) for n in range(3)]
    for key in keys:
        circuits.failed(Pass(key), ProviderFailed("bad_key"))
    assert [bool(circuits.remaining_s(key)) for key in keys] == [False, True, True]


def test_no_hash_of_a_key_is_shown():
    assert "hash" not in repr(Pass(KEY))


class ReadOnly:
    """A board in a Redis that became a replica: it tells of failures, and takes no news."""

    def __init__(self):
        self.is_writable, self.failures, self.open_s = False, 1, 0.0

    async def read(self, keys):
        return [Shared(self.open_s, self.failures) for _ in keys]

    async def lease(self, key, lease, *, lease_s):
        raise RedisAway

    async def open(self, leave, *, asked_s, waits_s):
        raise RedisAway

    async def close(self, key):
        if not self.is_writable:
            raise RedisAway
        self.failures = 0


async def test_a_provider_that_is_back_stays_so_though_nobody_can_be_told():
    """Or one request at a time would reach it until Redis takes news again."""
    now, board = 0.0, ReadOnly()
    circuits = Circuits(board=board, clock=lambda: now)
    await circuits.refresh([KEY])
    circuits.succeeded(await circuits.admit(KEY))
    await circuits.flush()
    for _ in range(2):
        now += 1
        await circuits.refresh([KEY])
        await circuits.flush()
        assert await circuits.admit(KEY) == Pass(KEY)
    now, board.is_writable = 3.0, True
    await circuits.refresh([KEY])
    await circuits.flush()
    assert not board.failures, "told as soon as it can be"


async def test_a_provider_that_failed_elsewhere_since_is_open():
    now, board = 0.0, ReadOnly()
    circuits = Circuits(board=board, clock=lambda: now)
    await circuits.refresh([KEY])
    circuits.succeeded(await circuits.admit(KEY))
    await circuits.flush()
    now, board.failures, board.open_s = 1.0, 2, 60.0
    await circuits.refresh([KEY])
    assert await circuits.admit(KEY) is None


async def test_news_of_nothing_is_no_good_answer():
    board = ReadOnly()
    board.failures = 0
    circuits = Circuits(board=board, clock=lambda: 0.0)
    circuits.failed(Pass(KEY), ProviderFailed("empty"))
    await circuits.refresh([KEY])
    assert not circuits.remaining_s(KEY)
    circuits.failed(Pass(KEY), ProviderFailed("empty"))
    assert circuits.remaining_s(KEY), "the second in a row"
    await circuits.flush()
