"""The wire shapes of who one is to the API, what one may do there, and how much of it."""

from dataclasses import dataclass, field
from datetime import datetime

from docent_client.wire import Wire


@dataclass(frozen=True)
class Key(Wire):
    """An API key, without the key itself."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None
    last_used_at: str | None = None


@dataclass(frozen=True)
class NewKey(Key):
    """A key that was just made; ``key`` is shown this once."""

    key: str = field(default="", repr=False)


@dataclass(frozen=True)
class Tenant(Wire):
    """An organisation."""

    id: str
    name: str


@dataclass(frozen=True)
class User(Wire):
    """A person."""

    email: str


@dataclass(frozen=True)
class Me(Wire):
    """Who the credential is, and what it may do; ``user`` is whose it is."""

    id: str
    kind: str
    tenant: Tenant
    scopes: tuple[str, ...]
    role: str | None = None
    user: User | None = None


@dataclass(frozen=True)
class Limit(Wire):
    """One limit of the caller's, and what is left of it."""

    name: str
    limit: int
    remaining: int
    reset_at: datetime
