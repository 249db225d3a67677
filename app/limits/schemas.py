"""The wire shapes of what was spent."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class UsageQuery(BaseModel):
    """Which keys are listed."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=100)
    # NUL cannot be stored, so no id holds it.
    after: Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")] = Field(
        "", description="The `next` of the page before."
    )


class SpendingOut(BaseModel):
    """What was spent this month, in US dollars."""

    spent_usd: float = Field(examples=[12.48])
    held_usd: float = Field(description="Put aside for answers under way.", examples=[0.02])
    budget_usd: float | None = Field(description="null = no budget", examples=[50.0])
    reset_at: datetime = Field(description="When the next month begins, UTC.")


class KeySpending(SpendingOut):
    """What one key spent."""

    key_id: str = Field(examples=["key_ks2v7m4q6x3y5z7a2b4c6d8e9f"])
    name: str


class TenantUsage(BaseModel):
    """What the tenant spent, and one page of its keys."""

    tenant: SpendingOut
    items: list[KeySpending]
    has_more: bool
    next: str | None = Field(description="Pass as `after` to go on.")
