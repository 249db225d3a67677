"""Signing keys: one at a time however many workers start, replaced in time, sealed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.auth import signing_keys as module
from app.auth.access_token import signed, verified
from app.errors import ConfigurationError
from tests.conftest import FreshDatabase
from tests.integration.people import Town, open_town
from tests.integration.token_parts import signing_keys


@pytest.fixture
async def town(database: FreshDatabase) -> AsyncIterator[Town]:
    async with open_town(database) as town:
        town.rows("DELETE FROM signing_keys")
        yield town


async def test_workers_that_start_at_once_make_one_key(town: Town) -> None:
    workers = [signing_keys(town) for _ in range(20)]
    found = await asyncio.gather(*(worker.signer() for worker in workers))
    assert len({key.kid for key in found}) == 1
    assert len(town.rows("SELECT FROM signing_keys")) == 1


async def test_an_old_key_is_replaced_once_and_verifies_until_its_last_token_ends(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = [signing_keys(town) for _ in range(5)]
    old = await workers[0].signer()
    town.rows("UPDATE signing_keys SET created_at = now() - interval '91 days'")
    assert await workers[0].signer() is old, "what was read is believed for a minute"
    monkeypatch.setattr(module, "FRESH_S", 0.0)
    fresh = [signing_keys(town) for _ in range(5)]
    found = await asyncio.gather(*(worker.signer() for worker in fresh))
    [kid] = {key.kid for key in found}
    assert kid != old.kid
    assert await fresh[0].find(old.kid) is not None
    assert len(await fresh[0].published()) == 2
    for seconds, known in ((890, True), (910, False)):
        town.rows(
            "UPDATE signing_keys SET retired_at = now() - make_interval(secs => %s)"
            " WHERE kid = %s", seconds, old.kid,
        )  # fmt: skip
        assert (await signing_keys(town).find(old.kid) is not None) is known


async def test_a_worker_knows_another_ones_new_key_at_once(town: Town) -> None:
    first, second = signing_keys(town), signing_keys(town)
    assert await second.find("sig_unknown") is None
    key = await first.signer()
    claims = dict.fromkeys(("sub", "tenant", "client_id", "scope", "jti", "family"), "x")
    token = signed(
        {**claims, "iss": "i", "aud": "i", "iat": 0, "nbf": 0, "exp": 9**11}, key.kid, key.private
    )
    public = await second.find(key.kid)
    assert public is not None
    assert verified(token, public, issuer="i").family_id == "x"


async def test_keys_of_another_secret_are_not_ours(town: Town) -> None:
    ours = await signing_keys(town).signer()
    stranger = signing_keys(town, b"another secret")
    assert await stranger.find(ours.kid) is None
    assert (await stranger.signer()).kid != ours.kid
    assert (await signing_keys(town).signer()).kid == ours.kid


async def test_a_key_that_was_put_into_the_table_is_of_no_use(town: Town) -> None:
    ours = await signing_keys(town).signer()
    town.rows("UPDATE signing_keys SET kid = 'sig_renamed' WHERE kid = %s", ours.kid)
    assert await signing_keys(town).find("sig_renamed") is None
    with pytest.raises(ConfigurationError):
        await signing_keys(town).signer()


async def test_the_private_key_is_not_readable_in_the_table(town: Town) -> None:
    key = await signing_keys(town).signer()
    [row] = town.rows("SELECT sealed FROM signing_keys")
    secret = key.private.private_numbers().private_value.to_bytes(32, "big")
    assert secret not in row["sealed"]
    assert len(row["sealed"]) > 100
