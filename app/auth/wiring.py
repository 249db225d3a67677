"""Assembly of what is about people, for the page of the whole house."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from app.auth.login import Attempts, Logins
from app.auth.oauth.clients import Clients
from app.auth.oauth.codes import Codes
from app.auth.oauth.openid import OpenId
from app.auth.oauth.openid_users import OpenIdUsers
from app.auth.oauth.pages import Pages
from app.auth.oauth.visits import Visits
from app.auth.passwords import Passwords
from app.auth.people.account import Account
from app.auth.people.invitations import Invitations
from app.auth.people.registration import Registration
from app.auth.people.roster import Roster
from app.auth.signing_keys import SigningKeys
from app.auth.tokens import Tokens
from app.auth.workspaces.service import Workspaces
from app.infra.postgres import Pool
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class People:
    """Who they are, how they come in, and what they are let in with."""

    logins: Logins
    registration: Registration
    account: Account
    roster: Roster
    workspaces: Workspaces
    invitations: Invitations
    signing_keys: SigningKeys
    tokens: Tokens
    issuer: str
    clients: Clients
    codes: Codes
    visits: Visits
    pages: Pages
    #: None = nobody signs in elsewhere.
    openid: OpenId | None
    openid_users: OpenIdUsers | None


def assemble_people(settings: Settings, pool: Pool, secret: bytes, attempts: Attempts) -> People:
    """Build them; nothing is opened, so nothing needs closing."""
    passwords = Passwords()
    logins = Logins(pool, passwords, attempts)
    invitations = Invitations(pool, secret)
    mode = settings.registration
    keys = SigningKeys(
        pool,
        secret,
        rotation_days=settings.signing_key_rotation_days,
        token_ttl_s=settings.access_token_ttl_s,
    )
    tokens = Tokens(pool, secret, keys, settings)
    openid, openid_users = _elsewhere(settings, pool, secret)
    return People(
        logins=logins,
        registration=Registration(pool, passwords, attempts, invitations, mode=mode),
        account=Account(pool, passwords, logins),
        roster=Roster(pool, passwords),
        workspaces=Workspaces(pool),
        invitations=invitations,
        signing_keys=keys,
        tokens=tokens,
        issuer=settings.issuer,
        clients=Clients(pool, secret),
        codes=Codes(pool, secret, tokens),
        visits=Visits(pool, secret, settings.issuer),
        pages=Pages(settings.issuer, urlsplit(settings.oidc_issuer or "").hostname),
        openid=openid,
        openid_users=openid_users,
    )


def _elsewhere(
    settings: Settings, pool: Pool, secret: bytes
) -> tuple[OpenId, OpenIdUsers] | tuple[None, None]:
    if settings.oidc_issuer is None or settings.oidc_tenant is None:
        return None, None
    users = OpenIdUsers(
        pool, settings.oidc_issuer, tenant=settings.oidc_tenant, role=settings.oidc_role
    )
    return OpenId(settings, secret), users
