"""What each technique gains: the search as it is served, and without one at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from llama_index.core.vector_stores.types import VectorStoreQueryMode

from app.retrieval.rerank import FEATURES, Ranking, Rankings
from app.wiring import House
from scripts.evaluation.corpus import Places
from scripts.evaluation.dataset import Asked
from scripts.evaluation.rankings import averaged, judge, rank
from scripts.evaluation.report import shown, table

_RANK_ALONE = (1.0, *(0.0 for _ in FEATURES[1:]))
METRICS = ("hit@1", "hit@5", "MRR@10", "nDCG@10")


@dataclass(frozen=True, slots=True)
class Variant:
    """A search that differs from the one that is served."""

    label: str
    mode: VectorStoreQueryMode
    ranking: Ranking


def variants(served: Ranking) -> list[Variant]:
    """All of them for a question that is served by ``served``."""
    hybrid = VectorStoreQueryMode.HYBRID
    ranks = replace(served, weights=_RANK_ALONE)
    return [
        Variant("vectors alone", VectorStoreQueryMode.DEFAULT, ranks),
        Variant("words alone", VectorStoreQueryMode.TEXT_SEARCH, ranks),
        Variant("ranks fused, equal weights", hybrid, replace(ranks, text_weight=0.5)),
        Variant("ranks fused, weights by language", hybrid, ranks),
        Variant("**as served: candidates reranked**", hybrid, served),
        Variant("without the question's language", hybrid, replace(served, language=None)),
        *(
            Variant(f"without {name}", hybrid, replace(served, weights=_without(served, index)))
            for index, name in enumerate(FEATURES)
            if 0 < served.weights[index] < 1
        ),
    ]


def _without(served: Ranking, index: int) -> tuple[float, ...]:
    kept = [0.0 if at == index else weight for at, weight in enumerate(served.weights)]
    return tuple(weight / sum(kept) for weight in kept)


async def ablate(
    house: House, tenant_id: str, places: Places, questions: Sequence[Asked]
) -> dict[str, dict[str, float | None]]:
    """Variant → metric → value, over the answerable ``questions``."""
    rankings = Rankings(model=house.embedder.name)
    rows: dict[str, list[dict[str, float]]] = {}
    for asked in questions:
        for variant in variants(rankings.for_question(asked.text)):
            found = await rank(
                house, tenant_id, places, asked.text, variant.mode, ranking=variant.ranking
            )
            rows.setdefault(variant.label, []).append(judge(asked, found))
    # A few questions whose language does not show are served by other weights: no row for those.
    return {
        label: averaged(judged) for label, judged in rows.items() if len(judged) == len(questions)
    }


def ablation_table(measured: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> str:
    """Set → what ``ablate`` gave, as Markdown; the languages of a set are averaged but English."""
    groups: dict[str, list[Mapping[str, Mapping[str, float | None]]]] = {}
    for name, of_variant in measured.items():
        folder, _, lang = name.partition(" ")
        groups.setdefault(f"{folder}, others" if lang not in ("", "en") else name, []).append(
            of_variant
        )
    labels = dict.fromkeys(label for many in groups.values() for one in many for label in one)
    rows = []
    for name, many in groups.items():
        rows.append([f"**{name}**", *("" for _ in METRICS)])
        for label in labels:
            values = [one[label] for one in many if label in one]
            if values:
                cells = [shown(fmean(value[name] or 0 for value in values)) for name in METRICS]
                rows.append([label, *cells])
    return table(["set", *METRICS], rows)
