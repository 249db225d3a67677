"""The wire shapes of people."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.auth.api_keys.schemas import KeyOut
from app.auth.caller import Caller, Kind, Role
from app.auth.passwords import MAX_CHARS, MIN_CHARS
from app.auth.people.account import Self
from app.auth.people.fields import Email, Name
from app.auth.people.invitations import Invitation
from app.auth.people.registration import Registrant
from app.auth.people.roster import Change
from app.auth.user_store import Member
from app.http.wire import WITHOUT_NUL, PageOfList, Time

NewPassword = Annotated[str, StringConstraints(min_length=MIN_CHARS, max_length=MAX_CHARS)]
#: Of one that is checked: those made elsewhere may be of another length.
Password = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class RegisterIn(BaseModel):
    """Who wants to register."""

    model_config = ConfigDict(extra="forbid")

    email: Email = Field(examples=["ann@example.com"])
    password: NewPassword
    name: Name = Field(examples=["Ann"])
    invitation: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = Field(
        None, description="The code of an invitation; null = a tenant of one's own, if allowed"
    )

    def to_registrant(self) -> Registrant:
        """Who that is."""
        return Registrant(self.email, self.name, self.password, self.invitation)


class LoginIn(BaseModel):
    """Who wants to sign in."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[str, StringConstraints(min_length=1, max_length=320)]
    password: Password


class PasswordIn(BaseModel):
    """A password and the one it replaces."""

    model_config = ConfigDict(extra="forbid")

    old_password: Password
    new_password: NewPassword


class UserOut(BaseModel):
    """A user."""

    id: str = Field(examples=["usr_ks2v7m4q6x3y5z7a2b4c6d8e9f"])
    email: str
    name: str
    role: Role
    suspended: bool
    created_at: Time
    last_login_at: Time | None

    @classmethod
    def of(cls, member: Member) -> "UserOut":
        """The wire shape of ``member``."""
        user = member.user
        return cls(
            id=user.id,
            email=user.email,
            name=user.name,
            role=user.role,
            suspended=user.suspended,
            created_at=member.created_at,
            last_login_at=member.last_login_at,
        )


class TenantOut(BaseModel):
    """A tenant."""

    id: str
    name: str


class MeOut(BaseModel):
    """Who the caller is, and what it may do."""

    id: str
    kind: Kind = Field(description="What the credential is.")
    tenant: TenantOut
    user: UserOut | None = Field(description="Whose credential it is; null = nobody's")
    role: Role | None
    scopes: list[str]
    key: KeyOut | None = Field(description="The key that was used, if one was")

    @classmethod
    def of(cls, caller: Caller, known: Self) -> "MeOut":
        """The wire shape of ``caller``."""
        return cls(
            id=caller.id,
            kind=caller.kind,
            tenant=TenantOut(id=caller.tenant_id, name=known.tenant_name),
            user=None if known.member is None else UserOut.of(known.member),
            role=caller.role,
            scopes=sorted(caller.scopes),
            key=None if known.key is None else KeyOut.of(known.key),
        )


class MeEdit(BaseModel):
    """What users change of themselves."""

    model_config = ConfigDict(extra="forbid")

    name: Name


class UserQuery(PageOfList):
    """What a list of users is narrowed by."""

    q: Annotated[str | None, StringConstraints(max_length=200, pattern=WITHOUT_NUL)] = Field(
        None, description="Part of the name or the e-mail address."
    )
    role: Role | None = None


class UserList(BaseModel):
    """One page of a list of users."""

    items: list[UserOut]
    has_more: bool
    next: str | None = Field(description="Pass as `after` to go on.")


class UserEdit(BaseModel):
    """What administrators change of a user; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    role: Role | None = None
    suspended: bool | None = None

    def to_change(self) -> Change:
        """The changes."""
        return Change(self.name, self.role, self.suspended)


class TemporaryPasswordOut(BaseModel):
    """A password to be handed over, and changed by its user."""

    password: str = Field(description="Shown this once; lapses in three days.")


class InvitationIn(BaseModel):
    """An invitation to be made."""

    model_config = ConfigDict(extra="forbid")

    email: Email | None = Field(None, description="null = whoever has the code")
    role: Role
    expires_in_days: int = Field(7, ge=1, le=90)


class InvitationOut(BaseModel):
    """An invitation."""

    id: str
    email: str | None
    role: Role
    created_by: str | None
    created_at: Time
    expires_at: Time
    used_at: Time | None
    used_by: str | None

    @classmethod
    def of(cls, invitation: Invitation) -> "InvitationOut":
        """The wire shape of ``invitation``."""
        return cls.model_validate(invitation, from_attributes=True)


class NewInvitationOut(InvitationOut):
    """An invitation that was just made."""

    code: str = Field(description="Lets somebody register; shown this once.")

    @classmethod
    def of_new(cls, invitation: Invitation, code: str) -> "NewInvitationOut":
        """The wire shape of ``invitation``, with its code."""
        return cls(**InvitationOut.of(invitation).model_dump(), code=code)


class InvitationList(BaseModel):
    """One page of a list of invitations."""

    items: list[InvitationOut]
    has_more: bool
    next: str | None = Field(description="Pass as `after` to go on.")
