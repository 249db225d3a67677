"""The wire shapes of workspaces."""

from pydantic import BaseModel, ConfigDict

from app.auth.people.fields import Name
from app.auth.workspaces.store import Colleague, Workspace
from app.http.wire import Time


class WorkspaceIn(BaseModel):
    """What a workspace is to be called; unique in the tenant, whatever the letters' case."""

    model_config = ConfigDict(extra="forbid")

    name: Name


class WorkspaceOut(BaseModel):
    """A workspace; `members` is how many users belong to it."""

    id: str
    name: str
    members: int
    created_at: Time

    @classmethod
    def of(cls, workspace: Workspace) -> "WorkspaceOut":
        """The wire shape of ``workspace``."""
        return cls(
            id=workspace.id,
            name=workspace.name,
            members=workspace.members,
            created_at=workspace.created_at,
        )


class WorkspaceList(BaseModel):
    """One page of a list of workspaces."""

    items: list[WorkspaceOut]
    has_more: bool
    next: str | None


class MembershipIn(BaseModel):
    """How a user is to belong to a workspace; a manager renames it and says who else does."""

    model_config = ConfigDict(extra="forbid")

    manager: bool = False


class MembershipOut(BaseModel):
    """A user who belongs to a workspace."""

    user_id: str
    name: str
    email: str
    manager: bool
    added_at: Time

    @classmethod
    def of(cls, colleague: Colleague) -> "MembershipOut":
        """The wire shape of ``colleague``."""
        return cls(
            user_id=colleague.user_id,
            name=colleague.name,
            email=colleague.email,
            manager=colleague.manager,
            added_at=colleague.added_at,
        )


class MembershipList(BaseModel):
    """One page of who belongs to a workspace."""

    items: list[MembershipOut]
    has_more: bool
    next: str | None
