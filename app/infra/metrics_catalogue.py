"""The catalogue: every metric with its help, its labels and what it means over processes."""

from dataclasses import dataclass
from typing import Literal

Labels = tuple[str, ...]

#: Seconds. Requests last from a probe's 1 ms to a minute of streaming, searches 1 ms to 5 s.
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SEARCH_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_PROVIDER_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60)
_JOB_S = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_LAG_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One line of the catalogue; ``buckets`` are upper bounds of a histogram."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Labels = ()
    buckets: tuple[float, ...] = ()
    #: What a gauge says for several processes: their sum, or the value that was set last.
    combined: Literal["sum", "latest"] = "sum"


REQUESTS = Metric(
    "http_requests_total",
    "counter",
    "Requests by route template; status 499 means the client left before the answer began.",
    ("handler", "method", "status"),
)
REQUEST_SECONDS = Metric(
    "http_request_duration_seconds",
    "histogram",
    "Time from a request to the end of its answer, streams included.",
    ("handler", "method"),
    _REQUEST_S,
)
ATTEMPTS = Metric(
    "docent_provider_attempts_total",
    "counter",
    "Tries at language model providers by how they ended.",
    ("provider", "model", "outcome"),
)
PROVIDER_SECONDS = Metric(
    "docent_provider_duration_seconds",
    "histogram",
    "Time of one try at a provider; providers that are cooling down are not tried.",
    ("provider", "model"),
    _PROVIDER_S,
)
FIRST_TOKEN_SECONDS = Metric(
    "docent_provider_first_token_seconds",
    "histogram",
    "Time to the first piece of text.",
    ("provider", "model"),
    _PROVIDER_S,
)
TOKENS = Metric(
    "docent_provider_tokens_total",
    "counter",
    "Tokens as providers count them; kind is prompt or completion.",
    ("provider", "model", "kind"),
)
COST = Metric(
    "docent_provider_cost_usd_total",
    "counter",
    "What providers cost in US dollars, as far as prices are known.",
    ("provider", "model"),
)
CIRCUIT = Metric(
    "docent_provider_circuit_state",
    "gauge",
    "Whether a provider is left alone: 0 closed, 1 half-open, 2 open.",
    ("provider", "model"),
    combined="latest",
)
ALERTS = Metric(
    "docent_provider_alerts_total",
    "counter",
    "Refusals that only people can end: a bad key, no credit.",
    ("provider", "reason"),
)
SEARCH_SECONDS = Metric(
    "vector_search_duration_seconds",
    "histogram",
    "Time of one search of the chunk table, the question's embedding not included.",
    ("status", "model"),
    _SEARCH_S,
)
SEARCHES = Metric(
    "vector_search_requests_total", "counter", "Searches of the chunk table.", ("status",)
)
RECALL = Metric(
    "vector_search_recall",
    "gauge",
    "Share of the k nearest chunks that the index finds, of a question that was asked.",
    ("k",),
    combined="latest",
)
RERANKS = Metric(
    "docent_reranks_total",
    "counter",
    "Searches whose order a reranking model was asked for; unless ok, the built-in order stayed.",
    ("outcome",),
)
ANSWERS = Metric(
    "docent_answers_total",
    "counter",
    "Answers by status, and the reason of those that are none.",
    ("status", "reason"),
)
FLAGGED = Metric(
    "docent_questions_flagged_total",
    "counter",
    "Questions that look like an attack on the model, by its known shape; all are answered.",
    ("shape",),
)
JOBS = Metric(
    "docent_ingestion_jobs_total",
    "counter",
    "Ingestion jobs by how they ended; interrupted ones are tried again.",
    ("outcome",),
)
JOB_SECONDS = Metric(
    "docent_ingestion_job_duration_seconds",
    "histogram",
    "Time a worker spent on one ingestion job.",
    ("outcome",),
    _JOB_S,
)
QUEUE_DEPTH = Metric(
    "docent_ingestion_queue_jobs",
    "gauge",
    "Ingestion jobs that wait for a worker.",
    combined="latest",
)
QUEUE_AGE = Metric(
    "docent_ingestion_queue_age_seconds",
    "gauge",
    "How long the longest waiting ingestion job has waited.",
    combined="latest",
)
LOOP_LAG = Metric(
    "docent_event_loop_lag_seconds",
    "histogram",
    "How late a timer of the event loop was.",
    buckets=_LAG_S,
)
POOL = Metric(
    "docent_database_pool_connections",
    "gauge",
    "Connections to the database; state is used or idle.",
    ("state",),
)
POOL_WAITING = Metric(
    "docent_database_pool_waiting", "gauge", "Requests that wait for a connection to the database."
)
REDIS_AWAY = Metric(
    "docent_redis_away_total",
    "counter",
    "Uses of Redis that went on without it; event is failed, skipped by the breaker, or full.",
    ("event",),
)
CACHE = Metric(
    "docent_cache_requests_total",
    "counter",
    "Look-ups of a cache, by hit or miss.",
    ("cache", "event"),
)
RECORDS_DROPPED = Metric(
    "docent_records_dropped_total",
    "counter",
    "Records of answers that were given up, because too many waited for the database.",
)
SPANS_DROPPED = Metric(
    "docent_trace_spans_dropped_total",
    "counter",
    "Spans of traces that were given up: too many waited (full), their receiver failed or refused "
    "them, or the process ended.",
    ("exporter", "reason"),
)
PROCESSES = Metric("docent_processes", "gauge", "Processes that are running.", ("role",))
