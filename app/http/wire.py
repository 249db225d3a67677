"""Wire shapes that every room speaks."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints

#: Of texts that are looked for: NUL cannot be stored, so nothing stored can match it.
WITHOUT_NUL = r"^[^\x00]*$"


def _utc(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


#: RFC 3339, UTC, milliseconds.
Time = Annotated[datetime, PlainSerializer(_utc, return_type=str, when_used="json")]


class PageOfList(BaseModel):
    """Which part of a list is wanted."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=100)
    after: Annotated[str | None, StringConstraints(max_length=64, pattern=WITHOUT_NUL)] = Field(
        None, description="The `next` of the page before."
    )
