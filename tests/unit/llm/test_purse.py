"""Money is put aside before every hop that costs some, and settled once however it ends."""

import asyncio

import pytest

from app.errors import AppError
from app.llm.completion import Account, Price
from app.llm.extractive import Extractive
from tests.unit.llm.asking import ask, collect, outcomes, request, source

PAYER = Account("ten_1", "key_1")
PRICE = Price(1.0, 2.0)


BROUGHT = "brought.key"


class Purse:
    """Keeps what is asked of it; empty when told so."""

    def __init__(self, error=None):
        self.error, self.reserved, self.settled = error, [], []

    async def reserve(self, account, cost_usd):
        assert account == PAYER
        if self.error:
            raise self.error
        self.reserved.append(cost_usd)
        return self

    async def settle(self, cost_usd):
        await asyncio.sleep(0)
        self.settled.append(cost_usd)


async def test_every_hop_with_a_price_is_reserved_and_settled(build):
    purse = Purse()
    router = build("status:500", "ok:7", purse=purse, facts={"price": PRICE}, then=[Extractive()])
    await ask(router, request(account=PAYER, max_tokens=100))
    assert purse.reserved == [pytest.approx((12 + 200) / 1e6)] * 2
    assert purse.settled == [0, pytest.approx((12 + 14) / 1e6)]


async def test_nobodys_money_is_touched_for_what_is_free(build):
    purse = Purse()
    await ask(build("ok", purse=purse), request(account=PAYER))
    priced = build("ok", purse=purse, facts={"price": PRICE})
    await ask(priced, request(account=PAYER, keys={"openrouter": BROUGHT}))
    await ask(priced, request())
    assert purse.reserved == []


async def test_a_stream_that_breaks_off_is_paid_by_what_came(build):
    purse = Purse()
    await ask(
        build("dies_with_error", "ok", purse=purse, facts={"price": PRICE}), request(account=PAYER)
    )
    assert len(purse.settled) == 2
    assert 0 < purse.settled[0] < purse.reserved[0]


async def test_what_broke_off_costs_no_more_than_was_put_aside(build):
    purse = Purse()
    router = build("cut:9", "ok", purse=purse, facts={"price": PRICE})
    await ask(router, request(account=PAYER, max_tokens=2))
    assert purse.settled[0] == purse.reserved[0]


@pytest.mark.parametrize("model", ["slow_headers", "stall"])
async def test_a_client_that_leaves_settles_once(build, fake, model):
    purse = Purse()
    router = build(model, purse=purse, facts={"price": PRICE})
    task = asyncio.create_task(collect(router, request(account=PAYER)))
    await fake.until(lambda f: bool(f.calls) and (model != "stall" or f.calls[0].sent_bytes > 300))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await router.close()
    assert len(purse.settled) == 1
    assert purse.settled[0] >= 12e-6, "the prompt was read, or leaving early would be free"


async def test_an_empty_purse_ends_the_request(build, fake):
    class Spent(AppError):
        status, code = 402, "budget_spent"

    router = build("ok", purse=Purse(Spent()), facts={"price": PRICE}, then=[Extractive()])
    with pytest.raises(Spent):
        await ask(router, request(account=PAYER))
    assert fake.calls == []


async def test_a_purse_that_cannot_tell_leaves_what_is_free(build, fake):
    router = build("ok", purse=Purse(KeyError()), facts={"price": PRICE}, then=[Extractive()])
    quoted = source("A file may be at most 10 MB large.")
    asked = request("How large may a file be?", quoted, account=PAYER)
    _, completion = await ask(router, asked)
    assert outcomes(completion) == [("openrouter", "unavailable"), ("extractive", "ok")]
    assert fake.calls == []
