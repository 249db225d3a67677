"""What a ranking, an answer or an abstention is worth. Every number is between 0 and 1."""

import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence

from app.llm.words import UNSPACED

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
#: Vowel signs, which ``\\w`` leaves out, belong to their words.
_SIGNS = "\u0300-\u036f\u064b-\u065f\u0900-\u0963\u0966-\u0dff\u0e00-\u0eff\u1000-\u109f"
_NOT_WORDS = re.compile(rf"[^\w{_SIGNS}]+")


def hit(ranked: Sequence[str], gold: Collection[str], k: int) -> float:
    """1 when any of the first ``k`` places is right."""
    return float(any(place in gold for place in ranked[:k]))


def reciprocal_rank(ranked: Sequence[str], gold: Collection[str], k: int) -> float:
    """1 / the rank of the first right place, or 0 when it is not among the first ``k``."""
    for rank, place in enumerate(ranked[:k], start=1):
        if place in gold:
            return 1 / rank
    return 0.0


def ndcg(ranked: Sequence[str], grades: Mapping[str, float], k: int) -> float:
    """Discounted gain of the first ``k``, as a share of the best order's.

    Gains are the grades themselves, as in trec_eval (Järvelin, Kekäläinen 2002). A place that comes
    twice counts once, where it comes first.
    """
    distinct = list(dict.fromkeys(ranked))[:k]
    ideal = _discounted(sorted(grades.values(), reverse=True)[:k])
    return _discounted([grades.get(place, 0.0) for place in distinct]) / ideal if ideal else 0.0


def _discounted(gains: Iterable[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def normalised(text: str) -> str:
    """Lower case, without articles and punctuation (as SQuAD's own script compares answers)."""
    folded = _NOT_WORDS.sub(" ", unicodedata.normalize("NFKC", text).casefold())
    # Where there are no spaces between words, each character is one.
    folded = UNSPACED.sub(lambda run: f" {' '.join(run[0])} ", folded)
    return " ".join(_ARTICLES.sub(" ", folded).split())


def contains_answer(text: str, answers: Iterable[str]) -> float:
    """1 when ``text`` has any of ``answers`` in it, whole words, whatever their case and commas."""
    padded = f" {normalised(text)} "
    wanted = (normalised(answer) for answer in answers)
    return float(any(answer and f" {answer} " in padded for answer in wanted))


def precision_recall(
    said: Sequence[bool], true: Sequence[bool]
) -> tuple[float | None, float | None]:
    """Share of what was said that is true, and of what is true that was said; None of nothing."""
    both = sum(one and other for one, other in zip(said, true, strict=True))
    return share(both, sum(said)), share(both, sum(true))


def share(part: float, whole: float) -> float | None:
    """``part / whole``, or None when there is no whole to speak of."""
    return part / whole if whole else None


def mean(values: Sequence[float]) -> float | None:
    """The mean, or None of nothing."""
    return share(sum(values), len(values))
