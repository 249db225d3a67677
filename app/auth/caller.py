"""Who is calling, as every room above knows them."""

from dataclasses import dataclass
from typing import Literal

KeyScope = Literal["chat", "docs:read", "docs:write", "admin"]
ALL_SCOPES: tuple[KeyScope, ...] = ("chat", "docs:read", "docs:write", "admin")

Role = Literal["owner", "admin", "editor", "viewer"]


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller; every query it causes is about its tenant only."""

    tenant_id: str
    #: Under which limits, money, sessions and repeated requests are kept apart: the key's id, the
    #: user's for an access token, the client's for a service account.
    id: str
    scopes: frozenset[str]
    #: What tenant and key may spend in a month; None leaves it to the settings.
    tenant_budget_usd: float | None = None
    key_budget_usd: float | None = None
    #: Whose key or token it is; None for a key that an operator made.
    user_id: str | None = None
    role: Role | None = None
    #: Of this key alone, below the limit that holds for all.
    requests_per_minute: int | None = None
