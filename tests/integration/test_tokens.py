"""Tokens from being issued to being void: renewed once, replayed never, revoked at once."""

import asyncio
from collections.abc import AsyncIterator

import jwt
import pytest

from app.auth.caller import Role
from app.auth.people.roster import Change
from app.auth.tokens import RefreshRefused
from app.auth.user_store import find_user
from app.errors import NotAuthenticated
from app.infra.postgres import fetch_all, tenant_transaction
from tests.conftest import FreshDatabase
from tests.integration.people import BY
from tests.integration.token_parts import ISSUER, Mint, open_mint


@pytest.fixture
async def mint(database: FreshDatabase) -> AsyncIterator[Mint]:
    async with open_mint(database) as mint:
        yield mint


async def refused(mint: Mint, *tokens: str) -> bool:
    """Whether none of them lets anybody in."""
    for token in tokens:
        with pytest.raises(NotAuthenticated):
            await mint.credentials.caller(token)
    return True


async def test_a_token_stands_for_its_user(mint: Mint) -> None:
    user = await mint.user()
    pair = await mint.tokens.issue(user, client_id=None)
    caller = await mint.credentials.caller(pair.access_token)
    assert (caller.tenant_id, caller.id, caller.user_id, caller.role, caller.scopes) == (
        user.tenant_id, user.id, user.id, "editor", user.scopes,
    )  # fmt: skip
    claims = jwt.decode(pair.access_token, options={"verify_signature": False})
    assert (claims["iss"], claims["aud"], claims["sub"]) == (ISSUER, ISSUER, user.id)
    assert claims["exp"] - claims["iat"] == pair.expires_in_s == 900
    assert jwt.get_unverified_header(pair.access_token)["typ"] == "at+jwt"


async def test_a_stock_library_verifies_it_by_the_published_keys(mint: Mint) -> None:
    pair = await mint.tokens.issue(await mint.user(), client_id=None)
    keys = jwt.PyJWKSet.from_dict({"keys": await mint.keys.published()})
    kid = jwt.get_unverified_header(pair.access_token)["kid"]
    key = next(key for key in keys.keys if key.key_id == kid)
    jwt.decode(pair.access_token, key, algorithms=["ES256"], audience=ISSUER, issuer=ISSUER)
    assert all("d" not in published for published in await mint.keys.published())


async def test_a_token_may_do_what_it_and_the_role_allow(mint: Mint) -> None:
    user = await mint.user("scoped")
    pair = await mint.tokens.issue(user, client_id=None, scopes=["chat", "docs:write", "admin"])
    assert pair.scopes == {"chat", "docs:write"}
    operator = await mint.town.operator("scoped")
    role: Role
    for role, may in (("viewer", {"chat"}), ("owner", {"chat", "docs:write"})):
        await mint.town.roster.change(operator, user.id, Change(role=role), BY)
        assert (await mint.tokens.caller(pair.access_token)).scopes == may


@pytest.mark.parametrize("how", ["suspended", "password", "logged out"])
async def test_what_happens_to_the_user_holds_for_the_next_request(mint: Mint, how: str) -> None:
    user = await mint.user("next")
    operator = await mint.town.operator("next")
    pair = await mint.tokens.issue(user, client_id=None)
    caller = await mint.tokens.caller(pair.access_token)
    match how:
        case "suspended":
            await mint.town.roster.change(operator, user.id, Change(suspended=True), BY)
        case "password":
            await mint.town.roster.reset_password(operator, user.id, BY)
        case _:
            await mint.town.account.log_out(caller, BY)
    assert await refused(mint, pair.access_token)
    with pytest.raises(RefreshRefused):
        await mint.tokens.refresh(pair.refresh_token or "", client_id=None)
    with pytest.raises(NotAuthenticated):  # whoever signed in before it happened is too late
        await mint.tokens.issue(user, client_id=None)
    if how == "suspended":
        await mint.town.roster.change(operator, user.id, Change(suspended=False), BY)
        assert await refused(mint, pair.access_token)
    elif again := await find_user(mint.town.pool, user_id=user.id):
        pair = await mint.tokens.issue(again, client_id=None)
        assert (await mint.tokens.caller(pair.access_token)).id == user.id


async def test_a_refresh_token_is_good_once_and_for_nothing_else(mint: Mint) -> None:
    pair = await mint.tokens.issue(await mint.user(), client_id=None)
    assert pair.refresh_token
    assert await refused(mint, pair.refresh_token)
    second = await mint.tokens.refresh(pair.refresh_token, client_id=None)
    assert second.refresh_token
    assert second.refresh_token != pair.refresh_token
    third = await mint.tokens.refresh(
        second.refresh_token, client_id=None, scopes=frozenset({"chat", "admin"})
    )
    assert third.scopes == {"chat"}
    assert third.refresh_token
    assert (await mint.tokens.refresh(third.refresh_token, client_id=None)).scopes == pair.scopes


async def test_a_replay_ends_the_family_and_no_other(mint: Mint) -> None:
    user = await mint.user("replay")
    pair = await mint.tokens.issue(user, client_id=None)
    other = await mint.tokens.issue(user, client_id=None)
    second = await mint.tokens.refresh(pair.refresh_token or "", client_id=None)
    with pytest.raises(RefreshRefused):
        await mint.tokens.refresh(pair.refresh_token or "", client_id=None)
    with pytest.raises(RefreshRefused):
        await mint.tokens.refresh(second.refresh_token or "", client_id=None)
    assert await refused(mint, pair.access_token, second.access_token)
    assert (await mint.tokens.caller(other.access_token)).id == user.id
    assert ("token.replay", "refused") in {e[:2] for e in mint.town.events(user.tenant_id)}


async def test_of_fifty_at_once_one_is_served_and_the_family_ends(mint: Mint) -> None:
    pair = await mint.tokens.issue(await mint.user(), client_id=None)
    tries = [mint.tokens.refresh(pair.refresh_token or "", client_id=None) for _ in range(50)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    [served] = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert all(isinstance(o, RefreshRefused) for o in outcomes if o is not served)
    with pytest.raises(RefreshRefused):
        await mint.tokens.refresh(served.refresh_token or "", client_id=None)
    assert await refused(mint, served.access_token)


async def test_another_client_neither_renews_nor_ends_it(mint: Mint) -> None:
    pair = await mint.tokens.issue(await mint.user(), client_id=None)
    with pytest.raises(RefreshRefused):
        await mint.tokens.refresh(pair.refresh_token or "", client_id="cli_other")
    await mint.tokens.revoke(pair.refresh_token or "", client_id="cli_other")
    await mint.tokens.revoke(pair.access_token, client_id="cli_other")
    assert (await mint.tokens.refresh(pair.refresh_token or "", client_id=None)).refresh_token


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_revoking_either_ends_both(mint: Mint, kind: str) -> None:
    pair = await mint.tokens.issue(await mint.user(), client_id=None)
    await mint.tokens.revoke(getattr(pair, kind), client_id=None)
    await mint.tokens.revoke(getattr(pair, kind), client_id=None)
    assert await refused(mint, pair.access_token)
    with pytest.raises(RefreshRefused):
        await mint.tokens.refresh(pair.refresh_token or "", client_id=None)


@pytest.mark.parametrize("token", ["", "dr_x", "a.b.c", "\0", "é", "x" * 100_000, "x" * 129])
async def test_what_is_no_token_renews_and_revokes_nothing(mint: Mint, token: str) -> None:
    await mint.tokens.revoke(token, client_id=None)
    with pytest.raises(RefreshRefused):
        await mint.tokens.refresh(token, client_id=None)


async def test_lapsed_refresh_tokens_are_refused_and_forgotten(mint: Mint) -> None:
    user = await mint.user("lapse")
    pair = await mint.tokens.issue(user, client_id=None)
    kept = await mint.tokens.issue(user, client_id=None)
    [family] = mint.town.rows(
        "UPDATE refresh_tokens SET expires_at = now() WHERE family_id = %s RETURNING family_id",
        (await family_of(mint, pair.access_token)),
    )
    with pytest.raises(RefreshRefused):
        await mint.tokens.refresh(pair.refresh_token or "", client_id=None)
    assert (await mint.tokens.caller(pair.access_token)).id == user.id, "it was not replayed"
    mint.town.rows(
        "UPDATE token_families SET expires_at = now() WHERE id = %s", family["family_id"]
    )
    await fetch_all(mint.town.pool, "SELECT forget_lapsed_tokens()", {})
    left = mint.town.rows("SELECT id FROM token_families WHERE user_id = %s", user.id)
    assert [row["id"] for row in left] == [await family_of(mint, kept.access_token)]


async def family_of(mint: Mint, access_token: str) -> str:
    claims = jwt.decode(access_token, options={"verify_signature": False})
    return str(claims["family"])


async def test_no_token_is_stored(mint: Mint) -> None:
    user = await mint.user("stored")
    pair = await mint.tokens.issue(user, client_id=None)
    async with tenant_transaction(mint.town.pool, user.tenant_id) as connection:
        cursor = await connection.execute(
            "SELECT f::text || r::text AS kept"
            " FROM token_families f JOIN refresh_tokens r ON r.family_id = f.id"
        )
        kept = "".join(row["kept"] for row in await cursor.fetchall())
    assert kept
    assert (pair.refresh_token or "")[3:] not in kept
    assert pair.access_token not in kept
