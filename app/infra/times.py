"""Times as they are written for others."""

from datetime import UTC, datetime


def rfc3339(at: datetime) -> str:
    """``at`` in UTC, to the millisecond, ending in Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
