"""A client of our own that asks over a kept connection, and leaves it in the middle of anything."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Self

HEAD_ENDS = b"\r\n\r\n"


@dataclass
class Reply:
    """What came of one request, as far as it came."""

    status: int = 0
    kind: str = ""
    #: The body, without the marks of its chunks.
    body: bytearray = field(default_factory=bytearray)

    @property
    def events(self) -> list[Any]:
        """The data of a stream's events."""
        lines = bytes(self.body).decode().split("\n")
        data = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
        return [json.loads(one) for one in data if one != "[DONE]"]

    @property
    def text(self) -> str:
        """The answer, in whichever of the three shapes it came."""
        if "event-stream" not in self.kind:
            said = json.loads(self.body)
            return str(
                said["answer"] if "answer" in said else said["choices"][0]["message"]["content"]
            )
        events = self.events
        if "choices" in events[0]:
            deltas = [one["choices"][0]["delta"] for one in events if one["choices"]]
            return "".join(delta.get("content") or "" for delta in deltas)
        assert "answer" in events[-1], events[-1]
        return str(events[-1]["answer"])


class Line:
    """One connection, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hang_up(rudely=False)

    def hang_up(self, *, rudely: bool) -> None:
        """Close the connection; rudely with a reset."""
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            if rudely:
                writer.transport.abort()
            else:
                writer.close()

    async def say(self, path: str, key: str, body: dict[str, Any], *, share: float = 1) -> None:
        """Send a request, or a share of its bytes."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: docent\r\nX-API-Key: {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        sent = head.encode() + content
        self._streams[1].write(sent[: int(len(sent) * share)])

    async def hear(self, reply: Reply) -> None:
        """Read the answer to its end into ``reply``."""
        assert self._streams is not None
        reader = self._streams[0]
        head = (await reader.readuntil(HEAD_ENDS)).decode("latin-1").lower()
        reply.status = int(head.split(" ", 2)[1])
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        reply.kind = headers.get("content-type", "")
        if "content-length" in headers:
            reply.body += await reader.readexactly(int(headers["content-length"]))
            return
        while size := int(await reader.readuntil(b"\r\n"), 16):
            reply.body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
