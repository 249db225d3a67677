"""What the rooms say, and that a label never grows beyond its bounds."""

import pytest

from app.infra import metrics_catalogue
from app.infra.metrics import MAX_SERIES, Metrics, NullBackend
from app.infra.metrics_catalogue import (
    CIRCUIT,
    COST,
    JOB_SECONDS,
    JOBS,
    PROVIDER_SECONDS,
    REQUESTS,
    TOKENS,
    Metric,
)
from tests.fakes import Recorder

CATALOGUE = [value for value in vars(metrics_catalogue).values() if isinstance(value, Metric)]
#: Labels whose values come from code, routes or configuration; a new one needs a thought.
LABELS = {
    "cache",
    "event", "exporter", "handler", "k", "kind", "method", "model", "outcome", "provider",
    "reason", "role", "shape", "state", "status",
}  # fmt: skip


def say_everything(metrics: Metrics) -> None:
    """Use every method once."""
    metrics.request("GET", "/livez", 200, 0.001)
    metrics.provider_attempt("groq", "m", "ok", 0.5)
    metrics.provider_first_token("groq", "m", 0.2)
    metrics.provider_usage("groq", "m", prompt_tokens=7, completion_tokens=3, cost_usd=0.25)
    metrics.provider_alert("groq", "auth_failed")
    metrics.circuit("groq", "m", "half_open")
    metrics.search("minilm", "ok", 0.002)
    metrics.recall(10, 0.9)
    metrics.rerank("ok")
    metrics.answer("abstained", "no_match")
    metrics.flagged("override")
    metrics.job("succeeded", 1.5)
    metrics.backlog(4, 12.5)
    metrics.loop_lag(0.002)
    metrics.pool(used=1, idle=2, waiting=3)
    metrics.redis_away("failed")
    metrics.record_dropped()
    metrics.cache("answer", "hit")
    metrics.spans_dropped("otlp", "full")
    metrics.running("api")


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_every_metric_says_what_it_is_and_is_fed(metric: Metric) -> None:
    assert metric.help.endswith(".")
    assert set(metric.labels) <= LABELS
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    told = Recorder()
    say_everything(Metrics(told))
    assert {len(labels) for labels, _ in told.of(metric)} == {len(metric.labels)}


def test_no_two_metrics_share_a_name() -> None:
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE) > 20


def test_what_clients_invent_becomes_other() -> None:
    told = Recorder()
    metrics = Metrics(told)
    metrics.request("BREW", "none", 405, 0.001)
    for number in range(MAX_SERIES + 5):
        metrics.provider_attempt("openai", f"model-{number}", "ok", 0.1)
    metrics.provider_attempt("openai", "model-0", "ok", 0.1)
    assert told.of(REQUESTS) == [(("none", "other", "405"), 1)]
    series = [labels for labels, _ in told.of(PROVIDER_SECONDS)]
    assert len(set(series)) == MAX_SERIES + 1
    assert series[-6:] == [("other", "other")] * 5 + [("openai", "model-0")]


def test_a_provider_that_was_skipped_took_no_time() -> None:
    told = Recorder()
    Metrics(told).provider_attempt("groq", "m", "cooling_down", 0.0)
    assert told.of(PROVIDER_SECONDS) == []


def test_what_an_answer_took() -> None:
    told = Recorder()
    metrics = Metrics(told)
    metrics.provider_usage("a", "m", prompt_tokens=7, completion_tokens=3, cost_usd=0.25)
    metrics.provider_usage("b", "m", prompt_tokens=1, completion_tokens=0, cost_usd=None)
    assert told.of(TOKENS)[:2] == [(("a", "m", "prompt"), 7), (("a", "m", "completion"), 3)]
    assert told.of(COST) == [(("a", "m"), 0.25)]


def test_states_of_a_circuit_are_numbers() -> None:
    told = Recorder()
    for state in ("closed", "half_open", "open"):
        Metrics(told).circuit("groq", "m", state)
    assert [value for _, value in told.of(CIRCUIT)] == [0, 1, 2]


def test_a_job_that_was_given_up_took_no_time_now() -> None:
    told = Recorder()
    Metrics(told).job("dead")
    assert (told.of(JOBS), told.of(JOB_SECONDS)) == ([(("dead",), 1)], [])


async def test_nothing_is_measured_by_default() -> None:
    metrics = Metrics()
    say_everything(metrics)
    assert await metrics.page() is None
    assert NullBackend().page() is None
