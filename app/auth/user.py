"""A person, as every room above knows them."""

from dataclasses import dataclass
from datetime import datetime

from app.auth.caller import Role


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who belongs to one tenant; what they may do follows from their role."""

    id: str
    tenant_id: str
    #: In lower case; unique over all tenants.
    email: str
    name: str
    role: Role
    scopes: frozenset[str]
    suspended: bool
    #: Tokens issued before are void.
    tokens_since: datetime
    #: What the whole tenant may spend in a month; None leaves it to the settings.
    tenant_budget_usd: float | None = None
