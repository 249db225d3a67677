"""Wire shapes that every room speaks."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)

from app.infra.times import rfc3339

#: Of texts that are looked for: NUL cannot be stored, so nothing stored can match it.
WITHOUT_NUL = r"^[^\x00]*$"
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def _written_time(value: object) -> object:
    """Refuse numbers, which pydantic takes for seconds since 1970."""
    written = not isinstance(value, str) or _RFC_3339.fullmatch(value)
    if isinstance(value, int | float) or not written:
        raise ValueError("must be a time such as 2026-01-31T12:00:00Z")
    return value


#: A time in a request, RFC 3339 with its offset.
WrittenTime = Annotated[AwareDatetime, BeforeValidator(_written_time)]
#: RFC 3339, UTC, milliseconds.
Time = Annotated[datetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]


class PageOfList(BaseModel):
    """Which part of a list is wanted."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=100)
    after: Annotated[str | None, StringConstraints(max_length=64, pattern=WITHOUT_NUL)] = Field(
        None, description="The `next` of the page before."
    )
