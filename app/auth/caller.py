"""Who is calling, as every room above knows them."""

from dataclasses import dataclass
from typing import Literal

from app.infra.reach import EVERYTHING, SHARED

KeyScope = Literal["chat", "docs:read", "docs:write", "admin"]
ALL_SCOPES: tuple[KeyScope, ...] = ("chat", "docs:read", "docs:write", "admin")

Role = Literal["owner", "admin", "editor", "viewer"]
Kind = Literal["key", "user", "client"]
_KINDS: dict[str, Kind] = {"usr": "user", "cli": "client"}


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
    #: Of its tenant, when the request came: what is kept under it is of that state or a later one.
    corpus_revision: int = 0
    #: Whose key or token it is; None for a key that an operator made.
    user_id: str | None = None
    role: Role | None = None
    #: Of this key alone, below the limit that holds for all.
    requests_per_minute: int | None = None
    #: The program that acts, for its user or for itself; None for keys and our own login.
    client_id: str | None = None
    #: Whether its tenant had documents that not everybody there sees, when the request came.
    restricted: bool = False

    @property
    def kind(self) -> Kind:
        """What its credential is."""
        return _KINDS.get(self.id.partition("_")[0], "key")

    @property
    def reach(self) -> str:
        """How far it sees into its tenant's documents, as ``app/infra/reach.py`` has it.

        Administrators see everything; a user what is theirs and their workspaces'; a credential of
        nobody's what the whole tenant sees.
        """
        return EVERYTHING if "admin" in self.scopes else self.user_id or SHARED

    @property
    def acts_as_owner(self) -> bool:
        """Whether it may, with the scope ``admin``, do what only owners may.

        A key of nobody's was made by an operator. A client is not: an administrator makes those.
        """
        return self.role == "owner" or (self.user_id is None and self.kind == "key")
