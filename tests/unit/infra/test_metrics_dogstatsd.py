"""Datagrams as a real socket receives them, and an agent that is not there."""

import os
import socket
from collections.abc import Iterator

import pytest

from app.errors import ConfigurationError
from app.infra.metrics import Metrics
from app.infra.metrics_dogstatsd import DATAGRAM_BYTES, DogStatsdBackend


@pytest.fixture
def agent() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        yield receiver


async def test_lines_leave_together(agent: socket.socket) -> None:
    backend = DogStatsdBackend("127.0.0.1", agent.getsockname()[1])
    metrics = Metrics(backend)
    metrics.request("GET", "/api/v1/docs/{document_id}", 200, 0.25)
    metrics.circuit("local", "llama:7b,q4|x", "open")
    metrics.running("api")
    metrics.loop_lag(0.5)
    await backend.push()
    assert set(agent.recv(65_536).decode().splitlines()) == {
        "http_requests_total:1|c|#handler:/api/v1/docs/{document_id},method:GET,status:200",
        "http_request_duration_seconds:0.25|d|#handler:/api/v1/docs/{document_id},method:GET",
        "docent_provider_circuit_state:2|g|#provider:local,model:llama_7b_q4_x",
        f"docent_processes:1|g|#role:api,process_id:{os.getpid()}",
        "docent_event_loop_lag_seconds:0.5|d",
    }
    assert backend.page() is None
    backend.close()


async def test_figures_are_added_up_before_they_leave(agent: socket.socket) -> None:
    backend = DogStatsdBackend("127.0.0.1", agent.getsockname()[1])
    metrics = Metrics(backend)
    for number in range(3):
        metrics.answer("complete", None)
        metrics.recall(10, number / 2)
        metrics.loop_lag(number / 4)
    await backend.push()
    assert set(agent.recv(65_536).decode().splitlines()) == {
        "docent_answers_total:3|c|#status:complete,reason:none",
        "vector_search_recall:1.0|g|#k:10",
        "docent_event_loop_lag_seconds:0.0:0.25:0.5|d",
    }
    metrics.answer("complete", None)
    await backend.push()
    assert b"docent_answers_total:1|c" in agent.recv(65_536), "what has left is not sent again"
    backend.close()


def test_many_values_leave_by_themselves(agent: socket.socket) -> None:
    backend = DogStatsdBackend("127.0.0.1", agent.getsockname()[1])
    metrics = Metrics(backend)
    for _ in range(1000):
        metrics.loop_lag(1 / 3)
    backend.close()
    values = 0
    while values < 1000:
        datagram = agent.recv(65_536)
        assert len(datagram) <= DATAGRAM_BYTES
        values += datagram.count(b":0.3333333333333333")
    assert values == 1000


def test_an_agent_that_is_away_costs_its_figures_only(agent: socket.socket) -> None:
    port = agent.getsockname()[1]
    agent.close()
    backend = DogStatsdBackend("127.0.0.1", port)
    metrics = Metrics(backend)
    for _ in range(1000):
        metrics.loop_lag(1 / 3)
    assert backend.lost > 0
    assert sum(map(len, backend._values.values())) + len(backend._datagram) < 3 * DATAGRAM_BYTES
    backend.close()


def test_a_host_that_has_no_address_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigurationError, match="DD_AGENT_HOST"):
        DogStatsdBackend("a..b", 8125)
