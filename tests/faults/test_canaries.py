"""Ten thousand requests of many tenants, a third of which leaves half-way: nobody hears of others.

Every document and every question holds a word of its own, and the model repeats all such words of
its prompt. What reaches a caller, whole or in part, may hold words of that caller only; and when
all is over, nothing is held for anybody.
"""

import asyncio
import itertools
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from app.auth.keys import create_key, secret_of
from app.settings import Settings
from tests.faults.pair import Pair, started_pair
from tests.faults.running import until
from tests.faults.test_departures import held
from tests.faults.wire import Line, Reply

REQUESTS, WARM_UP = 10_000, 300
TENANTS = ("amber", "basil", "cedar", "delta")
USERS = ("ann", "ben")
#: Connections of each user.
LINES = 3
#: Who has no patience leaves within this many seconds; fast machines answer most in a fifth of it.
LEAVES_WITHIN_S = 0.25
SEED = 20261126
COMMON = "What is the code word of the vault?"
CANARY = re.compile(r"canary-\w+-\w+(?:-\w+)?")


@dataclass
class User:
    """A caller and its own words."""

    tenant: str
    name: str
    key: str

    @property
    def vault(self) -> str:
        return f"canary-{self.tenant}-vault"

    def owns(self, canary: str) -> bool:
        """Whether a word, or the beginning of one, is this caller's."""
        own = f"canary-{self.tenant}-{self.name}-"
        return canary.startswith(own) or own.startswith(canary) or self.vault.startswith(canary)


@dataclass
class Tally:
    """What came of all requests."""

    whole: Counter[str] = field(default_factory=Counter)
    cached: int = 0
    left: int = 0
    left_unheard: int = 0
    wrong: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    settings = {
        "OPENROUTER_MODEL": "recite:0.02",
        "PROVIDER_ORDER": "openrouter,groq",
        "FIRST_TOKEN_TIMEOUT_S": 30,
        "IDLE_TIMEOUT_S": 30,
        "ATTEMPT_TIMEOUT_S": 60,
        "TOTAL_TIMEOUT_S": 60,
        "ANSWER_CACHE_TTL_S": 600,
        "WORKERS": 2,
        "DATABASE_POOL_SIZE": 4,  # so few that pools reach it while they warm up
    }
    with started_pair(**settings) as pair:
        pair.faulty.behave(None)
        yield pair


@pytest.fixture(scope="module")
def users(pair: Pair) -> list[User]:
    """Two of each tenant, which has one document."""
    docent = pair.docent
    secret = secret_of(Settings(docent_home=docent.home))
    users = [
        User(tenant, name, create_key(docent.database_url, secret, tenant=tenant, name=name))
        for tenant in TENANTS
        for name in USERS
    ]
    worker = docent.program("app.worker")
    for user in users[:: len(USERS)]:
        text = f"Notes on the vault\n\nThe code word of the vault is {user.vault} since Monday.\n"
        headers = {"X-API-Key": user.key}
        with httpx.Client(base_url=docent.url, headers=headers, timeout=30) as client:
            sent = client.post("/api/v1/docs", files={"file": ("vault.txt", text.encode())})
            path = f"/api/v1/docs/{sent.raise_for_status().json()['document']['id']}"
            until(
                lambda client=client, path=path: client.get(path).json()["status"] == "ready",
                60,
                "the document is ready",
            )
    assert worker.stop(signal.SIGTERM, 30).code == 0
    docent.programs.remove(worker)  # the API is the last one again
    return users


def request_of(user: User, number: int, dice: random.Random) -> tuple[str, dict[str, Any], str]:
    """A path, a body, and what the answer must hold; some questions many ask, some in a session."""
    own = f"canary-{user.tenant}-{user.name}-{number}"
    shared = dice.random() < 0.75
    question = COMMON if shared else f"{COMMON} {own}"
    expected = user.vault if shared else own
    stream = dice.random() < 0.5
    if dice.random() < 0.3:
        messages = [{"role": "user", "content": question}]
        return "/v1/chat/completions", {"messages": messages, "stream": stream}, expected
    body: dict[str, Any] = {"question": question, "stream": stream}
    if dice.random() < 0.1:  # the same name for everybody's
        body["session_id"] = "canary"
    return "/api/v1/chat", body, expected


async def ask(line: Line, user: User, number: int, tally: Tally) -> None:
    """Ask one question; half of the time with no patience to hear all of the answer."""
    dice = random.Random(SEED + number)
    path, body, expected = request_of(user, number, dice)
    patience = dice.uniform(0, LEAVES_WITHIN_S) if dice.random() < 0.5 else None
    share = dice.random() if patience is not None and dice.random() < 0.1 else 1.0
    reply = Reply()
    try:
        async with asyncio.timeout(60 if patience is None else patience):
            await line.say(path, user.key, body, share=share)
            await line.hear(reply)
    except TimeoutError:
        assert patience is not None, "an answer took a minute"
        line.hang_up(rudely=dice.random() < 0.5)
        tally.left += 1
        tally.left_unheard += not reply.body
    else:
        check_whole(reply, expected, tally, f"{path} {body}")
    found = CANARY.findall(bytes(reply.body).decode(errors="replace"))
    tally.wrong += [f"{user} {canary}" for canary in found if not user.owns(canary)]


def check_whole(reply: Reply, expected: str, tally: Tally, asked: str) -> None:
    """An answer that came to its end is the one that was asked for."""
    if reply.status != 200 or expected not in reply.text:
        tally.wrong.append(f"{asked} {reply.status} {bytes(reply.body)[-500:]!r}")
        return
    tally.whole[reply.kind.partition(";")[0]] += 1
    tally.cached += b'"cached":"exact"' in reply.body


async def ask_all(pair: Pair, users: list[User], numbers: range) -> Tally:
    """Everybody asks on connections of their own, one question after the other on each."""
    tally, following = Tally(), iter(numbers)

    async def keep_asking(user: User) -> None:
        async with Line(pair.docent.port) as line:
            for number in following:
                await ask(line, user, number, tally)

    await asyncio.gather(*(keep_asking(user) for user, _ in itertools.product(users, range(LINES))))
    return tally


def at_rest(pair: Pair) -> bool:
    """Whether nothing is being done for anybody."""
    calls = pair.faulty.calls
    return held(pair)["busy"] == 0 and all(call["state"] != "open" for call in calls)


def in_use(pair: Pair) -> float:
    """Connections to the database that are lent or waited for, in the words of the metrics."""
    page = pair.docent.get("/metrics").text
    lines = re.findall(
        r'^docent_database_pool_(?:waiting|connections\{state="used"\}) (\S+)$', page, re.MULTILINE
    )
    assert len(lines) == 2, page
    return sum(map(float, lines))


def test_ten_thousand_requests_cross_no_border(pair: Pair, users: list[User]) -> None:
    asyncio.run(ask_all(pair, users, range(WARM_UP)))  # pools reach their size
    until(lambda: at_rest(pair), 60, "everything of the first is over")
    before = held(pair)
    pair.faulty.forget()

    started = time.monotonic()
    tally = asyncio.run(ask_all(pair, users, range(WARM_UP, WARM_UP + REQUESTS)))
    print(f"{REQUESTS} requests in {time.monotonic() - started:.0f} s: {tally}")
    assert tally.wrong == []
    assert sum(tally.whole.values()) + tally.left == REQUESTS
    assert min(tally.whole["application/json"], tally.whole["text/event-stream"]) > REQUESTS / 20
    assert tally.cached > REQUESTS / 20
    assert tally.left > REQUESTS / 20
    assert tally.left_unheard < tally.left

    until(lambda: at_rest(pair), 60, "nothing is done for those who left")
    states = Counter(call["state"] for call in pair.faulty.calls)
    after = held(pair)
    print(f"calls of the provider: {dict(states)}; held before {before}, after {after}")
    assert set(states) == {"done", "aborted"}
    assert after["clients and providers"] <= before["clients and providers"] + 4
    assert after["database"] <= before["database"] + 4
    assert after["servers"] <= before["servers"] + len(users) * LINES
    until(lambda: in_use(pair) == 0, 60, "no connection to the database is lent")
    for user in users:  # what was kept of all that is each tenant's own
        reply = pair.docent.ask(COMMON, key=user.key).json()
        assert (reply["cached"], user.vault in reply["answer"]) == ("exact", True), reply
        assert all(map(user.owns, CANARY.findall(str(reply))))
