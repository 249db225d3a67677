"""The threshold of abstention, and the curve it is chosen from.

Three kinds of question are asked: those the data gives an answer to (relevant papers are none);
those it says have none although a passage comes near (squad2's other half); and those of the other
sets, whose subject is not there at all. The threshold is the highest at which few of the first are
left unanswered.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from app.chat.prompt import as_sources
from app.llm.abstention import best_cosine, claim_of
from app.llm.evidence import gather
from app.retrieval.passage import Scope
from app.wiring import House
from scripts.evaluation.dataset import Asked, Corpus
from scripts.evaluation.rankings import SERVED

#: Largest share of answerable questions that may be left unanswered.
MOST_WRONG = 0.025
_STEPS = [round(step * 0.05, 2) for step in range(6, 23)]
#: Sets that share texts: their questions are at home in each other.
_SHARING = frozenset({"squad2", "xquad"})


@dataclass(frozen=True, slots=True)
class Filled:
    """A corpus, and the tenant that holds it."""

    name: str
    tenant_id: str
    corpus: Corpus


async def calibrated(house: House, filled: Sequence[Filled]) -> str:
    """``app/llm/abstention.json`` as it should be by these corpora, all English."""
    answerable, near, elsewhere = [], [], []
    for at in filled:
        for of in filled:
            claims = await _claims(house, at.tenant_id, of.corpus)
            if at is of:
                answerable += [
                    claim for claim, asked in claims if asked.answerable and asked.answers
                ]
                near += [claim for claim, asked in claims if not asked.answerable]
            elif not {at.name.split()[0], of.name.split()[0]} <= _SHARING:
                elsewhere += [claim for claim, _ in claims]
    curve = [
        {
            "threshold": step,
            "answerable": _below(answerable, step),
            "near": _below(near, step),
            "elsewhere": _below(elsewhere, step),
        }
        for step in _STEPS
    ]
    fitting = [point for point in curve if point["answerable"] <= MOST_WRONG]
    facts = {
        "threshold": fitting[-1]["threshold"] if fitting else _STEPS[0],
        "sets": [one.name for one in filled],
        "questions": {
            "answerable": len(answerable), "near": len(near), "elsewhere": len(elsewhere),
        },
        "auroc": {
            "answerable, near": round(auroc(answerable, near), 3),
            "answerable, elsewhere": round(auroc(answerable, elsewhere), 3),
        },
    }  # fmt: skip
    head = json.dumps(facts, indent=1).removesuffix("\n}")
    points = ",\n  ".join(json.dumps(point) for point in curve)
    return f'{head},\n "abstains": [\n  {points}\n ]\n}}\n'


async def _claims(house: House, tenant_id: str, corpus: Corpus) -> list[tuple[float, Asked]]:
    """What the evidence for each question amounts to."""
    claims = []
    for asked in corpus.questions:
        found = await house.retriever.retrieve(asked.text, Scope(tenant_id), top_k=SERVED)
        evidence = gather(asked.text, as_sources(found.passages))
        claims.append((claim_of(evidence, best_cosine(evidence.sources) or 0.0), asked))
    return claims


def _below(claims: Sequence[float], threshold: float) -> float:
    return round(sum(claim < threshold for claim in claims) / max(len(claims), 1), 3)


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """How often a positive is above a negative, equals counting half; 0.5 of none."""
    ordered = sorted(negative)
    if not positive or not ordered:
        return 0.5
    above = sum(bisect_left(ordered, one) + bisect_right(ordered, one) for one in positive)
    return above / (2 * len(positive) * len(ordered))
