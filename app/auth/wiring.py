"""Assembly of what is about people, for the page of the whole house."""

from dataclasses import dataclass

from app.auth.login import Attempts, Logins
from app.auth.passwords import Passwords
from app.auth.people.account import Account
from app.auth.people.invitations import Invitations
from app.auth.people.registration import Registration
from app.auth.people.roster import Roster
from app.auth.signing_keys import SigningKeys
from app.auth.tokens import Tokens
from app.infra.postgres import Pool
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class People:
    """Who they are, how they come in, and what they are let in with."""

    logins: Logins
    registration: Registration
    account: Account
    roster: Roster
    invitations: Invitations
    signing_keys: SigningKeys
    tokens: Tokens


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
    return People(
        logins=logins,
        registration=Registration(pool, passwords, attempts, invitations, mode=mode),
        account=Account(pool, passwords, logins),
        roster=Roster(pool, passwords),
        invitations=invitations,
        signing_keys=keys,
        tokens=Tokens(pool, secret, keys, settings),
    )
