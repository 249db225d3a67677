"""Grafana's dashboards, written from the plain data below: `make dashboards`.

A panel is a title, a unit of Grafana's, and for each line its legend and expression. A test holds
the files to this one and the expressions to the metrics that there are.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
#: Grafana's grid has 24 columns.
COLUMNS, HEIGHT = 3, 8


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing."""

    title: str
    unit: str
    lines: dict[str, str]
    kind: str = "timeseries"


def quantiles(metric: str, selector: str = "", by: str = "") -> dict[str, str]:
    """Median, 95th and 99th percentile of a histogram."""
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return {
        f"p{share * 100:.0f}{legend}": f"histogram_quantile({share}, sum by ({labels}) "
        f"(rate({metric}_bucket{selector}[5m])))"
        for share in ((0.95,) if by else (0.5, 0.95, 0.99))
    }


def rate(metric: str, by: str, selector: str = "") -> dict[str, str]:
    """A counter's rate by a label."""
    return {f"{{{{{by}}}}}": f"sum by ({by}) (rate({metric}{selector}[5m]))"}


def share(part: str, whole: str) -> str:
    """One rate of another."""
    return f"sum(rate({part}[15m])) / sum(rate({whole}[15m]))"


CHAT = '{handler="/api/v1/chat", method="POST"}'
DASHBOARDS: dict[str, list[Panel]] = {
    "Health": [
        Panel("API processes", "none", {"api": 'sum(docent_processes{role="api"})'}, "stat"),
        Panel("Workers", "none", {"worker": 'sum(docent_processes{role="worker"})'}, "stat"),
        Panel(
            "Failed requests",
            "percentunit",
            {"5xx": share('http_requests_total{status=~"5.."}', "http_requests_total")},
            "stat",
        ),
        Panel("Requests by status", "reqps", rate("http_requests_total", "status")),
        Panel(
            "No valid credential, or too many requests",
            "reqps",
            rate("http_requests_total", "status", '{status=~"401|403|429"}'),
        ),
        Panel("Event-loop lag", "s", quantiles("docent_event_loop_lag_seconds")),
        Panel(
            "Connections to PostgreSQL",
            "none",
            {
                "{{state}}": "sum by (state) (docent_database_pool_connections)",
                "waiting": "sum(docent_database_pool_waiting)",
            },
        ),
        Panel("Uses of Redis without it", "ops", rate("docent_redis_away_total", "event")),
        Panel(
            "Records of answers given up",
            "ops",
            {"dropped": "sum(rate(docent_records_dropped_total[5m]))"},
        ),
        Panel(
            "Spans of traces given up", "ops", rate("docent_trace_spans_dropped_total", "reason")
        ),
    ],
    "Latency": [
        Panel("Answers", "s", quantiles("http_request_duration_seconds", CHAT)),
        Panel("Search", "s", quantiles("vector_search_duration_seconds")),
        Panel(
            "First token, 95th",
            "s",
            quantiles("docent_provider_first_token_seconds", by="provider"),
        ),
        Panel("Routes, 95th", "s", quantiles("http_request_duration_seconds", by="handler")),
        Panel("Searches", "reqps", rate("vector_search_requests_total", "status")),
        Panel("Attempts, 95th", "s", quantiles("docent_provider_duration_seconds", by="provider")),
    ],
    "Providers and cost": [
        Panel(
            "Circuits (0 closed, 1 half-open, 2 open)",
            "none",
            {"{{provider}} {{model}}": "max by (provider, model) (docent_provider_circuit_state)"},
        ),
        Panel("Attempts by outcome", "reqps", rate("docent_provider_attempts_total", "outcome")),
        Panel("Attempts by provider", "reqps", rate("docent_provider_attempts_total", "provider")),
        Panel(
            "US dollars an hour",
            "currencyUSD",
            {"{{model}}": "sum by (model) (rate(docent_provider_cost_usd_total[1h])) * 3600"},
        ),
        Panel("Tokens a second", "none", rate("docent_provider_tokens_total", "kind")),
        Panel(
            "Refusals that people must end",
            "none",
            {
                "{{provider}} {{reason}}": "sum by (provider, reason) "
                "(increase(docent_provider_alerts_total[1h]))"
            },
        ),
    ],
    "Ingestion": [
        Panel("Waiting jobs", "none", {"jobs": "max(docent_ingestion_queue_jobs)"}),
        Panel("Oldest waiting job", "s", {"age": "max(docent_ingestion_queue_age_seconds)"}),
        Panel("Jobs by outcome", "ops", rate("docent_ingestion_jobs_total", "outcome")),
        Panel("Time of a job", "s", quantiles("docent_ingestion_job_duration_seconds")),
    ],
    "Quality": [
        Panel(
            "Answers that are no whole ones",
            "percentunit",
            {"share": share('docent_answers_total{status!="complete"}', "docent_answers_total")},
        ),
        Panel("Answers by status", "reqps", rate("docent_answers_total", "status")),
        Panel("Why there was none", "reqps", rate("docent_answers_total", "reason")),
        Panel(
            "Nearest chunks that the index finds",
            "percentunit",
            {"of {{k}}": "min by (k) (vector_search_recall)"},
        ),
        Panel(
            "Answers given again",
            "percentunit",
            {
                "hits": share(
                    'docent_cache_requests_total{event="hit"}', "docent_cache_requests_total"
                )
            },
        ),
        Panel("Reranking by a model", "reqps", rate("docent_reranks_total", "outcome")),
        Panel("Shapes of attacks", "reqps", rate("docent_questions_flagged_total", "shape")),
    ],
}


def dashboard(title: str, panels: list[Panel]) -> dict[str, Any]:
    """A dashboard as Grafana imports it."""
    return {
        "uid": f"docent-{slug(title)}",
        "title": f"Docent: {title}",
        "tags": ["docent"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def slug(title: str) -> str:
    """The name of a dashboard's file."""
    return title.lower().replace(" ", "-")


def written(title: str) -> str:
    """The text of a dashboard's file."""
    return json.dumps(dashboard(title, DASHBOARDS[title]), indent=1) + "\n"


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    width = 24 // COLUMNS
    return {
        "id": number + 1,
        "title": panel.title,
        "type": panel.kind,
        "datasource": SOURCE,
        "gridPos": {
            "x": number % COLUMNS * width,
            "y": number // COLUMNS * HEIGHT,
            "w": width,
            "h": HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": expression, "legendFormat": legend}
            for place, (legend, expression) in enumerate(panel.lines.items())
        ],
    }


if __name__ == "__main__":
    for name in DASHBOARDS:
        (TARGET / f"{slug(name)}.json").write_text(written(name))
