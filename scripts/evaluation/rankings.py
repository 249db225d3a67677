"""Asking the product's own search every question: by vectors, by text and by both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from llama_index.core.schema import QueryBundle
from llama_index.core.vector_stores.types import VectorStoreQueryMode

from app.retrieval.chunk_store import ChunkNode
from app.retrieval.passage import Scope
from app.retrieval.rerank import Ranking
from app.retrieval.search import ChunkRetriever
from app.wiring import House
from scripts.evaluation.corpus import Places
from scripts.evaluation.dataset import Asked
from scripts.evaluation.metrics import contains_answer, hit, mean, ndcg, reciprocal_rank

MODES = {
    "dense": VectorStoreQueryMode.DEFAULT,
    "text": VectorStoreQueryMode.TEXT_SEARCH,
    "fused": VectorStoreQueryMode.HYBRID,
}
#: Chunks asked for, so that ten different pages are among them: a filing's page has three to six.
DEPTH = 40
#: What a caller who names no ``top_k`` is given.
SERVED = 5


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk that a search brought: where it stands in the data's own words, and its text."""

    place: str
    text: str


async def rank(
    house: House,
    tenant_id: str,
    places: Places,
    question: str,
    mode: VectorStoreQueryMode,
    *,
    ranking: Ranking | None = None,
) -> list[Found]:
    """The chunks for ``question``, best first; ``ranking`` in the place of the question's own."""
    retriever = ChunkRetriever(
        house.retriever.index,
        similarity_top_k=DEPTH,
        vector_store_query_mode=mode,
        vector_store_kwargs={"scope": Scope(tenant_id), "ranking": ranking},
    )
    # An array where LlamaIndex's type says list, as app/retrieval/search.py hands it on.
    vector: Any = await house.embedder.embed_query(question)
    nodes = await retriever.aretrieve(QueryBundle(question, embedding=vector))
    passages = [cast("ChunkNode", node.node).passage for node in nodes]
    return [Found(places[passage.document_id, passage.page], passage.text) for passage in passages]


def judge(asked: Asked, found: Sequence[Found]) -> dict[str, float]:
    """Metric → value for one answerable question.

    Places are judged, not chunks: a page counts where its best chunk stands. ``served@5`` is
    stricter: among the first five chunks, which is what a caller is given, whatever their pages.
    """
    ranked = list(dict.fromkeys(item.place for item in found))
    gold = {place for place, grade in asked.grades.items() if grade > 0}
    values = {f"hit@{k}": hit(ranked, gold, k) for k in (1, 5, 10)}
    values["MRR@10"] = reciprocal_rank(ranked, gold, 10)
    values["nDCG@10"] = ndcg(ranked, asked.grades, 10)
    values[f"served@{SERVED}"] = hit([item.place for item in found], gold, SERVED)
    if asked.answers:
        text = "\n".join(item.text for item in found[:SERVED])
        values[f"contains@{SERVED}"] = contains_answer(text, asked.answers)
    return values


def averaged(rows: Sequence[dict[str, float]]) -> dict[str, float | None]:
    """Metric → mean over the questions that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: mean([row[name] for row in rows if name in row]) for name in names}
