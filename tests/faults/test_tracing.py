"""Fault row O2: whoever takes the traces is down, slow or says no, and nobody notices.

`make serve` with four workers sends to a collector and to a Langfuse, both made of lies; what they
get is also searched for every secret that went through.
"""

import re
import statistics
import time
from collections.abc import Iterator

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tests.collector import LANGFUSE, OTLP, Collector, collecting
from tests.fake_provider import ANSWER
from tests.faults.pair import Pair, serve, started_pair, stop
from tests.faults.running import QUESTION, until

WORKERS, ASKED = 4, 40
#: The 99th percentile of a machine that is shared says little: medians are compared, and the worst
#: is to stay far below the five seconds that a delivery is waited for.
SLOWER, WORST_MS = 1.5, 1500.0
LANGFUSE_SECRET = "sk-lf-" + "canary" * 4
#: Secrets that go through everything: in headers, questions, sessions and comments.
CANARIES = {
    "brought key": "sk-or-" + "canary" * 5,
    "e-mail": "canary@example.org",
    "bearer": "canarycanarycanary",
    "api key": "dk_" + "canary" * 7,
}
ASKING = (
    f"{QUESTION} Write to {CANARIES['e-mail']}, Authorization: Bearer {CANARIES['bearer']}, "
    f'api_key="{CANARIES["api key"]}" and {CANARIES["brought key"]}'
)
FAULTS = ["silent", "slow:2", "408", "500", "401", "refused"]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def pair(collector: Collector) -> Iterator[Pair]:
    settings: dict[str, object] = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url + OTLP,
        "LANGFUSE_BASE_URL": collector.url,
        "LANGFUSE_PUBLIC_KEY": "pk-lf-canary-public",
        "LANGFUSE_SECRET_KEY": LANGFUSE_SECRET,
        "TRACING_CONTENT": "masked",
        "WORKERS": WORKERS,
        "LOG_JSON": True,
        "LOG_LEVEL": "INFO",
    }
    with started_pair(**settings) as pair:
        yield pair


def dropped(pair: Pair, reason: str = r"\w+") -> float:
    """Spans that were given up, over all workers."""
    pattern = rf'^docent_trace_spans_dropped_total\{{.*reason="{reason}".*\}} (\S+)$'
    found = re.findall(pattern, pair.docent.get("/metrics").text, re.MULTILINE)
    return sum(map(float, found))


def rss_mb(pair: Pair) -> float:
    return sum(psutil.Process(pid).memory_info().rss for pid in pair.workers()) / 2**20


def test_every_worker_exports_whole_traces(pair: Pair, collector: Collector) -> None:
    answers = [pair.ask().outcome for _ in range(ASKED)]
    wanted = {answer["trace_id"] for answer in answers}

    def arrived() -> bool:
        return all(
            wanted <= {span.trace_id for span in collector.spans(path) if not span.parent_id}
            for path in (OTLP, LANGFUSE)
        )

    until(arrived, 60, "all traces")
    spans = collector.spans()
    assert len({span.instance for span in spans}) == WORKERS
    trace = [span for span in spans if span.trace_id == answers[0]["trace_id"]]
    by_name = {span.name: span for span in trace}
    root = by_name["POST /api/v1/chat"]
    assert root.attributes["docent.answer.id"] == answers[0]["answer_id"]
    assert {"retrieval chunks", "grounding", "embeddings all-MiniLM-L6-v2"} <= set(by_name)
    attempts = [span for span in trace if span.name.startswith("chat ")]
    assert [span.attributes["gen_ai.provider.name"] for span in attempts] == ["openrouter"]
    assert attempts[0].attributes["gen_ai.usage.input_tokens"] > 0
    assert ANSWER in attempts[0].attributes["gen_ai.output.messages"]
    known = {span.span_id for span in trace}
    assert all(span.parent_id in known for span in trace if span is not root)
    lines = pair.docent.programs[-1].lines
    assert any(f'"trace_id": "{root.trace_id}"' in line for line in lines)


def test_an_opinion_becomes_a_score_of_its_trace(pair: Pair, collector: Collector) -> None:
    answer = pair.ask().outcome
    opinion = {"score": -1, "comment": f"Ask {CANARIES['e-mail']}"}
    with pair.client() as client:
        path = f"/api/v1/answers/{answer['answer_id']}/feedback"
        assert client.post(path, json=opinion).status_code == 204
    until(lambda: collector.scores, 60, "the score")
    [score] = collector.scores
    assert (score["traceId"], score["value"]) == (answer["trace_id"], -1)
    assert score["comment"] == "Ask ***"
    assert score["id"].startswith(answer["answer_id"])


def test_no_secret_arrives(pair: Pair, collector: Collector) -> None:
    pair.recover()
    for behaviour in ("ok", "error_200:502", "html"):
        pair.faulty.behave(behaviour)
        body = {"question": ASKING, "session_id": CANARIES["e-mail"], "model": pair.model}
        headers = {
            "X-Provider-Key-OpenRouter": CANARIES["brought key"],
            "X-Request-ID": CANARIES["api key"],
        }
        with pair.client() as client:
            answer = client.post("/api/v1/chat", json=body, headers=headers).json()
        until(
            lambda answer=answer: answer["trace_id"] in collector.text, 60, "the trace has arrived"
        )
    until(lambda: collector.text.count("Write to ***") > 3, 60, "what was asked, masked")
    seen = collector.text
    for name, secret in {
        **CANARIES,
        "of Langfuse": LANGFUSE_SECRET,
        "ours": pair.docent.key,
    }.items():
        assert secret not in seen, name
    assert "key-of-the-first" not in seen
    log = "\n".join(pair.docent.programs[-1].lines)
    assert "canary" not in log


@pytest.mark.parametrize("fault", FAULTS)
def test_a_receiver_at_fault_changes_nothing(pair: Pair, collector: Collector, fault: str) -> None:
    pair.recover()
    collector.behaviour = "ok"
    usual = statistics.median(one.ms for one in pair.ask_all(ASKED))
    memory_mb = rss_mb(pair)
    if fault == "refused":
        collector.refuse()
    else:
        collector.behaviour = fault
    before = dropped(pair)
    try:
        asked = pair.ask_all(ASKED)
    finally:
        if fault == "refused":
            collector.listen()
    assert {one.status for one in asked} == {200}
    times = [one.ms for one in asked]
    print(
        f"{fault}: median {statistics.median(times):.1f} ms (usually {usual:.1f}), worst"
        f" {max(times):.0f}; memory {memory_mb:.0f} -> {rss_mb(pair):.0f} MB;"
        f" dropped {dropped(pair) - before:.0f}"
    )
    assert statistics.median(times) < SLOWER * usual + 5
    assert max(times) < WORST_MS
    assert rss_mb(pair) < memory_mb + 20
    if fault == "401":
        until(lambda: dropped(pair, "refused") > 0, 60, "what is refused is counted")


def test_the_end_is_not_held_up_and_by_default_nothing_that_was_said_leaves(
    pair: Pair, collector: Collector
) -> None:
    collector.behaviour = "silent"
    pair.ask_all(5)
    started = time.monotonic()
    stop(pair.docent.programs[-1])
    assert time.monotonic() - started < 40

    collector.refuse()  # whoever still waits for it
    collector.listen()
    collector.behaviour = "ok"
    serve(pair.docent, TRACING_CONTENT="off")
    collector.deliveries.clear()
    trace_id = pair.ask().outcome["trace_id"]
    until(
        lambda: any(s.trace_id == trace_id and not s.parent_id for s in collector.spans()),
        60,
        "the trace",
    )
    assert collector.named("retrieval chunks").attributes["docent.retrieval.passages"] > 0
    for said in (QUESTION, ANSWER, "amber", "docking"):
        assert said not in collector.text
