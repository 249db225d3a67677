# ruff: noqa: RUF001 - letters of many scripts
"""The weights that candidates are ordered by: whole, and chosen by the question's language."""

import json

import pytest

from app.retrieval import rerank
from app.retrieval.rerank import FEATURES, Rankings

MINILM = "all-MiniLM-L6-v2"
QUESTION = "How large may a file be?"


def test_every_kind_weighs_every_feature() -> None:
    kinds = json.loads(rerank._DATA.read_text(encoding="utf-8"))["kinds"]
    for kind in kinds.values():
        assert set(kind) == {"text_weight", *FEATURES}
        assert 0 <= kind["text_weight"] <= 1
        assert all(kind[name] >= 0 for name in FEATURES)
    for model in (MINILM, "another"):
        for question in (QUESTION, "Wie groß darf eine Datei sein?"):
            assert sum(Rankings(model=model).for_question(question).weights) == pytest.approx(1)


@pytest.mark.parametrize(
    ("question", "language"),
    [("Wie groß darf eine Datei sein?", "german"), ("上限是多少？", "simple"),
     ("ขนาดไฟล์", "simple")],
)  # fmt: skip
def test_beyond_english_words_count_more_than_an_english_models_vectors(
    question: str, language: str
) -> None:
    english, other = Rankings(model=MINILM), Rankings(model="speaks-many-languages")
    found = english.for_question(question)
    assert found.language == language
    assert found.text_weight > english.for_question(QUESTION).text_weight
    assert other.for_question(question).weights == other.for_question(QUESTION).weights


@pytest.mark.parametrize("question", ["disk quota", "10 MB", ""])
def test_a_question_without_a_language_is_treated_as_english(question: str) -> None:
    rankings = Rankings(model=MINILM)
    found = rankings.for_question(question)
    assert found.language is None
    assert found.weights == rankings.for_question(QUESTION).weights
