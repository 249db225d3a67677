"""Server-sent events, read from the lines of a response as they come."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

Event = tuple[str, dict[str, Any]]


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """Yields the name and the JSON object of each event; comments (pings) are skipped.

    Raises:
        ValueError: the data of an event is not a JSON object.
    """
    name, data = "message", ""
    for line in lines:
        field, _, value = line.partition(":")
        if not line and data:
            yield name, _json_object(data)
        if not line:
            name, data = "message", ""
        elif field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            data += value.removeprefix(" ")


def _json_object(data: str) -> dict[str, Any]:
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("an event's data is a JSON object")  # noqa: TRY004 - as json's own
    return found
