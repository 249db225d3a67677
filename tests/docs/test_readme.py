"""The figures of the front page are those of the measurements it links to."""

import json
import re
from typing import Any

from tests.conftest import ROOT

README = " ".join((ROOT / "README.md").read_text().split())


def measured(name: str) -> Any:
    return json.loads((ROOT / "docs" / "benchmarks" / f"{name}.json").read_text())


def told(pattern: str) -> list[float]:
    found = re.search(pattern, README)
    assert found, pattern
    return [float(figure) for figure in found.groups()]


def test_search() -> None:
    figures = r"100,000 chunks takes ([\d.]+) ms, .* takes (\d+) ms, or (\d+) ms set up by hand"
    (large,) = (size for size in measured("search")["sizes"] if size["chunks"] == 100_000)
    p50_ms = {row["engine"]: row["p50_ms"] for row in large["rows"]}
    ours = p50_ms["ours: Retriever, hybrid"]
    stock = [p50_ms[f"stock {how}, hybrid"] for how in ("default", "vector")]
    assert told(figures) == [round(ours, 1), *map(round, stock)]


def test_answers() -> None:
    figures = (
        r"Docent adds (\d+) ms to an answer, the least that LlamaIndex and FastAPI can do (\d+) ms"
    )
    added_ms = {
        row["target"]: row["added_p50_ms"]
        for row in measured("chat")["rows"]
        if row["case"] == "JSON, 32 clients at 25/s"
    }
    naive = added_ms["FastAPI + LlamaIndex + PGVectorStore"]
    assert told(figures) == [round(added_ms["Docent"]), round(naive)]


def test_load() -> None:
    figures = (
        r"answer (\d+) questions a second of (\d+) users at once, 95 % of them within ([\d.]+) s"
    )
    load = measured("load")
    rate, users, within_s = told(figures)
    rows = [row for row in load["rows"] if row["rate"] == rate]
    assert users == load["users"]
    assert rows
    assert all(row["p95_ms"] <= within_s * 1000 for row in rows)
    assert not any(row["errors"] for row in rows)
