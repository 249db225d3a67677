"""What ``GET /api/v1/admin/analytics`` tells, as the analytics page draws it."""

from dataclasses import dataclass
from typing import Any, Self

from streamlit_app.schemas import Json

Rows = tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Report:
    """Figures of the last days; each row of a list is one mark of a chart or line of a table."""

    totals: dict[str, Any]
    days: Rows
    providers: Rows
    cited: Rows
    unanswered: Rows
    comments: Rows

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(
            totals=dict(data["totals"]),
            days=_rows(data["days"]),
            providers=_rows(data["providers"]),
            cited=_rows(data["cited"]),
            unanswered=_rows(data["unanswered"]),
            comments=_rows(data["comments"]),
        )


def _rows(items: Any) -> Rows:  # noqa: ANN401 - JSON
    return tuple(dict(item) for item in items)
