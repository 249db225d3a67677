"""Signing in: right or wrong, and nothing else is told; failures are counted exactly."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from argon2 import PasswordHasher

from app.auth import login
from app.auth.login import Logins, OldPasswordWrong, WrongPassword
from app.auth.passwords import Passwords
from app.auth.people.roster import Change
from app.auth.user_store import find_with_password
from app.errors import NotAuthenticated
from app.infra.redis import Guarded, open_redis
from app.infra.servers import ServerUrls
from app.limits.logins import LoginLimits, LoginsUnavailable
from app.limits.rates import RateLimited
from app.settings import Settings
from tests.conftest import FreshDatabase
from tests.integration.people import BY, PASSWORD, Town, open_town
from tests.integration.redis_door import RedisDoor

IP = "192.0.2.7"


@pytest.fixture
async def town(database: FreshDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    monkeypatch.setattr(login, "REFUSAL_S", 0.0)
    async with open_town(database) as town:
        yield town


async def test_the_right_password_signs_in_and_is_written_down(town: Town) -> None:
    _, user = await town.settle("sign in", "editor")
    assert await town.logins.check(user.email.upper(), PASSWORD, ip=IP, request_id="r9") == user
    [row] = town.rows("SELECT * FROM audit_events WHERE action = 'login'")
    assert (row["outcome"], row["actor"], row["user_id"], row["target"]) == (
        "ok", user.id, user.id, user.id,
    )  # fmt: skip
    assert (row["ip"], row["request_id"]) == (IP, "r9")
    [row] = town.rows("SELECT last_login_at FROM users WHERE id = %s", user.id)
    assert row["last_login_at"] is not None
    assert town.attempts.failed == 0


@pytest.mark.parametrize("wrong", ["", PASSWORD + "x", PASSWORD.upper(), "\0", "\ud800"])
async def test_a_wrong_password_is_refused_and_written_down(town: Town, wrong: str) -> None:
    _, user = await town.settle("sign in", "editor")
    with pytest.raises(WrongPassword):
        await town.logins.check(user.email, wrong, ip=IP)
    assert town.events(user.tenant_id)[-1] == ("login", "refused", user.id)
    assert town.attempts.failed == 1
    kept = str(town.rows("SELECT * FROM audit_events"))
    assert PASSWORD not in kept


async def test_unknown_wrong_and_suspended_look_alike(town: Town) -> None:
    operator = await town.operator("alike")
    _, shut_out = await town.settle("alike", "viewer")
    _, user = await town.settle("alike", "viewer")
    await town.roster.change(operator, shut_out.id, Change(suspended=True), BY)
    told = set()
    for email, password in (
        (user.email, "a wrong password"), (shut_out.email, PASSWORD), (shut_out.email, "wrong"),
        ("nobody@example.com", PASSWORD), ("", PASSWORD), ("no address", PASSWORD),
        ("a\0b@example.com", PASSWORD), ("\ud800@example.com", PASSWORD), ("x" * 9999, PASSWORD),
    ):  # fmt: skip
        with pytest.raises(NotAuthenticated) as caught:
            await town.logins.check(email, password, ip=IP)
        told.add((caught.value.code, caught.value.status, caught.value.detail))
    assert len(told) == 1
    assert town.attempts.failed == 9


async def test_no_refusal_is_faster_than_another(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "REFUSAL_S", 0.4)
    _, user = await town.settle("timing", "viewer")
    for email in (user.email, "nobody@example.com"):
        began = time.perf_counter()
        with pytest.raises(WrongPassword):
            await town.logins.check(email, "a wrong password", ip=IP)
        assert time.perf_counter() - began >= 0.4


async def test_a_password_of_other_costs_is_hashed_anew(town: Town) -> None:
    _, user = await town.settle("rehash", "viewer")
    dearer = Passwords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    await Logins(town.pool, dearer, town.attempts).check(user.email, PASSWORD, ip=IP)
    found = await find_with_password(town.pool, user_id=user.id)
    assert found is not None
    assert found[1] is not None
    assert "t=2" in found[1]
    assert await dearer.verify(PASSWORD, found[1])


async def test_a_temporary_password_lapses(town: Town) -> None:
    operator = await town.operator("lapse")
    _, user = await town.settle("lapse", "viewer")
    password = await town.roster.reset_password(operator, user.id, BY)
    assert (await town.logins.check(user.email, password, ip=IP)).id == user.id
    with pytest.raises(WrongPassword):
        await town.logins.check(user.email, PASSWORD, ip=IP)
    town.rows("UPDATE users SET password_until = now() WHERE id = %s", user.id)
    with pytest.raises(WrongPassword):
        await town.logins.check(user.email, password, ip=IP)


async def test_a_new_password_needs_the_old_one_and_voids_tokens(town: Town) -> None:
    caller, user = await town.settle("change", "viewer")
    with pytest.raises(OldPasswordWrong):
        await town.account.change_password(caller, "a wrong password", "another good one", BY)
    assert town.attempts.failed == 1, "a stolen token does not guess for nothing"
    await town.account.change_password(caller, PASSWORD, "another good one", BY)
    changed = await town.logins.check(user.email, "another good one", ip=IP)
    assert changed.tokens_since > user.tokens_since
    with pytest.raises(WrongPassword):
        await town.logins.check(user.email, PASSWORD, ip=IP)
    assert ("password.change", "ok", user.id) in town.events(user.tenant_id)


def limits(client: Guarded, *, per_ip: int = 1000, per_email: int = 1000) -> LoginLimits:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        login_failures_per_minute_per_ip=per_ip,
        login_failures_per_minute_per_email=per_email,
    )
    return LoginLimits(client, settings)


async def passed(attempts: LoginLimits, ip: str, email: str) -> bool:
    try:
        await attempts.take(ip, email)
    except RateLimited as error:
        return not 0 < error.retry_after_s <= 60  # a refusal says until when
    return True


@pytest.mark.parametrize("apart", ["ip", "email"])
async def test_of_many_at_once_as_many_may_fail_as_the_limit_says(
    servers: ServerUrls, apart: str
) -> None:
    """Four workers, a hundred attempts on one address from everywhere, or from one on all."""
    async with AsyncExitStack() as stack:
        fleet = [
            limits(
                Guarded(
                    await stack.enter_async_context(open_redis(servers.redis_url, timeout_s=5))
                ),
                **({"per_email": 7} if apart == "ip" else {"per_ip": 7}),
            )
            for _ in range(4)
        ]
        shared = uuid.uuid4().hex
        fresh = [uuid.uuid4().hex for _ in range(100)]
        who = [(one, shared) if apart == "ip" else (shared, one) for one in fresh]
        let = await asyncio.gather(*(passed(fleet[n % 4], *pair) for n, pair in enumerate(who)))
        assert let.count(True) == 7
        first = who[let.index(True)]
        await fleet[0].give_back(*first)
        again = await asyncio.gather(*(passed(fleet[n % 4], *pair) for n, pair in enumerate(who)))
        assert again.count(True) == 1, "what succeeded counts no more, and nothing else is cleared"


async def test_nothing_is_given_back_twice(servers: ServerUrls) -> None:
    async with open_redis(servers.redis_url, timeout_s=5) as client:
        attempts, ip = limits(Guarded(client), per_ip=2), uuid.uuid4().hex
        for _ in range(5):
            await attempts.give_back(ip, "a@example.com")
        let = [await passed(attempts, ip, "a@example.com") for _ in range(3)]
        assert let == [True, True, False]
        windows = await client.zrange("logins:ends", 0, -1, withscores=True)
        [(name, ends_ms)] = [(name, ends) for name, ends in windows if ip.encode() in name]
        assert name == f"ip:{ip}".encode()
        seconds, micros = await client.time()
        assert 0 < ends_ms - seconds * 1000 - micros / 1000 <= 60_000
        assert not [name for name, _ in windows if b"example" in name], "no list of people"


async def test_without_redis_nobody_is_let_try(servers: ServerUrls, town: Town) -> None:
    _, user = await town.settle("closed", "viewer")
    door = RedisDoor(servers.redis_url)
    await door.open()
    try:
        async with open_redis(door.url, timeout_s=0.2) as client:
            guarded = Guarded(client, left_alone_s=0.05)
            logins = Logins(town.pool, town.passwords, limits(guarded))
            assert (await logins.check(user.email, PASSWORD, ip=uuid.uuid4().hex)).id == user.id
            door.hold()  # it is frozen
            for _ in range(2):
                with pytest.raises(LoginsUnavailable) as caught:
                    await logins.check(user.email, PASSWORD, ip=uuid.uuid4().hex)
            assert (caught.value.status, caught.value.retry_after_s) == (503, 2)
            await door.close()  # it is gone
            with pytest.raises(LoginsUnavailable):
                await logins.check(user.email, PASSWORD, ip=uuid.uuid4().hex)
            await door.open()
            door.let_go()
            async with asyncio.timeout(20):
                while True:
                    try:
                        await logins.check(user.email, PASSWORD, ip=uuid.uuid4().hex)
                    except LoginsUnavailable:
                        await asyncio.sleep(0)
                    else:
                        break
    finally:
        await door.close()
