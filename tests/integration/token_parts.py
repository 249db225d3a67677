"""Tokens on a real database, and a user to issue them for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.auth.access_token import signed
from app.auth.credentials import Credentials
from app.auth.signing_keys import SigningKeys
from app.auth.tokens import Tokens
from app.auth.user import User
from app.settings import Settings
from tests.conftest import FreshDatabase
from tests.integration.people import SECRET, Town, open_town

ISSUER = "https://docent.example"


@dataclass
class Mint:
    """Everything about tokens, for tests."""

    town: Town
    keys: SigningKeys
    tokens: Tokens
    credentials: Credentials

    async def user(self, tenant: str = "tokens") -> User:
        return (await self.town.settle(tenant, "editor"))[1]

    async def forged(self, claims: dict[str, Any]) -> str:
        """A token of our own key that claims what it likes."""
        key = await self.keys.signer()
        return signed(claims, key.kid, key.private)


def signing_keys(town: Town, secret: bytes = SECRET, *, rotation_days: float = 90) -> SigningKeys:
    """What a worker that has just started knows of the keys."""
    return SigningKeys(town.pool, secret, rotation_days=rotation_days, token_ttl_s=900)


@asynccontextmanager
async def open_mint(database: FreshDatabase) -> AsyncIterator[Mint]:
    async with open_town(database) as town:
        keys = signing_keys(town)
        settings = Settings(_env_file=None, public_url=ISSUER)  # type: ignore[call-arg]
        tokens = Tokens(town.pool, SECRET, keys, settings)
        yield Mint(town, keys, tokens, Credentials(town.ring, tokens))
