"""The demo's benchmark runs to its end; what it measures is nobody's concern here."""

from pathlib import Path

from tests.slow.test_benchmarks import run


def test_it_runs_to_its_end_and_has_its_rows(tmp_path: Path) -> None:
    said = run("demo", tmp_path, "--output=results")
    for row in ("| the first question of a conversation | 2 |", "| the questions after it | 6 |"):
        assert row in said
        assert row in (tmp_path / "results" / "demo.md").read_text()
