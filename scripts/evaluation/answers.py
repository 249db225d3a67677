"""Asking the product's own chat every question, and holding its answers against the data.

The extractive provider answers, so that the numbers need no key and do not drift.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.auth.caller import ALL_SCOPES, Caller
from app.chat.answer import Answer, Citation, Question
from app.wiring import House
from scripts.evaluation.corpus import Places
from scripts.evaluation.dataset import Asked
from scripts.evaluation.metrics import contains_answer, mean, precision_recall, share
from scripts.evaluation.rankings import SERVED


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer, judged."""

    answerable: bool
    abstained: bool
    #: None when the data names no answer text.
    contains: float | None
    words: int
    citations: int
    on_gold_page: int
    exact: int


async def ask(house: House, tenant_id: str, places: Places, asked: Asked) -> Judged:
    """Ask one question and judge what comes back."""
    caller = Caller(tenant_id, "evaluation", frozenset(ALL_SCOPES))
    answer = await house.chat.answer(caller, Question(asked.text, "ses_evaluation", SERVED))
    exact = [await _is_exact(house, tenant_id, citation) for citation in answer.citations]
    cited = [places[citation.document_id, citation.page] for citation in answer.citations]
    return Judged(
        answerable=asked.answerable,
        abstained=answer.status == "abstained",
        contains=_contains(asked, answer),
        words=len(answer.text.split()),
        citations=len(cited),
        on_gold_page=sum(asked.grades.get(place, 0) > 0 for place in cited),
        exact=sum(exact),
    )


def _contains(asked: Asked, answer: Answer) -> float | None:
    if not asked.answers:
        return None
    return 0.0 if answer.status == "abstained" else contains_answer(answer.text, asked.answers)


async def _is_exact(house: House, tenant_id: str, citation: Citation) -> bool:
    """Whether the quote is what the page, as the archive serves it, has at the quote's offsets."""
    page = await house.archive.page(
        tenant_id, citation.document_id, citation.page, citation.version
    )
    return page.text[citation.start : citation.end] == citation.quote != ""


def summed_up(judged: Sequence[Judged]) -> dict[str, float | None]:
    """Metric → value over all questions; citations are judged on the answerable ones only."""
    answerable = [one for one in judged if one.answerable]
    answered = [one for one in answerable if not one.abstained]
    precision, recall = precision_recall(
        [one.abstained for one in judged], [not one.answerable for one in judged]
    )
    every = sum(one.citations for one in judged)
    cited = sum(one.citations for one in answered)
    return {
        "contains": mean([one.contains for one in answerable if one.contains is not None]),
        "words": mean([one.words for one in answered]),
        "citation precision": share(sum(one.on_gold_page for one in answered), cited),
        "any citation right": mean([float(one.on_gold_page > 0) for one in answered]),
        "quotes exact": share(sum(one.exact for one in judged), every),
        "abstention precision": precision,
        "abstention recall": recall,
        "wrongly abstained": mean([float(one.abstained) for one in answerable]),
    }
