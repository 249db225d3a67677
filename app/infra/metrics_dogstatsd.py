"""Metrics for a Datadog agent: DogStatsD datagrams, sent and forgotten.

Lines are gathered into datagrams and leave once a second or when one is full; an agent that is away
or slow loses figures and never holds us up. Protocol:
https://docs.datadoghq.com/developers/dogstatsd/datagram_shell
"""

import os
import socket

from app.errors import ConfigurationError
from app.infra.metrics_catalogue import Labels, Metric

#: Fits one Ethernet frame.
DATAGRAM_BYTES = 1432
_UNSAFE = str.maketrans(",|#:\n", "_____")


class DogStatsdBackend:
    """Writes to the agent at ``host`` and ``port``.

    Histograms go as distributions, which the agent's server adds up over processes. A gauge that
    means the sum over processes carries the process id, for the server keeps one value for each set
    of tags.

    Raises:
        ConfigurationError: the host has no address.
    """

    def __init__(self, host: str, port: int) -> None:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_DGRAM
            )[0]
        except (OSError, UnicodeError) as error:
            raise ConfigurationError("DD_AGENT_HOST is not a host that can be found.") from error
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        self._socket.connect(address)
        self._waiting = bytearray()
        self._tags: dict[tuple[Metric, Labels], bytes] = {}
        #: Datagrams that could not be sent.
        self.lost = 0

    def count(self, metric: Metric, labels: Labels, amount: float) -> None:
        """Add to a counter."""
        self._write(metric, labels, amount, b"c")

    def observe(self, metric: Metric, labels: Labels, value: float) -> None:
        """Add to a distribution."""
        self._write(metric, labels, value, b"d")

    def set(self, metric: Metric, labels: Labels, value: float) -> None:
        """Set a gauge."""
        self._write(metric, labels, value, b"g")

    def page(self) -> None:
        """Nothing to fetch: the agent has it."""

    async def push(self) -> None:
        """Send what waits."""
        self._send()

    def close(self) -> None:
        """Send what waits, and close."""
        self._send()
        self._socket.close()

    def _write(self, metric: Metric, labels: Labels, value: float, kind: bytes) -> None:
        tags = self._tags.get((metric, labels))
        if tags is None:
            tags = self._tags[metric, labels] = _tags(metric, labels)
        line = b"%s:%s|%s%s" % (metric.name.encode(), repr(value).encode(), kind, tags)
        if self._waiting and len(self._waiting) + 1 + len(line) > DATAGRAM_BYTES:
            self._send()
        if self._waiting:
            self._waiting += b"\n"
        self._waiting += line

    def _send(self) -> None:
        if not self._waiting:
            return
        try:
            self._socket.send(self._waiting)
        except OSError:  # its buffer is full, or nobody listens; see this module's first lines
            self.lost += 1
        self._waiting.clear()


def _tags(metric: Metric, labels: Labels) -> bytes:
    pairs = [
        f"{name}:{value.translate(_UNSAFE)}"
        for name, value in zip(metric.labels, labels, strict=True)
    ]
    if metric.kind == "gauge" and metric.combined == "sum":
        pairs.append(f"process_id:{os.getpid()}")
    return f"|#{','.join(pairs)}".encode() if pairs else b""
