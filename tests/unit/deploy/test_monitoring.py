"""Alerts and dashboards: every expression parses, and asks for metrics and labels that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser as promql
import pytest
import yaml

from app.infra import metrics_catalogue
from app.infra.metrics_catalogue import Metric
from scripts.dashboards import DASHBOARDS, TARGET, slug, written
from tests.faults.provider_faults import FAULTS as PROVIDER_FAULTS

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
RUNBOOKS = ROOT / "docs" / "operations" / "runbooks.md"
#: Where the runbook of providers' faults begins, which is by their outcome.
ATTEMPTS = "### Attempts at providers"
FAULTS = ROOT / "docs" / "fault-table.md"
CATALOGUE = [value for value in vars(metrics_catalogue).values() if isinstance(value, Metric)]
#: What Prometheus itself adds to every target, under the labels that we give our targets.
LABELS = {"up": {"job", "role", "instance"}}
for metric in CATALOGUE:
    for suffix in ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",):
        LABELS[metric.name + suffix] = {*metric.labels, *({"le"} if suffix == "_bucket" else ())}


def alerts() -> list[dict]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"]


def faults(expression: str) -> list[str]:
    """What is wrong with an expression: syntax, names of metrics, labels, rates of gauges."""
    try:
        tree = promql.parse(expression)
    except ValueError as error:
        return [str(error)]
    found: list[str] = []
    _look(tree, found)
    return found


def _look(node: object, found: list[str]) -> set[str]:
    """Complain into ``found``; the labels that series of this node may have."""
    labels: set[str] = set()
    match node:
        case promql.VectorSelector():
            labels = LABELS.get(node.name, set())
            if node.name not in LABELS:
                found.append(f"no metric {node.name}")
            else:
                asked = {matcher.name for matcher in node.matchers.matchers}
                found += [f"{node.name} has no label {label}" for label in asked - labels]
        case promql.AggregateExpr():
            labels = set(node.modifier.labels if node.modifier else ())
            lost = labels - _look(node.expr, found)
            found += [f"aggregated by {label}, which is not there" for label in lost]
        case _:
            names = ("expr", "lhs", "rhs", "vector_selector")
            parts = [getattr(node, name) for name in names if hasattr(node, name)]
            for part in (*parts, *getattr(node, "args", ())):
                labels |= _look(part, found)
    return labels


@pytest.mark.parametrize(("where", "expression"), [*expressions()], ids=lambda text: text[:60])
def test_an_expression_asks_for_what_there_is(where: str, expression: str) -> None:
    assert faults(expression) == [], where


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("sum(rate(http_requests_total[5m])", "unclosed"),
        ("rate(http_requests_totals[5m])", "no metric http_requests_totals"),
        ('http_requests_total{code="500"}', "http_requests_total has no label code"),
        ("sum by (tenant) (http_requests_total)", "aggregated by tenant"),
        ("histogram_quantile(0.9, rate(vector_search_duration_seconds[5m]))", "no metric"),
        ("1 + max(sum by (le) (docent_event_loop_lag_seconds_count))", "aggregated by le"),
    ],
)
def test_what_is_wrong_is_found(expression: str, fault: str) -> None:
    assert fault in " ".join(faults(expression))


def test_every_metric_is_seen_somewhere() -> None:
    text = " ".join(expression for _, expression in expressions())
    unseen = {metric.name for metric in CATALOGUE if metric.name not in text}
    assert unseen == set()


def test_the_dashboards_are_those_of_the_script() -> None:
    files = {path.name: path.read_text() for path in TARGET.iterdir()}
    assert files == {f"{slug(title)}.json": written(title) for title in DASHBOARDS}, (
        "run `make dashboards`"
    )


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_alert_has_a_runbook_a_summary_and_a_severity() -> None:
    for rule in alerts():
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert ROOT / path == RUNBOOKS
        assert anchor == rule["alert"].lower()
        assert anchor in anchors(RUNBOOKS), rule["alert"]
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")
    sections = {anchor for anchor in anchors(RUNBOOKS) if anchor.startswith("docent")}
    assert sections == {rule["alert"].lower() for rule in alerts()}


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in a page, without their heads."""
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if " | " in line]
    return [row for row in cells if row[0] not in ("fault", "outcome")]


def fault_rows() -> list[list[str]]:
    """The fault table without the tables of providers' faults, which come with figures."""
    before, _, rest = FAULTS.read_text().partition("<!-- provider faults")
    return rows(before + rest.partition("<!-- end -->")[2])


def runbook_rows() -> list[list[str]]:
    """What to do for each of them."""
    return rows(RUNBOOKS.read_text().partition(ATTEMPTS)[0])


def test_every_outcome_of_an_attempt_has_its_row() -> None:
    told = rows(RUNBOOKS.read_text().partition(ATTEMPTS)[2])
    outcomes = {name for row in told for name in re.findall(r"`(\w+)`", row[0])}
    assert {fault.outcome for fault in PROVIDER_FAULTS} == outcomes


def test_every_fault_has_its_row_and_every_link_leads_somewhere() -> None:
    assert {row[0] for row in runbook_rows()} == {row[0] for row in fault_rows()}
    for page in sorted(RUNBOOKS.parent.glob("*.md")):
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not link.startswith("http"):
                assert target.exists(), f"{page.name}: {link}"
                assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_every_fault_is_proved_by_tests_that_exist() -> None:
    for fault, *_, proof in fault_rows():
        named = re.findall(r"`([\w/]+/test_\w+)`", proof)
        assert named, fault
        for name in named:
            assert (ROOT / "tests" / f"{name}.py").exists(), f"{fault}: {name}"


def test_what_a_fault_is_seen_by_is_said_somewhere() -> None:
    """Metrics, events of the log, codes of problems: each stands in the code as it is written."""
    code = "".join(path.read_text() for path in (ROOT / "app").rglob("*.py"))
    for fault, seen, *_ in runbook_rows():
        for name in re.findall(r"`([a-z_]+)`", seen):
            assert f'"{name}"' in code, f"{fault}: {name}"
