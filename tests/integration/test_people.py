"""Who may come in, and who may change whom."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from app.auth.audit import Origin
from app.auth.caller import Caller, Role
from app.auth.keys import create_key
from app.auth.passwords import WeakPassword
from app.auth.people.account import NobodysCredential
from app.auth.people.invitations import InvitationNotFound
from app.auth.people.registration import InvitationInvalid, Registrant, RegistrationOff
from app.auth.people.roster import Change, LastOwner, UserNotFound
from app.auth.user_store import EmailTaken, MemberListing, SignsInElsewhere, find_user
from app.errors import NotAllowed, NotAuthenticated
from app.limits.rates import RateLimited
from tests.conftest import FreshDatabase
from tests.integration.people import (
    BY,
    PASSWORD,
    SECRET,
    Town,
    open_town,
    signed_in,
)


@pytest.fixture
async def town(database: FreshDatabase) -> AsyncIterator[Town]:
    async with open_town(database) as town:
        yield town


def somebody(name: str, code: str | None = None) -> Registrant:
    return Registrant(f"{name}@example.com", "Ann", PASSWORD, code)


async def invite(town: Town, tenant: str, role: Role = "editor", email: str | None = None) -> str:
    operator = await town.operator(tenant)
    _, code = await town.invitations.make(operator, email=email, role=role, days=1, by=BY)
    return code


class TestRegistering:
    async def test_an_invitation_lets_one_person_in_with_its_role(self, town: Town) -> None:
        code = await invite(town, "inn", "viewer")
        member = await town.registration("invite").register(somebody("one", code), BY)
        assert member.user.tenant_id == tenant_id_of_town(town, "inn")
        assert (member.user.role, member.user.email) == ("viewer", "one@example.com")
        with pytest.raises(InvitationInvalid):
            await town.registration("invite").register(somebody("two", code), BY)
        [row] = town.rows("SELECT * FROM invitations WHERE used_by = %s", member.user.id)
        assert row["used_at"] is not None
        assert code not in str(town.rows("SELECT * FROM invitations"))
        [event] = town.rows("SELECT * FROM audit_events WHERE target = %s", member.user.id)
        assert (event["action"], event["actor"], event["ip"]) == (
            "user.register", member.user.id, BY.ip,
        )  # fmt: skip

    async def test_of_many_with_one_code_one_comes_in(self, town: Town) -> None:
        code = await invite(town, "crowd")
        registration = town.registration("invite")
        came = await asyncio.gather(
            *(registration.register(somebody(f"crowd{n}", code), BY) for n in range(12)),
            return_exceptions=True,
        )
        assert [isinstance(one, InvitationInvalid) for one in came].count(False) == 1
        tenant_id = tenant_id_of_town(town, "crowd")
        assert len(town.rows("SELECT FROM users WHERE tenant_id = %s", tenant_id)) == 1

    @pytest.mark.parametrize("mode", ["invite", "open"])
    async def test_a_code_that_is_none_lets_nobody_in(self, town: Town, mode: str) -> None:
        lapsed, withdrawn, anothers = (
            await invite(town, mode),
            await invite(town, mode),
            await invite(town, mode, email="bob@example.com"),
        )
        operator = await town.operator(mode)
        town.rows(
            "UPDATE invitations SET expires_at = now() WHERE id = (SELECT id FROM invitations"
            " WHERE tenant_id = %s ORDER BY created_at LIMIT 1)",
            operator.tenant_id,
        )
        listed, _ = await town.invitations.list(operator.tenant_id, after=None, limit=2)
        await town.invitations.withdraw(operator.tenant_id, listed[1].id, BY)
        for code in (lapsed, withdrawn, anothers, "", "x", "\0", "\ud800", "' OR true --"):
            with pytest.raises(InvitationInvalid):
                await town.registration(mode).register(somebody("none", code), BY)  # type: ignore[arg-type]
        assert await find_user(town.pool, email="none@example.com") is None

    async def test_who_is_not_invited_is_told_nothing_of_anybody(self, town: Town) -> None:
        _, user = await town.settle("silent", "editor")
        taken = Registrant(user.email, "Ann", PASSWORD)
        for mode, refusal in (("off", RegistrationOff), ("invite", InvitationInvalid)):
            for wanted in (taken, somebody("free")):
                with pytest.raises(refusal):
                    await town.registration(mode).register(wanted, BY)  # type: ignore[arg-type]

    async def test_who_is_invited_learns_that_an_address_is_taken(self, town: Town) -> None:
        """Also by whom in another tenant; and the invitation stays good."""
        _, user = await town.settle("elsewhere", "editor")
        code = await invite(town, "taken")
        with pytest.raises(EmailTaken):
            await town.registration("invite").register(
                Registrant(user.email, "Ann", PASSWORD, code), BY
            )
        await town.registration("invite").register(somebody("not-taken", code), BY)

    async def test_open_registration_makes_a_tenant_and_joins_none(self, town: Town) -> None:
        before = {row["id"] for row in town.rows("SELECT id FROM tenants")}
        for name in ("o1", "o2"):
            member = await town.registration("open").register(somebody(name), BY)
            assert member.user.role == "owner"
            assert member.user.tenant_id not in before
            before.add(member.user.tenant_id)
        made = await town.registration("open").register(replace(somebody("o3"), name="default"), BY)
        key = create_key(town.url, SECRET, tenant="default", name="operator")
        assert (await town.ring.caller(key)).tenant_id != made.user.tenant_id, (
            "nobody waits in a tenant that an operator is going to make"
        )

    async def test_an_address_that_is_taken_leaves_no_tenant(self, town: Town) -> None:
        await town.registration("open").register(somebody("twice"), BY)
        before = town.rows("SELECT count(*) FROM tenants")
        with pytest.raises(EmailTaken):
            await town.registration("open").register(somebody("twice"), BY)
        assert town.rows("SELECT count(*) FROM tenants") == before

    async def test_failures_count_and_success_does_not(self, town: Town) -> None:
        await town.registration("open").register(somebody("count"), BY)
        assert town.attempts.failed == 0
        weak = replace(somebody("weak"), password="weak@example.com")
        with pytest.raises(WeakPassword):
            await town.registration("open").register(weak, BY)
        assert town.attempts.failed == 0
        town.attempts.most = 3
        for _ in range(3):
            with pytest.raises(EmailTaken):
                await town.registration("open").register(somebody("count"), BY)
        with pytest.raises(RateLimited):
            await town.registration("open").register(somebody("count"), BY)


def tenant_id_of_town(town: Town, tenant: str) -> str:
    [row] = town.rows("SELECT id FROM tenants WHERE name = %s", tenant)
    return str(row["id"])


class TestAdministering:
    async def test_only_owners_change_owners_or_make_them(self, town: Town) -> None:
        _, owner = await town.settle("ranks", "owner")
        admin, _ = await town.settle("ranks", "admin")
        _, viewer = await town.settle("ranks", "viewer")
        for user, change in (
            (owner, Change(role="viewer")), (owner, Change(suspended=True)),
            (owner, Change(name="Bob")), (viewer, Change(role="owner")),
        ):  # fmt: skip
            with pytest.raises(NotAllowed):
                await town.roster.change(admin, user.id, change, BY)
        with pytest.raises(NotAllowed):
            await town.roster.reset_password(admin, owner.id, BY)
        with pytest.raises(NotAllowed):
            await town.invitations.make(admin, email=None, role="owner", days=1, by=BY)
        changed = await town.roster.change(admin, viewer.id, Change(role="admin"), BY)
        assert changed.user.role == "admin"
        for boss in (await town.operator("ranks"), signed_in(owner)):
            promoted = await town.roster.change(boss, viewer.id, Change(role="owner"), BY)
            assert promoted.user.role == "owner"
            await town.roster.change(boss, viewer.id, Change(role="viewer"), BY)
        client = Caller(owner.tenant_id, "cli_1", frozenset({"admin"}))
        with pytest.raises(NotAllowed):
            await town.roster.change(client, viewer.id, Change(role="owner"), BY)

    async def test_nobody_changes_their_own_role(self, town: Town) -> None:
        await town.settle("self", "owner")
        for role in ("owner", "admin"):
            caller, user = await town.settle("self", role)  # type: ignore[arg-type]
            for new in ("editor", "viewer"):
                with pytest.raises(NotAllowed, match="own role"):
                    await town.roster.change(caller, user.id, Change(role=new), BY)  # type: ignore[arg-type]
            same = await town.roster.change(caller, user.id, Change(name="Eve", role=role), BY)  # type: ignore[arg-type]
            assert same.user.name == "Eve"

    @pytest.mark.parametrize("change", [Change(role="admin"), Change(suspended=True)])
    async def test_the_last_owner_stays(self, town: Town, change: Change) -> None:
        operator = await town.operator("last")
        owners = [await town.settle("last", "owner") for _ in range(2)]
        for row in town.rows("SELECT id FROM users WHERE tenant_id = %s", operator.tenant_id):
            if row["id"] not in {user.id for _, user in owners}:
                town.rows("UPDATE users SET suspended_at = now() WHERE id = %s", row["id"])
        (_, first), (caller, second) = owners
        await town.roster.change(operator, first.id, change, BY)
        for boss in (operator, caller):
            with pytest.raises((LastOwner, NotAllowed)):
                await town.roster.change(boss, second.id, change, BY)
        with pytest.raises(LastOwner):
            await town.roster.change(operator, second.id, change, BY)
        [row] = town.rows("SELECT role, suspended_at FROM users WHERE id = %s", second.id)
        assert (row["role"], row["suspended_at"]) == ("owner", None)

    @pytest.mark.parametrize("by_operator", [True, False])
    async def test_two_owners_cannot_depose_each_other(self, town: Town, by_operator: bool) -> None:
        """Ten times, because a race that is lost once in a while is a race."""
        tenant = f"race {by_operator}"
        operator = await town.operator(tenant)
        for _ in range(10):
            town.rows("UPDATE users SET role = 'viewer' WHERE tenant_id = %s", operator.tenant_id)
            (one, first), (other, second) = [await town.settle(tenant, "owner") for _ in range(2)]
            done = await asyncio.gather(
                town.roster.change(
                    operator if by_operator else one, second.id, Change(role="editor"), BY
                ),
                town.roster.change(
                    operator if by_operator else other, first.id, Change(suspended=True), BY
                ),
                return_exceptions=True,
            )
            [failed] = [one for one in done if isinstance(one, Exception)]
            assert isinstance(failed, LastOwner if by_operator else NotAllowed)
            left = town.rows(
                "SELECT FROM users WHERE tenant_id = %s AND role = 'owner'"
                " AND suspended_at IS NULL",
                operator.tenant_id,
            )
            assert len(left) == 1

    async def test_a_role_or_suspension_holds_for_keys_at_once(self, town: Town) -> None:
        operator = await town.operator("at once")
        _, user = await town.settle("at once", "editor")
        key = create_key(town.url, SECRET, tenant="at once", name="k")
        caller = await town.ring.caller(key)
        town.rows("UPDATE api_keys SET user_id = %s WHERE id = %s", user.id, caller.id)
        assert (await town.ring.caller(key)).scopes == {"chat", "docs:read", "docs:write"}
        await town.roster.change(operator, user.id, Change(role="viewer"), BY)
        assert (await town.ring.caller(key)).scopes == {"chat", "docs:read"}
        await town.roster.change(operator, user.id, Change(suspended=True), BY)
        with pytest.raises(NotAuthenticated):
            await town.ring.caller(key)
        await town.roster.change(operator, user.id, Change(suspended=False), BY)
        assert (await town.ring.caller(key)).user_id == user.id
        found = await find_user(town.pool, user_id=user.id)
        assert found is not None
        assert found.tokens_since > user.tokens_since, "tokens from before stay void"
        assert town.events(user.tenant_id)[-3:] == [
            ("user.role", "ok", user.id),
            ("user.suspend", "ok", user.id),
            ("user.readmit", "ok", user.id),
        ]

    async def test_what_changes_nothing_is_not_written_down(self, town: Town) -> None:
        operator = await town.operator("still")
        _, user = await town.settle("still", "editor")
        before = len(town.events(user.tenant_id))
        for change in (Change(), Change(user.name, user.role, suspended=False)):
            assert (await town.roster.change(operator, user.id, change, BY)).user == user
        assert len(town.events(user.tenant_id)) == before

    async def test_a_demoted_administrators_request_under_way_does_nothing(
        self, town: Town
    ) -> None:
        operator = await town.operator("demoted")
        stale, admin = await town.settle("demoted", "admin")
        _, viewer = await town.settle("demoted", "viewer")
        await town.roster.change(operator, admin.id, Change(role="viewer"), BY)
        for work in (
            town.roster.change(stale, viewer.id, Change(role="admin"), BY),
            town.roster.reset_password(stale, viewer.id, BY),
            town.invitations.make(stale, email=None, role="viewer", days=1, by=BY),
        ):
            with pytest.raises(NotAllowed):
                await work

    async def test_people_of_others_do_not_exist(self, town: Town) -> None:
        _, user = await town.settle("theirs", "viewer")
        stranger = await town.operator("mine")
        await invite(town, "theirs")
        listed, _ = await town.invitations.list(user.tenant_id, after=None, limit=9)
        for work in (
            town.roster.get(stranger.tenant_id, user.id),
            town.roster.change(stranger, user.id, Change(name="x"), BY),
            town.roster.reset_password(stranger, user.id, BY),
        ):
            with pytest.raises(UserNotFound):
                await work
        with pytest.raises(InvitationNotFound):
            await town.invitations.withdraw(stranger.tenant_id, listed[0].id, BY)
        everybody = MemberListing(100, "")
        assert await town.roster.list(stranger.tenant_id, everybody) == ([], False)

    async def test_a_list_is_narrowed_and_paged(self, town: Town) -> None:
        operator = await town.operator("list")
        users = [(await town.settle("list", role))[1] for role in ("owner", "editor", "viewer")]
        tenant_id = operator.tenant_id
        found, more = await town.roster.list(tenant_id, MemberListing(2, ""))
        rest, end = await town.roster.list(tenant_id, MemberListing(2, found[-1].user.id))
        assert (more, end) == (True, False)
        assert [m.user.id for m in (*found, *rest)] == sorted(user.id for user in users)
        [one], _ = await town.roster.list(
            tenant_id, MemberListing(9, "", part=users[1].email[3:15].upper())
        )
        assert one.user == users[1]
        [one], _ = await town.roster.list(tenant_id, MemberListing(9, "", role="viewer"))
        assert one.user == users[2]
        for part in ("%", "_", "' OR true --", "\\"):
            assert (await town.roster.list(tenant_id, MemberListing(9, "", part=part)))[0] == []

    async def test_who_signs_in_elsewhere_gets_no_password(self, town: Town) -> None:
        operator = await town.operator("oidc")
        caller, user = await town.settle("oidc", "viewer")
        town.rows("UPDATE users SET oidc_issuer = 'i', oidc_subject = 's' WHERE id = %s", user.id)
        with pytest.raises(SignsInElsewhere):
            await town.roster.reset_password(operator, user.id, BY)
        assert ("password.reset", "ok", user.id) not in town.events(user.tenant_id)
        with pytest.raises(SignsInElsewhere):
            await town.account.change_password(caller, PASSWORD, "another good one", BY)


class TestOneself:
    async def test_logging_out_voids_tokens(self, town: Town) -> None:
        caller, user = await town.settle("out", "viewer")
        await town.account.log_out(caller, Origin(user.id, user.id))
        found = await find_user(town.pool, user_id=user.id)
        assert found is not None
        assert found.tokens_since > user.tokens_since
        assert town.events(user.tenant_id)[-1] == ("logout", "ok", user.id)

    async def test_a_key_of_nobodys_has_nobody_to_change(self, town: Town) -> None:
        operator = await town.operator("nobody")
        known = await town.account.describe(operator)
        assert (known.tenant_name, known.member) == ("nobody", None)
        assert known.key is not None
        assert known.key.id == operator.id
        for work in (
            town.account.log_out(operator, BY),
            town.account.rename(operator, "Ann", BY),
            town.account.change_password(operator, "a", "another good one", BY),
        ):
            with pytest.raises(NobodysCredential):
                await work

    async def test_a_user_has_a_name_of_their_own(self, town: Town) -> None:
        caller, user = await town.settle("me", "viewer")
        known = await town.account.rename(caller, "Eve", BY)
        assert known.member is not None
        assert (known.member.user.name, known.key) == ("Eve", None)
        assert town.events(user.tenant_id)[-1] == ("user.rename", "ok", user.id)


async def test_a_user_of_another_tenant_is_not_described(town: Town) -> None:
    """A credential that mixed up two tenants would show nothing of the other."""
    _, user = await town.settle("theirs", "viewer")
    mixed = Caller((await town.operator("mine")).tenant_id, user.id, frozenset(), user_id=user.id)
    assert (await town.account.describe(mixed)).member is None
