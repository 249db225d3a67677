"""Questions and scores in Langfuse's words, at its own paths and with its credential."""

from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from app.infra.metrics import Metrics
from app.infra.tracing import Score, Tracer, begin_span, masked
from app.infra.tracing_langfuse import MOST_SCORES, LangfuseExporter
from tests.collector import LANGFUSE, SCORES, Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
async def exporter(collector: Collector) -> AsyncIterator[LangfuseExporter]:
    exporter = LangfuseExporter(collector.url + "/", ("pk-lf-1", "sk-lf-2"), Metrics())
    async with exporter.running():
        yield exporter


def score(number: int, comment: str | None = None) -> Score:
    return Score(f"ans_{number}-key_1", "0a" * 16, 1, comment)


def answer(exporter: LangfuseExporter) -> None:
    """A question that was answered by a model that stalled."""
    with Tracer([exporter], content=True).begin("POST /api/v1/chat", kind="server") as root:
        root.share("question", {"session.id": "key_1/ses_1", "user.id": "usr_1"})
        root.quote("docent.question", lambda: masked("How large?"), 10)
        root.quote("docent.answer", lambda: masked("10 MB."), 6)
        begin_span("retrieval chunks", {"gen_ai.operation.name": "retrieval"}).end()
        span = begin_span("chat m", {"gen_ai.operation.name": "chat"}, kind="client")
        span.note(
            {
                "gen_ai.request.model": "m",
                "gen_ai.usage.input_tokens": 812,
                "docent.usage.cost_usd": 0.5,
                "gen_ai.response.time_to_first_chunk": 0.25,
            }
        )
        span.end("stalled")


async def test_a_generation_has_its_model_tokens_cost_and_first_token(
    collector: Collector, exporter: LangfuseExporter
) -> None:
    answer(exporter)
    assert await exporter.push()
    seen = collector.named("chat m", LANGFUSE)
    attributes = seen.attributes
    assert attributes["langfuse.observation.type"] == "generation"
    assert attributes["langfuse.observation.cost_details"] == '{"total":0.5}'
    begun = datetime.fromisoformat(attributes["langfuse.observation.completion_start_time"])
    assert begun.tzinfo == UTC
    assert begun.timestamp() == pytest.approx(seen.started_ns / 1e9 + 0.25, abs=1e-3)
    assert attributes["langfuse.observation.level"] == "ERROR"
    assert attributes["langfuse.observation.status_message"] == "stalled"
    assert attributes["gen_ai.request.model"] == "m"
    assert attributes["gen_ai.usage.input_tokens"] == 812


async def test_a_trace_has_its_session_user_question_and_answer(
    collector: Collector, exporter: LangfuseExporter
) -> None:
    answer(exporter)
    assert await exporter.push()
    for received in collector.spans(LANGFUSE):  # Langfuse filters span by span
        assert received.attributes["session.id"] == "key_1/ses_1"
        assert received.attributes["user.id"] == "usr_1"
    asked = collector.named("POST /api/v1/chat", LANGFUSE).attributes
    assert asked["langfuse.observation.type"] == "span"
    assert asked["langfuse.observation.input"] == "How large?"
    assert asked["langfuse.observation.output"] == "10 MB."
    found = collector.named("retrieval chunks", LANGFUSE).attributes
    assert found["langfuse.observation.type"] == "retriever"
    [delivery] = collector.deliveries
    credential = b64encode(b"pk-lf-1:sk-lf-2").decode()
    assert delivery.headers["authorization"] == f"Basic {credential}"
    assert delivery.headers["x-langfuse-ingestion-version"] == "4"


async def test_a_trace_that_a_caller_began_has_its_root_here(
    collector: Collector, exporter: LangfuseExporter
) -> None:
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with Tracer([exporter]).begin("POST /v1", kind="server", traceparent=parent) as root:
        root.share("question", {})
        begin_span("chat m", {}, kind="client").end()
    assert await exporter.push()
    first, inner = collector.named("POST /v1", LANGFUSE), collector.named("chat m", LANGFUSE)
    assert first.parent_id == "b7ad6b7169203331"
    assert first.attributes["langfuse.internal.as_root"] is True
    assert first.attributes["langfuse.trace.name"] == "POST /v1"
    assert "langfuse.internal.as_root" not in inner.attributes


async def test_only_questions_and_jobs_go_there(
    collector: Collector, exporter: LangfuseExporter
) -> None:
    tracer = Tracer([exporter])
    with tracer.begin("GET /api/v1/docs", kind="server"):
        pass
    with tracer.begin("ingest", kind="consumer") as job:
        job.share("job", {})
    assert await exporter.push()
    assert [span.name for span in collector.spans(LANGFUSE)] == ["ingest"]


async def test_scores_arrive_once_and_wait_for_a_receiver_that_is_away(
    collector: Collector, exporter: LangfuseExporter
) -> None:
    exporter.score(score(1, "Right."))
    collector.behaviour = "503"
    assert not await exporter.push()
    exporter.score(score(2))
    collector.behaviour = "ok"
    assert await exporter.push()
    assert await exporter.push()
    first = {"traceId": "0a" * 16, "name": "feedback", "value": 1, "dataType": "NUMERIC"}
    assert collector.scores == [
        {"id": "ans_1-key_1", **first, "comment": "Right."},
        {"id": "ans_2-key_1", **first},
    ]
    assert [delivery.path for delivery in collector.deliveries] == [SCORES]


async def test_scores_are_bounded(collector: Collector, exporter: LangfuseExporter) -> None:
    for number in range(MOST_SCORES + 3):
        exporter.score(score(number))
    assert await exporter.push()
    assert len(collector.scores) == MOST_SCORES
    assert collector.scores[0]["id"] == "ans_3-key_1"
