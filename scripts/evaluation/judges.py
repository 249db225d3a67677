"""Answers judged by a language model, through LlamaIndex's evaluators.

Two questions each: whether the answer follows from the passages it was made of (faithful), and
whether answer and passages are about what was asked (relevant). The model is one of the operator's
own settings; who answers stays the extractive provider.
"""

from collections.abc import Sequence
from contextlib import aclosing

from llama_index.core.evaluation import FaithfulnessEvaluator, RelevancyEvaluator

from app.auth.caller import ALL_SCOPES, Caller
from app.chat.answer import Answer, Question
from app.chat.events import Answered, Begun
from app.errors import AppError
from app.llm.completion import Provider
from app.llm.llamaindex import ProviderLlm
from app.wiring import House
from scripts.evaluation.dataset import Asked
from scripts.evaluation.metrics import mean
from scripts.evaluation.rankings import SERVED


def has_model(provider: Provider) -> bool:
    """Whether there is anything that could judge; the extractive provider only quotes."""
    return any(model.available and model.provider != "extractive" for model in provider.models())


async def verdicts(
    house: House, tenant_id: str, questions: Sequence[Asked], judge: Provider
) -> dict[str, float | None]:
    """Shares of the answers that are faithful and relevant; abstentions are not judged.

    ``judged`` and ``not judged`` count: a verdict that the model did not give is none.
    """
    llm = ProviderLlm(judge)
    faithful, relevant = FaithfulnessEvaluator(llm=llm), RelevancyEvaluator(llm=llm)
    found: list[tuple[bool, bool]] = []
    failed = 0
    for asked in questions:
        answer, contexts = await _answered(house, tenant_id, asked.text)
        if answer.status == "abstained":
            continue
        given = {"query": asked.text, "response": answer.text, "contexts": contexts}
        try:
            both = [await one.aevaluate(**given) for one in (faithful, relevant)]
        except AppError:  # a provider that is limited or away fails this verdict and not the run
            failed += 1
            continue
        found.append((bool(both[0].passing), bool(both[1].passing)))
    return {
        "faithful": mean([float(one) for one, _ in found]),
        "relevant": mean([float(other) for _, other in found]),
        "judged": float(len(found)),
        "not judged": float(failed),
    }


async def _answered(house: House, tenant_id: str, question: str) -> tuple[Answer, list[str]]:
    """The answer, and the passages it was made of."""
    caller = Caller(tenant_id, "evaluation", frozenset(ALL_SCOPES))
    contexts: list[str] = []
    async with aclosing(
        house.chat.stream(caller, Question(question, "ses_evaluation", SERVED))
    ) as events:
        async for event in events:
            if isinstance(event, Begun):
                contexts = [passage.text for passage in event.retrieved.passages]
            elif isinstance(event, Answered):
                return event.answer, contexts
    raise AppError("The answer has no end.")
