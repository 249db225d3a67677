"""When the sources hold no answer: by how near they come to a question and what they say of it.

The threshold is data (``abstention.json``), calibrated by ``scripts/evaluate.py --calibrate`` on
questions that are known to have an answer, or none, and kept with the curve it was chosen from.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from app.llm.completion import Source
from app.llm.evidence import Evidence
from app.llm.words import seems_english

#: Below this share of the question's words in any one source, the sources are about something
#: else (ADR 0005).
NO_MATCH_KNOWN = 0.15
#: What the best sentence's score counts for beside the best passage's cosine: of the two numbers
#: a logistic regression on squad2 gives the sentence that share (ADR 0019).
SENTENCE_SHARE = 0.5
#: Known share of the question's words below which nothing is claimed, for passages that only the
#: text search found.
WEAK_MATCH_KNOWN = 0.5
#: Beyond English an English model's cosines say little: known share and cosine together, at half of
#: what English questions need (ADR 0005).
FOREIGN_SHARE, FOREIGN_EVIDENCE = 0.5, 0.4
_DATA = Path(__file__).with_suffix(".json")

Abstained = Literal["no_match", "weak_match"]


class Abstention:
    """Decides whether evidence supports an answer; the threshold is read once.

    Cosines are all-MiniLM-L6-v2's; another embedding model wants its own calibration.
    """

    def __init__(self) -> None:
        self._threshold: float = json.loads(_DATA.read_text(encoding="utf-8"))["threshold"]

    def judge(self, question: str, evidence: Evidence) -> Abstained | None:
        """Why ``evidence`` supports no answer, or None when it does.

        ``no_match``: the sources are about something else, or not about whom the question names.
        ``weak_match``: they share words with the question, but not enough of what it asks.
        """
        english = seems_english(question)
        share = 1.0 if english else FOREIGN_SHARE
        if not evidence.ranked or evidence.absent or evidence.known < NO_MATCH_KNOWN * share:
            return "no_match"
        if evidence.known < 1 and not any(scored.coverage for scored in evidence.ranked):
            return "weak_match"  # a title names what was asked about, and nothing is said of it
        cosine = best_cosine(evidence.sources)
        if cosine is None:
            weak = evidence.known < WEAK_MATCH_KNOWN * share
        elif english:
            weak = claim_of(evidence, cosine) < self._threshold
        else:
            weak = evidence.known + cosine < FOREIGN_EVIDENCE
        return "weak_match" if weak else None


def claim_of(evidence: Evidence, cosine: float) -> float:
    """What English evidence amounts to, about 0..1.5; 0 when it is about something else."""
    if not evidence.ranked or evidence.absent:
        return 0.0
    return cosine + SENTENCE_SHARE * evidence.ranked[0].score


def best_cosine(sources: Sequence[Source]) -> float | None:
    """Of the question and any of the sources; None when only the text search found them."""
    return max((s.similarity for s in sources if s.similarity is not None), default=None)
