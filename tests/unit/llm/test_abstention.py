"""When nothing is claimed; the threshold that ships stands on the curve that ships."""

import json

import pytest

from app.llm import abstention
from app.llm.abstention import Abstention, best_cosine, claim_of
from app.llm.evidence import gather
from tests.unit.llm.asking import source

TEXT = "A file may be at most 10 MB large. Files older than five days are closed automatically."
QUESTION = "How large may a file be?"


def judged(question: str, *sources) -> str | None:
    return Abstention().judge(question, gather(question, sources))


@pytest.mark.parametrize(
    ("question", "similarity", "reason"),
    [
        (QUESTION, 0.6, None),
        (QUESTION, None, None),
        ("How large may a file of Nike be?", 0.9, "no_match"),
        ("Who won the world cup in football?", 0.9, "no_match"),
        ("Which files do castles keep?", 0.1, "weak_match"),
        ("Which files do castles keep?", None, "weak_match"),
    ],
)
def test_why_nothing_is_claimed(question: str, similarity: float | None, reason: str) -> None:
    assert judged(question, source(TEXT, similarity=similarity)) == reason


def test_nothing_found_is_no_match() -> None:
    assert judged(QUESTION) == "no_match"
    assert best_cosine([]) is None
    assert claim_of(gather(QUESTION, []), 0.9) == 0


def test_nearer_passages_and_better_sentences_claim_more() -> None:
    near = gather(QUESTION, [source(TEXT)])
    far = gather("How large may a garden be?", [source(TEXT)])
    assert claim_of(near, 0.5) > claim_of(far, 0.5)
    assert claim_of(near, 0.6) > claim_of(near, 0.5)


def test_the_threshold_is_a_point_of_its_curve() -> None:
    kept = json.loads(abstention._DATA.read_text(encoding="utf-8"))
    points = {point["threshold"]: point for point in kept["abstains"]}
    chosen = points[kept["threshold"]]
    assert chosen["answerable"] <= 0.025
    assert chosen["elsewhere"] >= 0.9
    shares = [point["near"] for point in kept["abstains"]]
    assert shares == sorted(shares)


def test_what_only_a_title_names_is_not_answered() -> None:
    leave = source("Employees are entitled to leave.", title="Zeppelin handbook", similarity=0.8)
    assert judged("Who founded Zeppelin?", leave) == "weak_match"
    assert judged("Zeppelin", leave) is None
