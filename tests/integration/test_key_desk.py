"""Keys that callers make: never more than their makers, and nobody else's business."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from app.auth.api_keys import uses as uses_module
from app.auth.api_keys.service import KeyNotFound, ScopeNotHeld
from app.auth.api_keys.store import NewKey
from app.auth.api_keys.uses import KeyUses, noting_key_uses
from app.auth.caller import Caller
from app.auth.keys import KeyRing
from app.errors import NotAllowed, NotAuthenticated
from app.infra.postgres import DatabaseUnavailable, open_pool
from tests.conftest import FreshDatabase
from tests.integration.people import BY, SECRET, Town, open_town

CHAT = frozenset({"chat"})


@pytest.fixture
async def town(database: FreshDatabase) -> AsyncIterator[Town]:
    async with open_town(database) as town:
        yield town


async def test_a_users_key_is_theirs(town: Town) -> None:
    caller, user = await town.settle("own", "viewer")
    until = datetime.now(UTC) + timedelta(days=3)
    stored, key = await town.desk.make(caller, NewKey("laptop", CHAT, until, 30), BY)
    holder = await town.ring.caller(key)
    assert (holder.id, holder.user_id, holder.role) == (stored.id, user.id, "viewer")
    assert (holder.scopes, holder.requests_per_minute) == (CHAT, 30)
    assert (stored.name, stored.expires_at, stored.budget_usd) == ("laptop", until, None)
    assert key not in str(town.rows("SELECT * FROM api_keys"))
    assert key not in str(town.rows("SELECT * FROM audit_events"))
    again, _ = await town.desk.make(holder, NewKey("phone", CHAT), BY)
    assert (again.user_id, again.expires_at, again.requests_per_minute) == (user.id, until, 30)


@pytest.mark.parametrize("scopes", [{"admin"}, {"chat", "docs:write"}, {"docs:write"}])
async def test_no_key_may_do_more_than_its_maker(town: Town, scopes: set[str]) -> None:
    caller, _ = await town.settle("escalate", "viewer")
    _, key = await town.desk.make(caller, NewKey("k", CHAT), BY)
    boss = await town.operator("escalate", "admin")
    for maker in (caller, await town.ring.caller(key)):
        with pytest.raises(ScopeNotHeld):
            await town.desk.make(maker, NewKey("k", frozenset(scopes)), BY)
    with pytest.raises(ScopeNotHeld) as caught:
        await town.desk.make(boss, NewKey("k", frozenset({"admin", "chat"})), BY)
    assert caught.value.extras == {"missing_scopes": ["chat"]}


async def test_a_bounded_key_makes_none_with_wider_bounds(town: Town) -> None:
    caller, user = await town.settle("bounds", "viewer")
    now = datetime.now(UTC)
    bounded = NewKey("b", CHAT, now + timedelta(days=1), 10)
    stored, key = await town.desk.make(caller, bounded, BY)
    town.rows("UPDATE api_keys SET budget_usd = 2 WHERE id = %s", stored.id)
    holder = await town.ring.caller(key)
    for wanted, expected in (
        (NewKey("wide", CHAT, now + timedelta(days=9), 99), (stored.expires_at, 10, 2.0)),
        (NewKey("none", CHAT), (stored.expires_at, 10, 2.0)),
        (NewKey("less", CHAT, now + timedelta(hours=1), 3), (now + timedelta(hours=1), 3, 2.0)),
    ):
        made, _ = await town.desk.make(holder, wanted, BY)
        assert (made.expires_at, made.requests_per_minute, made.budget_usd) == expected
        assert made.user_id == user.id


async def test_budgets_are_for_administrators(town: Town) -> None:
    caller, _ = await town.settle("money", "editor")
    with pytest.raises(NotAllowed) as caught:
        await town.desk.make(caller, NewKey("k", CHAT, budget_usd=1), BY)
    assert caught.value.extras == {"required_scope": "admin"}
    boss, _ = await town.settle("money", "admin")
    stored, key = await town.desk.make(boss, NewKey("k", CHAT, budget_usd=1.5), BY)
    assert stored.budget_usd == 1.5
    assert (await town.ring.caller(key)).key_budget_usd == 1.5


async def test_others_keys_do_not_exist_but_for_administrators(town: Town) -> None:
    ann, _ = await town.settle("several", "viewer")
    bob, _ = await town.settle("several", "editor")
    boss, _ = await town.settle("several", "admin")
    foreign = await town.operator("elsewhere")
    stored, key = await town.desk.make(ann, NewKey("k", CHAT), BY)
    for stranger in (bob, foreign):
        for work in (
            town.desk.get(stranger, stored.id),
            town.desk.revoke(stranger, stored.id, BY),
        ):
            with pytest.raises(KeyNotFound):
                await work
        listed, _ = await town.desk.list(stranger, everybodys=False, after=None, limit=9)
        assert stored.id not in {one.id for one in listed}
    with pytest.raises(NotAllowed):
        await town.desk.list(bob, everybodys=True, after=None, limit=9)
    mine, _ = await town.desk.list(ann, everybodys=False, after=None, limit=9)
    assert [one.id for one in mine] == [stored.id]
    assert (await town.desk.get(boss, stored.id)).id == stored.id
    listed, _ = await town.desk.list(boss, everybodys=True, after=None, limit=99)
    assert stored.id in {one.id for one in listed}
    listed, _ = await town.desk.list(boss, everybodys=False, after=None, limit=99)
    assert listed == [], "those of nobody's are not the administrator's own"
    await town.desk.revoke(boss, stored.id, BY)
    with pytest.raises(NotAuthenticated):
        await town.ring.caller(key)
    await town.desk.revoke(ann, stored.id, BY)
    revoked = [event for event in town.events(ann.tenant_id) if event[0] == "key.revoke"]
    assert revoked == [("key.revoke", "ok", stored.id)], "once"


async def test_a_key_of_nobodys_needs_admin(town: Town) -> None:
    plain = await town.operator("plain", "chat", "docs:read")
    for work in (
        town.desk.make(plain, NewKey("k", CHAT), BY),
        town.desk.list(plain, everybodys=False, after=None, limit=9),
        town.desk.get(plain, plain.id),
        town.desk.revoke(plain, plain.id, BY),
    ):
        with pytest.raises(NotAllowed):
            await work
    boss = await town.operator("plain")
    stored, _ = await town.desk.make(boss, NewKey("k", CHAT), BY)
    assert stored.user_id is None
    listed, _ = await town.desk.list(boss, everybodys=False, after=None, limit=9)
    assert {one.id for one in listed} == {plain.id, boss.id, stored.id}


async def test_a_client_makes_no_keys(town: Town) -> None:
    """One made by an administrator would be nobody's, and so as good as an operator's."""
    tenant_id = (await town.operator("clients")).tenant_id
    client = Caller(tenant_id, "cli_1", frozenset({"admin", "chat"}), client_id="cli_1")
    with pytest.raises(NotAllowed):
        await town.desk.make(client, NewKey("k", CHAT), BY)


async def test_a_list_is_paged_newest_first(town: Town) -> None:
    caller, _ = await town.settle("pages", "viewer")
    made = [(await town.desk.make(caller, NewKey(f"k{n}", CHAT), BY))[0].id for n in range(5)]
    seen: list[str] = []
    more, after = True, None
    while more:
        found, more = await town.desk.list(caller, everybodys=False, after=after, limit=2)
        seen += [one.id for one in found]
        after = seen[-1]
    assert seen == made[::-1]


async def test_uses_are_written_down_together(town: Town, database: FreshDatabase) -> None:
    ann, _ = await town.settle("uses", "viewer")
    boss = await town.operator("other uses")
    keys = [await town.desk.make(who, NewKey("k", CHAT), BY) for who in (ann, boss)]
    async with open_pool(database.database_url, size=1, timeout_s=5) as pool:
        async with noting_key_uses(pool) as uses:
            ring = KeyRing(pool, SECRET, uses)
            for _, key in keys * 3:
                await ring.caller(key)
            assert [last_used(town, stored.id) for stored, _ in keys] == [None, None]
            await uses.flush()
            first = [last_used(town, stored.id) for stored, _ in keys]
            assert None not in first
            await ring.caller(keys[0][1])
        later = last_used(town, keys[0][0].id)
    assert first[0] is not None
    assert later is not None
    assert later > first[0], "the end writes down what is left"


async def test_uses_are_written_down_from_time_to_time(
    town: Town, database: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uses_module, "FLUSH_S", 0.01)
    caller, _ = await town.settle("times", "viewer")
    stored, _ = await town.desk.make(caller, NewKey("k", CHAT), BY)
    async with (
        open_pool(database.database_url, size=1, timeout_s=5) as pool,
        noting_key_uses(pool) as uses,
        asyncio.timeout(20),
    ):
        uses.note(stored.id)
        while last_used(town, stored.id) is None:  # noqa: ASYNC110 - a timer writes it
            await asyncio.sleep(0.01)


async def test_uses_are_kept_while_the_database_is_away(
    town: Town, database: FreshDatabase
) -> None:
    caller, _ = await town.settle("kept", "viewer")
    stored, _ = await town.desk.make(caller, NewKey("k", CHAT), BY)
    async with open_pool(database.database_url, size=1, timeout_s=0.2) as pool:
        uses = KeyUses(pool)
        uses.note(stored.id)
        async with pool.connection():  # there is only this one
            with pytest.raises(DatabaseUnavailable):
                await uses.flush()
        assert last_used(town, stored.id) is None
        await uses.flush()
    assert last_used(town, stored.id) is not None


def last_used(town: Town, key_id: str) -> datetime | None:
    [row] = town.rows("SELECT last_used_at FROM api_keys WHERE id = %s", key_id)
    found: datetime | None = row["last_used_at"]
    return found


async def test_keys_made_at_once_are_all_there(town: Town) -> None:
    caller, _ = await town.settle("many", "viewer")
    made = await asyncio.gather(*(town.desk.make(caller, NewKey("k", CHAT), BY) for _ in range(12)))
    assert len({key for _, key in made}) == 12
    listed, _ = await town.desk.list(caller, everybodys=False, after=None, limit=99)
    assert {one.id for one in listed} == {stored.id for stored, _ in made}
