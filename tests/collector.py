"""Whoever takes traces, as a real HTTP server in a thread of its own: OTLP and Langfuse, as JSON.

It keeps what it got, and takes it the way it is told to: ``ok``, a status, ``slow:<seconds>``, or
``silent``, which accepts and never answers.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OTLP, LANGFUSE, SCORES = "/v1/traces", "/api/public/otel/v1/traces", "/api/public/scores"


@dataclass(frozen=True)
class Delivery:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Received:
    """One span, its attributes as plain values."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    started_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    #: Of the process that sent it.
    instance: str
    is_error: bool

    @property
    def ms(self) -> float:
        return (self.ended_ns - self.started_ns) / 1e6


class Collector:
    """What arrived, and how the next is taken."""

    def __init__(self) -> None:
        self.behaviour = "ok"
        self.deliveries: list[Delivery] = []
        self.stopping = threading.Event()
        self._port = 0
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def listen(self) -> None:
        """Open the port, the same each time."""
        self.stopping.clear()
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,)).start()

    def refuse(self) -> None:
        """Close the port; who waits for an answer gets one."""
        self.stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def text(self) -> str:
        """Everything that arrived, headers apart."""
        return "\n".join(delivery.body.decode() for delivery in self.deliveries)

    def spans(self, path: str = OTLP) -> list[Received]:
        """Every span that was sent there, in order of arrival."""
        return [
            span
            for delivery in [*self.deliveries]
            if delivery.path == path
            for span in _spans(delivery.json)
        ]

    def named(self, name: str, path: str = OTLP) -> Received:
        """The only span of that name."""
        [found] = [span for span in self.spans(path) if span.name == name]
        return found

    @property
    def scores(self) -> list[dict[str, Any]]:
        return [one for got in self.deliveries if got.path == SCORES for one in got.json]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens on loopback."""
    collector = Collector()
    collector.listen()
    try:
        yield collector
    finally:
        collector.refuse()


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            name, _, argument = collector.behaviour.partition(":")
            if name in ("slow", "silent"):
                collector.stopping.wait(float(argument or 60))
            headers = {key.lower(): value for key, value in self.headers.items()}
            status = 200 if name in ("ok", "slow", "silent") else int(name)
            if status == 200:
                collector.deliveries.append(Delivery(self.path, headers, body))
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


def _spans(message: dict[str, Any]) -> Iterator[Received]:
    for resource in message["resourceSpans"]:
        process = _plain(resource["resource"]["attributes"])
        assert process["service.name"] == "docent"
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield Received(
                    name=span["name"],
                    trace_id=span["traceId"],
                    span_id=span["spanId"],
                    parent_id=span["parentSpanId"],
                    kind=span["kind"],
                    started_ns=int(span["startTimeUnixNano"]),
                    ended_ns=int(span["endTimeUnixNano"]),
                    attributes=_plain(span["attributes"]),
                    instance=process["service.instance.id"],
                    is_error=span.get("status", {}).get("code") == 2,
                )


def _plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    names = [attribute["key"] for attribute in attributes]
    assert len(set(names)) == len(names), "a name stands there twice"
    return {attribute["key"]: _value(attribute["value"]) for attribute in attributes}


def _value(value: dict[str, Any]) -> Any:
    [(kind, held)] = value.items()
    if kind == "arrayValue":
        return [_value(one) for one in held["values"]]
    return int(held) if kind == "intValue" else held
