"""Server-sent events from bytes, however the network slices them.

Only what the OpenAI dialect uses: the data of each event. Works on bytes, so that a character
split over two reads needs no care, and keeps at most one unfinished event.
"""

from app.llm.failures import ProviderFailed

#: An unfinished event larger than this is no token stream. A 100 KB answer in one event fits.
MAX_EVENT_BYTES = 1_048_576


class EventParser:
    """Cuts a byte stream into the data of its events.

    Follows the WHATWG rules for line ends (LF, CRLF, CR), comments, one optional space after the
    colon and data over several lines; ids, names and retry times are dropped.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of every event that ``chunk`` completes, in order.

        Raises:
            ProviderFailed: ``malformed`` when an event exceeds ``MAX_EVENT_BYTES``.
        """
        text = self._rest + chunk
        if b"\r" in text:
            text = _line_feeds(text)
        *events, self._rest = text.split(b"\n\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise ProviderFailed("malformed", "an event of the stream is too large")
        return _data(events)

    def finish(self) -> list[bytes]:
        """The last event, if the stream ended without the blank line that closes it."""
        rest, self._rest = self._rest, b""
        return _data([rest.removesuffix(b"\r")])


def _line_feeds(text: bytes) -> bytes:
    r"""Turn CRLF and CR into LF; a CR at the very end waits for the LF that may follow."""
    held = text.endswith(b"\r")
    text = (text[:-1] if held else text).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text + b"\r" if held else text


def _data(events: list[bytes]) -> list[bytes]:
    found = []
    for event in events:
        if event.startswith(b"data: ") and b"\n" not in event:  # nearly every one
            found.append(event[6:])
        elif lines := [line[5:] for line in event.split(b"\n") if line.startswith(b"data:")]:
            found.append(b"\n".join(line.removeprefix(b" ") for line in lines))
    return found
