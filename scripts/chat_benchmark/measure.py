"""Asking everybody the same, in turns, and what it cost each."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
import numpy as np

from scripts.chat_benchmark.load import Reply, drive
from scripts.chat_benchmark.processes import Server
from scripts.chat_benchmark.targets import Target

#: Asked before each measured turn: a connection that has been idle, caches another turn emptied.
WARM_UP = 4
#: Sizes of the streams whose difference is the cost of a token.
SHORT, LONG = 50, 1_000
EMPTY_POSTS = 400


@dataclass(frozen=True)
class Case:
    """One kind of work."""

    name: str
    #: What the provider does (``tests/fake_provider.py``).
    behaviour: str
    #: Questions of one turn.
    count: int
    clients: int = 1
    #: Requests/s of all clients together; 0 = as fast as they are answered.
    rate: float = 0
    streamed: bool = False


@dataclass
class Tally:
    """What one target's turns of one case came to."""

    cpu_ns: int = 0
    provider_ns: int = 0
    total_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    #: Pieces in which the text arrived.
    pieces: int = 0
    texts: set[str] = field(default_factory=set)

    @property
    def cpu_ms(self) -> float:
        """The server's CPU for one answer."""
        return self.cpu_ns / len(self.total_ms) / 1e6

    @property
    def provider_ms(self) -> float:
        """The provider's CPU for the same answer."""
        return self.provider_ns / len(self.total_ms) / 1e6

    def quantile(self, of: list[float], share: int) -> float:
        """A percentile of one of its latencies."""
        return float(np.percentile(of, share))

    def add(self, target: Target, case: Case, replies: Sequence[Reply]) -> None:
        """Count answers in."""
        for reply in replies:
            self.total_ms.append(reply.total_ms)
            self.first_ms.append(reply.first_ms)
            self.texts.add(target.text(reply.raw, case.streamed))
            self.pieces += reply.raw.count(target.mark)


Tallies = dict[tuple[str, str], Tally]


async def measure(
    session: aiohttp.ClientSession,
    targets: Sequence[Target],
    provider: Server,
    cases: Sequence[Case],
    *,
    rounds: int,
) -> Tallies:
    """Every case, every target in another order every round; all must say the same."""
    order = random.Random(1)  # noqa: S311 - an order
    tallies = {(case.name, target.name): Tally() for case in cases for target in targets}
    for turn in range(rounds):
        for case in cases:
            await behave(session, provider, case.behaviour)
            for target in order.sample(targets, len(targets)):
                tally = tallies[case.name, target.name]
                await take_turn(session, target, provider, case, (tally, turn))
            check_equal(tallies, case, targets)
    return tallies


async def take_turn(
    session: aiohttp.ClientSession,
    target: Target,
    provider: Server,
    case: Case,
    into: tuple[Tally, int],
) -> None:
    """One target's turn: a few questions unmeasured, then the count."""
    tally, turn = into
    warm_up = range(WARM_UP if case.clients == 1 else case.clients * 2)
    await drive(session, target, warm_up, clients=case.clients, streamed=case.streamed)
    numbers = range(turn * case.count, (turn + 1) * case.count)
    before = target.server.cpu_ns(), provider.cpu_ns()
    replies = await drive(
        session, target, numbers, clients=case.clients, rate=case.rate, streamed=case.streamed
    )
    tally.cpu_ns += target.server.cpu_ns() - before[0]
    tally.provider_ns += provider.cpu_ns() - before[1]
    tally.add(target, case, replies)
    async with session.delete(f"{provider.url}/control"):
        pass  # it keeps a record of every call, which would only grow


async def empty_post_ms(session: aiohttp.ClientSession, target: Target) -> float:
    """CPU of one request to ``target``, by itself and without a provider."""
    await drive(session, target, range(EMPTY_POSTS), clients=1, streamed=False)
    before = target.server.cpu_ns()
    await drive(session, target, range(EMPTY_POSTS), clients=1, streamed=False)
    return (target.server.cpu_ns() - before) / EMPTY_POSTS / 1e6


async def behave(session: aiohttp.ClientSession, provider: Server, behaviour: str) -> None:
    """Tell the provider how to answer."""
    async with session.post(f"{provider.url}/control", json={"behaviour": behaviour}) as response:
        response.raise_for_status()


def check_equal(tallies: Tallies, case: Case, targets: Sequence[Target]) -> None:
    """Stop when an answer is not what the others say."""
    texts = {target.name: tallies[case.name, target.name].texts for target in targets}
    if len(set.union(*texts.values())) != 1:
        shown = {name: sorted(text[:80] for text in found) for name, found in texts.items()}
        raise SystemExit(f"the answers differ: {case.name}: {shown}")
