"""Every benchmark runs to its end in its smallest form; what it measures is nobody's concern here.

The demo's needs a browser and is tried among the browser's tests.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import MODEL_DIR, Settings
from scripts.benchmarks import RESULTS
from tests.conftest import ROOT

#: What each is run with, the files it writes, and what stands in its tables.
RUNS: dict[str, tuple[list[str], set[str], list[str]]] = {
    "cache": (
        [],
        {"cache.json", "cache.md"},
        ["| 1 | ", "| 32 | ", "| clients | CPU ms of a hit |"],
    ),
    "chat": (
        [],
        {"chat.json", "chat.md"},
        [
            "| JSON, 1 client | Docent |",
            "| JSON, 32 clients | provider, directly |",
            "| stream, a packet per token, 1000 tokens | Docent |",
            "| stream, a token every 2 ms | provider, directly |",
            "| CPU us of a token, stream, one write <= 25 |",
        ],
    ),
    "embedding": (
        [f"--model=first={MODEL_DIR}", f"--model=second={MODEL_DIR}", "--data=."],
        {"embedding.json"},
        ["chunk_ms", "memory_mb", "chunk_speedup", "squad2", "xquad en", "financebench"],
    ),
    "events": ([], set(), ["published 700 at", "3500 deliveries to 5 listeners"]),
    "exporters": (
        [],
        {"exporters.json", "exporters.md"},
        [
            "| nothing | 20 |",
            "| OTLP and Langfuse | 20 |",
            "| Datadog and Langfuse | 20 |",
        ],
    ),
    "ingest": (
        [],
        {"ingest.json", "ingest.md"},
        [
            "| one PDF, share of the ceiling (>= .85) |",
            "| one page changed: chunks embedded | 1 |",
            "| unchanged files/s (>= 500) |",
        ],
    ),
    "load": (
        [],
        {"load.json", "load.md"},
        ["| 10 | asked before |", "| 10 | new |", "| 10 | new, streamed |", "No error and 95 %"],
    ),
    "limits": ([], set(), ["1 at once:", "32 at once:", "budget 0.3 ms together:"]),
    "llm_client": (
        [],
        {"llm_client.json"},
        ["packet per token", "one write", "ours through the router", "bare aiohttp + orjson"],
    ),
    "search": (
        [],
        {"search.json", "search.md"},
        [
            "| ours: Retriever, hybrid |",
            "| bare psycopg, plain SELECT |",
            "| stock halfvec, hybrid |",
            "hybrid p50 <= 10 ms:",
        ],
    ),
}


def run(name: str, folder: Path, *arguments: str) -> str:
    """What a benchmark prints, with no settings but the defaults."""
    ours = {setting.upper() for setting in Settings.model_fields}
    done = subprocess.run(
        [sys.executable, "-m", f"scripts.benchmark_{name}", "--quick", *arguments],
        cwd=folder,
        env={
            **{key: value for key, value in os.environ.items() if key not in ours},
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_questions(folder: Path) -> None:
    """The four sets of questions of the embedding's benchmark, each as small as can be."""
    passage = {"id": "p", "title": "Beacon", "text": "The beacon is amber.", "lang": "en"}
    question = {"question": "Which colour?", "answerable": True, "passage_ids": ["p"], "lang": "en"}
    for name in ("squad2", "cranfield", "xquad", "financebench"):
        (folder / name).mkdir()
        (folder / name / "passages.jsonl").write_text(json.dumps(passage))
        (folder / name / "questions.jsonl").write_text(json.dumps(question))


def test_none_is_forgotten() -> None:
    found = {path.stem for path in (ROOT / "scripts").glob("benchmark_*.py")}
    assert found == {f"benchmark_{name}" for name in (*RUNS, "demo")}


@pytest.mark.parametrize("name", RUNS)
def test_it_runs_to_its_end_and_has_its_rows(name: str, tmp_path: Path) -> None:
    arguments, files, rows = RUNS[name]
    write_questions(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in RESULTS.iterdir()}
    output = [f"--output={tmp_path / 'results'}"] if files else []
    said = run(name, tmp_path, *arguments, *output)
    assert [row for row in rows if row not in said] == [], said
    written = {path.name: path.read_text() for path in tmp_path.glob("results/*")}
    assert written.keys() == files
    for file, text in written.items():
        if file.endswith(".json"):
            assert json.loads(text)
        else:
            assert [row for row in rows if row.startswith("|") and row not in text] == []
    assert {path: path.stat().st_mtime_ns for path in RESULTS.iterdir()} == before
