"""Who is calling, as every room above knows them."""

from dataclasses import dataclass
from typing import Literal

KeyScope = Literal["chat", "docs:read", "docs:write", "admin"]
ALL_SCOPES: tuple[KeyScope, ...] = ("chat", "docs:read", "docs:write", "admin")


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller; every query it causes is about its tenant only."""

    tenant_id: str
    key_id: str
    scopes: frozenset[str]
    #: What tenant and key may spend in a month; None leaves it to the settings.
    tenant_budget_usd: float | None = None
    key_budget_usd: float | None = None
    #: Of its tenant, when the request came: what is kept under it is of that state or a later one.
    corpus_revision: int = 0
