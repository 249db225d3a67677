"""Spans for whoever speaks OTLP over HTTP, encoded as JSON.

Spans wait in a bounded queue and leave once a second, in a task of their own. A receiver that is
away, slow or full costs the queue's memory and then spans, which are counted; never a request.
Written by hand for the reasons of ``metrics_otlp.py``: https://opentelemetry.io/docs/specs/otlp
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import Any, Literal

import aiohttp
import orjson
import structlog

from app.infra.metrics import Metrics
from app.infra.tracing import KeptSpan, Kind, Masked, Score, Value, clean

log = structlog.get_logger(__name__)
#: Spans that wait, and what was said in them, in characters: some 5 MB of each.
MOST_WAITING, MOST_WAITING_CHARS = 2048, 4_000_000
#: Spans of one delivery, and what was said in them.
BATCH, BATCH_CHARS = 100, 200_000
#: Encoding lets others go on after so long; a long prompt, which has to be masked, takes 1 ms.
SLICE_S = 0.0005
EVERY_S = 1.0
#: Between two tries at a receiver that is away, at the most.
MOST_PAUSE_S = 30.0
#: A delivery that failed so often is given up.
TRIES = 5
TIMEOUT_S = 5.0
#: What is left may take so long to leave when the process ends.
LAST_S = 1.0
_KINDS: dict[Kind, int] = {"internal": 1, "server": 2, "client": 3, "consumer": 5}
_ERROR = 2
#: Answers after which another try may do; of all others the protocol says that it will not.
_PASSING = frozenset({408, 429})
_OK_BELOW, _SERVER_ERROR = 300, 500

Fault = Literal["passing", "lasting"]


class OtlpExporter:
    """Keeps the spans of this process until they are delivered to ``url``."""

    name = "otlp"

    def __init__(self, url: str, headers: Mapping[str, str], metrics: Metrics) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/json", **headers}
        self._metrics = metrics
        self._waiting: deque[KeptSpan] = deque()
        self._chars = 0
        #: The next delivery, encoded once for all its tries.
        self._next: tuple[list[KeptSpan], bytes] | None = None
        self._tries = 0
        self._client: aiohttp.ClientSession | None = None
        #: Whether the last delivery failed.
        self.away = False
        self._resource = _attributes(
            {
                "service.name": "docent",
                "service.instance.id": f"{os.uname().nodename}-{os.getpid()}",
            }
        )

    def accepts(self) -> bool:
        """Whether another span may wait; one that may not is counted."""
        return self._has_room(1)

    def take(self, span: KeptSpan) -> None:
        """Let a span wait, or drop it when too many do."""
        if self._has_room(span.chars):
            self._waiting.append(span)
            self._chars += span.chars

    def _has_room(self, chars: int) -> bool:
        if len(self._waiting) < MOST_WAITING and self._chars + chars <= MOST_WAITING_CHARS:
            return True
        self._metrics.spans_dropped(self.name, "full")
        return False

    def score(self, score: Score) -> None:
        """Nothing: OTLP has no word for it."""

    @asynccontextmanager
    async def running(self, *, every_s: float = EVERY_S) -> AsyncIterator[None]:
        """Deliver every ``every_s``; at the end once more, within ``LAST_S``."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers) as self._client:
            delivering = asyncio.create_task(self._deliver_forever(every_s))
            try:
                yield
            finally:
                delivering.cancel()
                with suppress(asyncio.CancelledError):
                    await delivering
                with suppress(TimeoutError):
                    async with asyncio.timeout(LAST_S):
                        await self.push()
                if self._waiting:
                    self._metrics.spans_dropped(self.name, "ended", len(self._waiting))

    async def _deliver_forever(self, every_s: float) -> None:
        pause_s = every_s
        while True:
            await asyncio.sleep(pause_s)
            pause_s = every_s if await self.push() else min(2 * pause_s, MOST_PAUSE_S)

    async def push(self) -> bool:
        """Deliver what waits; False when the receiver is better left alone for a while."""
        while self._waiting:
            if self._next is None:
                batch = self._batch()
                self._next = batch, await self._message(batch)
            batch, body = self._next
            if not await self._delivered(self._url, body, len(batch)):
                return False
            self._next = None
            for span in batch:
                self._waiting.popleft()
                self._chars -= span.chars
        return True

    def _batch(self) -> list[KeptSpan]:
        """What leaves next."""
        batch: list[KeptSpan] = []
        chars = 0
        for span in islice(self._waiting, BATCH):
            chars += span.chars
            if batch and chars > BATCH_CHARS:
                break
            batch.append(span)
        return batch

    async def _delivered(self, url: str, body: bytes, count: int) -> bool:
        """Whether a delivery is done with: taken, or given up."""
        fault = await self._post(url, body)
        if fault is None:
            self.away, self._tries = False, 0
            return True
        self.away = True
        self._tries += 1
        if fault == "passing" and self._tries < TRIES:
            return False
        self._tries = 0
        self._metrics.spans_dropped(self.name, "failed" if fault == "passing" else "refused", count)
        return True

    async def _post(self, url: str, body: bytes) -> Fault | None:
        """What is wrong, None when nothing is; that it is wrong is logged once."""
        assert self._client is not None  # noqa: S101 - while it runs
        try:
            async with self._client.post(url, data=body, allow_redirects=False) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._tell(error=type(error).__name__)
            return "passing"
        if status < _OK_BELOW:
            return None
        self._tell(status=status)
        return "passing" if status in _PASSING or status >= _SERVER_ERROR else "lasting"

    def _tell(self, **facts: object) -> None:
        if not self.away:
            log.warning("traces_not_delivered", exporter=self.name, **facts)

    async def _message(self, spans: Sequence[KeptSpan]) -> bytes:
        """The body of a delivery (ExportTraceServiceRequest), made in slices."""
        encoded: list[orjson.Fragment] = []
        began = time.perf_counter()
        for span in spans:
            encoded.append(orjson.Fragment(orjson.dumps(self._encoded(span))))
            if time.perf_counter() - began > SLICE_S:
                await asyncio.sleep(0)
                began = time.perf_counter()
        scope = {"scope": {"name": "docent"}, "spans": encoded}
        resource = {"resource": {"attributes": self._resource}, "scopeSpans": [scope]}
        return orjson.dumps({"resourceSpans": [resource]})

    def _encoded(self, span: KeptSpan) -> dict[str, Any]:
        encoded: dict[str, Any] = {
            "traceId": span.trace_id,
            "spanId": span.span_id,
            "parentSpanId": span.parent_id,
            "name": clean(span.name),
            "kind": _KINDS[span.kind],
            "startTimeUnixNano": str(span.started_ns),
            "endTimeUnixNano": str(span.ended_ns),
            "attributes": _attributes(self.attributes(span)),
        }
        if span.error is not None:
            encoded["status"] = {"code": _ERROR}
        return encoded

    def attributes(self, span: KeptSpan) -> dict[str, Value]:
        """What the receiver is told of a span, not masked yet."""
        found = {**span.trace.shared, **span.spelt_out()}
        if span.error is not None:
            found["error.type"] = span.error
        return found


def _attributes(values: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value if isinstance(value, Masked) else clean(value)}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"arrayValue": {"values": [_value(one) for one in value]}}
