"""Metrics for a Datadog agent: DogStatsD datagrams, sent and forgotten.

Figures are added up and leave once a second: a counter's sum, a gauge's last value, a
distribution's values packed into one line (protocol 1.1, agents of 2021 and later). An agent that
is away or slow loses figures and never holds us up. Protocol:
https://docs.datadoghq.com/developers/dogstatsd/datagram_shell
"""

import os
import socket

from app.errors import ConfigurationError
from app.infra.metrics_catalogue import Labels, Metric

#: Fits one Ethernet frame.
DATAGRAM_BYTES = 1432
#: Values of one line; its name and its tags have the rest.
VALUES_BYTES = 1000
_KINDS = {"counter": b"c", "gauge": b"g", "histogram": b"d"}
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
        #: Sums and last values, and the values of distributions, each behind a colon.
        self._numbers: dict[tuple[Metric, Labels], float] = {}
        self._values: dict[tuple[Metric, Labels], bytearray] = {}
        self._datagram = bytearray()
        self._tags: dict[tuple[Metric, Labels], bytes] = {}
        #: Datagrams that could not be sent.
        self.lost = 0

    def count(self, metric: Metric, labels: Labels, amount: float) -> None:
        """Add to a counter."""
        series = metric, labels
        self._numbers[series] = self._numbers.get(series, 0) + amount

    def observe(self, metric: Metric, labels: Labels, value: float) -> None:
        """Add to a distribution; what is enough for a line leaves at once."""
        values = self._values.setdefault((metric, labels), bytearray())
        values += b":%r" % value
        if len(values) >= VALUES_BYTES:
            self._write(metric, labels, values)
            values.clear()

    def set(self, metric: Metric, labels: Labels, value: float) -> None:
        """Set a gauge."""
        self._numbers[metric, labels] = value

    def page(self) -> None:
        """Nothing to fetch: the agent has it."""

    async def push(self) -> None:
        """Send what waits."""
        self._send_all()

    def close(self) -> None:
        """Send what waits, and close."""
        self._send_all()
        self._socket.close()

    def _send_all(self) -> None:
        for (metric, labels), number in self._numbers.items():
            self._write(metric, labels, b":%r" % number)
        for (metric, labels), values in self._values.items():
            if values:
                self._write(metric, labels, values)
        self._numbers.clear()
        self._values.clear()
        self._send()

    def _write(self, metric: Metric, labels: Labels, values: bytes | bytearray) -> None:
        tags = self._tags.get((metric, labels))
        if tags is None:
            tags = self._tags[metric, labels] = _tags(metric, labels)
        line = b"%s%s|%s%s" % (metric.name.encode(), values, _KINDS[metric.kind], tags)
        if self._datagram and len(self._datagram) + 1 + len(line) > DATAGRAM_BYTES:
            self._send()
        if self._datagram:
            self._datagram += b"\n"
        self._datagram += line

    def _send(self) -> None:
        if not self._datagram:
            return
        try:
            self._socket.send(self._datagram)
        except OSError:  # its buffer is full, or nobody listens; see this module's first lines
            self.lost += 1
        self._datagram.clear()


def _tags(metric: Metric, labels: Labels) -> bytes:
    pairs = [
        f"{name}:{value.translate(_UNSAFE)}"
        for name, value in zip(metric.labels, labels, strict=True)
    ]
    if metric.kind == "gauge" and metric.combined == "sum":
        pairs.append(f"process_id:{os.getpid()}")
    return f"|#{','.join(pairs)}".encode() if pairs else b""
