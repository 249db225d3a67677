"""What a receiver over real HTTP gets, and what becomes of spans it does not take."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from app.infra import tracing_otlp
from app.infra.metrics import Metrics
from app.infra.metrics_catalogue import SPANS_DROPPED
from app.infra.tracing import KeptSpan, Masked, Tracer, begin_span
from app.infra.tracing_otlp import (
    BATCH,
    BATCH_CHARS,
    MOST_WAITING,
    MOST_WAITING_CHARS,
    TRIES,
    OtlpExporter,
)
from tests.collector import OTLP, Collector, collecting
from tests.fakes import Recorder
from tests.faults.running import until

KEY = "dk_" + "canary" * 8


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def told() -> Recorder:
    return Recorder()


@pytest.fixture
async def exporter(collector: Collector, told: Recorder) -> AsyncIterator[OtlpExporter]:
    headers = {"X-Tenant": "ours"}
    exporter = OtlpExporter(collector.url + OTLP, headers, Metrics(told))
    async with exporter.running():
        yield exporter


def say(exporter: OtlpExporter, count: int = 1) -> None:
    for number in range(count):
        with Tracer([exporter]).begin(f"root {number}", kind="server"):
            pass


def speak(exporter: OtlpExporter, *chars: int) -> None:
    """Traces in which so much was said."""
    tracer = Tracer([exporter], content=True)
    for count in chars:
        with tracer.begin("root", kind="server") as root:
            root.quote("said", lambda count=count: Masked("x" * count), count)


def dropped(told: Recorder) -> dict[str, float]:
    found: dict[str, float] = {}
    for (exporter, reason), count in told.of(SPANS_DROPPED):
        assert exporter == "otlp"
        found[reason] = found.get(reason, 0) + count
    return found


async def test_a_trace_arrives_in_the_shape_of_the_protocol(
    collector: Collector, exporter: OtlpExporter, told: Recorder
) -> None:
    with Tracer([exporter]).begin("root", kind="server") as root:
        root.share("question", {"session.id": "s"})
        values = {"text": "a", "whole": 7, "real": 0.5, "yes": True, "many": ["x", "y"]}
        begin_span("chat m", values, kind="client").end("rate_limited")
    assert await exporter.push()
    outer, inner = collector.named("root"), collector.named("chat m")
    assert (inner.trace_id, inner.parent_id) == (outer.trace_id, outer.span_id)
    assert inner.attributes == {**values, "session.id": "s", "error.type": "rate_limited"}
    assert (inner.kind, inner.is_error, outer.kind, outer.is_error) == (3, True, 2, False)
    assert outer.started_ns <= inner.started_ns <= inner.ended_ns <= outer.ended_ns
    assert abs(outer.ended_ns / 1e9 - time.time()) < 60
    [delivery] = collector.deliveries
    assert delivery.headers["content-type"] == "application/json"
    assert delivery.headers["x-tenant"] == "ours"
    assert dropped(told) == {}


async def test_nothing_leaves_unmasked(collector: Collector, exporter: OtlpExporter) -> None:
    with Tracer([exporter]).begin(f"root {KEY}", kind="server") as root:
        root.share("question", {"shared": KEY})
        root.note({"text": f"Bearer {KEY}", "many": ["ada@example.org", KEY], "half": "\ud83d"})
    assert await exporter.push()
    assert "canary" not in collector.text
    assert "ada@" not in collector.text
    assert collector.named("root ***").attributes == {
        "shared": "***",
        "text": "Bearer ***",
        "many": ["***", "***"],
        "half": "?",
    }


async def test_many_leave_in_batches(collector: Collector, exporter: OtlpExporter) -> None:
    say(exporter, 2 * BATCH + 1)
    assert await exporter.push()
    assert len(collector.deliveries) == 3
    assert len({span.name for span in collector.spans()}) == 2 * BATCH + 1


@pytest.mark.parametrize("behaviour", ["408", "429", "500", "503"])
async def test_what_passes_is_tried_again_and_then_given_up(
    collector: Collector, exporter: OtlpExporter, told: Recorder, behaviour: str
) -> None:
    say(exporter)
    collector.behaviour = behaviour
    assert not await exporter.push()
    assert exporter.away
    collector.behaviour = "ok"
    assert await exporter.push()
    assert (len(collector.spans()), exporter.away, dropped(told)) == (1, False, {})
    say(exporter)
    collector.behaviour = behaviour
    assert [await exporter.push() for _ in range(TRIES)] == [False] * (TRIES - 1) + [True]
    assert dropped(told) == {"failed": 1}


@pytest.mark.parametrize("behaviour", ["301", "400", "401", "404", "413"])
async def test_what_is_refused_is_not_tried_again(
    collector: Collector, exporter: OtlpExporter, told: Recorder, behaviour: str
) -> None:
    say(exporter, 3)
    collector.behaviour = behaviour
    assert await exporter.push()
    assert dropped(told) == {"refused": 3}
    collector.behaviour = "ok"
    assert await exporter.push()
    assert collector.spans() == []


async def test_who_waits_is_bounded(exporter: OtlpExporter, told: Recorder) -> None:
    say(exporter, MOST_WAITING + 5)
    assert dropped(told) == {"full": 5}
    assert await exporter.push()


async def test_a_full_exporter_costs_nobody_a_trace(exporter: OtlpExporter, told: Recorder) -> None:
    say(exporter, MOST_WAITING)
    assert Tracer([exporter]).begin("root", kind="server").kept_trace_id is None
    assert dropped(told) == {"full": 1}
    assert await exporter.push()
    assert Tracer([exporter]).begin("root", kind="server").kept_trace_id


async def test_a_delivery_is_encoded_once_and_lets_others_go_on(
    collector: Collector, exporter: OtlpExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    turns = 0

    def note(span: KeptSpan) -> dict[str, object]:
        encoded.append(span.name)
        return {"name": span.name}

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(tracing_otlp, "SLICE_S", 0)
    monkeypatch.setattr(exporter, "_encoded", note)
    say(exporter, 20)
    collector.behaviour = "503"
    task = asyncio.create_task(others())
    turns_before = turns
    batch = exporter._batch()
    await exporter._message(batch)
    assert turns - turns_before >= 20
    task.cancel()
    encoded.clear()
    assert [await exporter.push() for _ in range(3)] == [False] * 3
    assert len(encoded) == 20, "once for all its tries"


def test_what_was_said_is_bounded_too(told: Recorder) -> None:
    exporter = OtlpExporter("http://127.0.0.1:1", {}, Metrics(told))
    speak(exporter, MOST_WAITING_CHARS - 10, 11, 10)
    assert dropped(told) == {"full": 1}


async def test_much_leaves_in_more_deliveries(
    collector: Collector, exporter: OtlpExporter, told: Recorder
) -> None:
    speak(exporter, *[BATCH_CHARS // 2] * 5)
    assert await exporter.push()
    assert (len(collector.deliveries), len(collector.spans()), dropped(told)) == (3, 5, {})


async def test_spans_leave_by_themselves(collector: Collector, told: Recorder) -> None:
    exporter = OtlpExporter(collector.url + OTLP, {}, Metrics(told))
    async with exporter.running(every_s=0.01):
        say(exporter)
        await asyncio.to_thread(until, collector.spans, 30, "it has left")
        collector.behaviour = "500"
        say(exporter)
        await asyncio.to_thread(until, lambda: exporter.away, 30, "it could not leave")
        collector.behaviour = "ok"
    assert len(collector.spans()) == 2, "the last leave at the end"


async def test_a_receiver_that_is_silent_or_nobody_does_not_hold_up_the_end(
    collector: Collector, told: Recorder
) -> None:
    collector.behaviour = "silent"
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = f"http://127.0.0.1:{gone.getsockname()[1]}{OTLP}"
    for url in (collector.url + OTLP, nobody):
        exporter = OtlpExporter(url, {}, Metrics(told))
        started = time.monotonic()
        async with exporter.running():
            say(exporter, 2)
        assert time.monotonic() - started < 10
    assert dropped(told) == {"ended": 4}
