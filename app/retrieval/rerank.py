"""How candidates are put in order: what speaks for each, and how much each of these counts.

The database finds the candidates of both rankings and gives each its features, numbers from 0 to 1;
a candidate's score is their weighted sum. The weights are data (``rerank.json``); how they were
found, and on what, is in ADR 0019.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from app.infra.language import DEFAULT, language_of

#: In the order in which ``judged_candidates`` (migration 0016) gives them: its reciprocal ranks
#: fused; cosine to the question; the share of the question's words it has, weighed by rarity.
FEATURES = ("fused", "similarity", "coverage")
#: Models whose vectors tell little of texts that are not English.
ENGLISH_MODELS = frozenset({"all-MiniLM-L6-v2"})
_DATA = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, slots=True)
class Ranking:
    """How the candidates of one question are ordered."""

    #: Of the question: a text search configuration; None when it does not show.
    language: str | None
    #: Share of the text ranking where the two are fused, 0..1.
    text_weight: float
    #: One for each of `FEATURES`; they add up to 1.
    weights: tuple[float, ...]


class Rankings:
    """The order for each question; the file is read once."""

    def __init__(self, *, model: str) -> None:
        """``model`` names the embedding model: it says for which languages vectors count."""
        kinds = json.loads(_DATA.read_text(encoding="utf-8"))["kinds"]
        self._both = _read(kinds["vectors and words"])
        self._by_words = _read(kinds["words"]) if model in ENGLISH_MODELS else self._both

    def for_question(self, question: str) -> Ranking:
        """The order for ``question``, by its language."""
        language = language_of(question)
        foreign = language not in (None, DEFAULT) or (language is None and not question.isascii())
        text_weight, weights = self._by_words if foreign else self._both
        return Ranking(language, text_weight, weights)


def _read(kind: dict[str, float]) -> tuple[float, tuple[float, ...]]:
    """The share of the text ranking, and the weights as shares."""
    weights = [kind[name] for name in FEATURES]
    return kind["text_weight"], tuple(weight / sum(weights) for weight in weights)
