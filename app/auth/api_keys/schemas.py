"""The wire shapes of keys."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from app.auth.api_keys.store import NewKey, StoredKey
from app.auth.caller import KeyScope
from app.auth.people.fields import Name
from app.http.wire import PageOfList, Time
from app.settings import Dollars

_MOST_DAYS = 3650


class KeyIn(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    scopes: list[KeyScope] = Field(
        min_length=1, max_length=10, description="No more than the caller's own."
    )
    expires_at: AwareDatetime | None = Field(None, description="null = `expires_in_days`")
    expires_in_days: Annotated[int, Field(ge=1, le=_MOST_DAYS)] | None = Field(
        None, description="null = never, unless `expires_at` says when"
    )
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="null = what holds for every key"
    )
    budget_usd: Dollars | None = Field(
        None, description="A month's; only administrators set it. null = the server's default"
    )

    @field_validator("expires_at")
    @classmethod
    def _is_ahead(cls, value: datetime | None) -> datetime | None:
        now = datetime.now(UTC)
        if value is not None and not now < value <= now + timedelta(days=_MOST_DAYS):
            raise ValueError(f"must be within the next {_MOST_DAYS} days")
        return value

    @model_validator(mode="after")
    def _one_end(self) -> "KeyIn":
        if self.expires_at is not None and self.expires_in_days is not None:
            raise ValueError("give expires_at or expires_in_days, not both")
        return self

    def to_new(self) -> NewKey:
        """The key that is asked for."""
        expires_at = self.expires_at
        if self.expires_in_days is not None:
            expires_at = datetime.now(UTC) + timedelta(days=self.expires_in_days)
        return NewKey(
            self.name,
            frozenset(self.scopes),
            expires_at,
            self.requests_per_minute,
            self.budget_usd,
        )


class KeyOut(BaseModel):
    """A key."""

    id: str = Field(examples=["key_ks2v7m4q6x3y5z7a2b4c6d8e9f"])
    name: str
    user_id: str | None = Field(description="Whose it is; null = an operator's")
    scopes: list[str]
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None
    last_used_at: Time | None = Field(description="To the minute.")
    requests_per_minute: int | None
    budget_usd: float | None

    @classmethod
    def of(cls, key: StoredKey) -> "KeyOut":
        """The wire shape of ``key``."""
        return cls.model_validate(key, from_attributes=True)


class NewKeyOut(KeyOut):
    """A key that was just made."""

    key: str = Field(description="Shown this once.")

    @classmethod
    def of_new(cls, stored: StoredKey, key: str) -> "NewKeyOut":
        """The wire shape of ``stored``, with the key itself."""
        return cls(**KeyOut.of(stored).model_dump(), key=key)


class KeyList(BaseModel):
    """One page of a list of keys."""

    items: list[KeyOut]
    has_more: bool
    next: str | None = Field(description="Pass as `after` to go on.")


class KeyQuery(PageOfList):
    """Which keys are listed."""

    all: bool = Field(False, description="Everybody's of the tenant; needs `admin`.")
