"""Two embedding models on the same questions over the same chunks, through the product's search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, quantiles
from typing import Any

from rich.table import Table

from app.infra.postgres import Pool
from app.infra.reach import EVERYTHING, reaching
from app.retrieval.embedding import Embedder
from app.retrieval.passage import Scope
from app.retrieval.search import Retrieved, Retriever
from scripts.evaluation.corpus import Places
from scripts.evaluation.dataset import Asked
from scripts.evaluation.rankings import DEPTH, Found, averaged, judge
from scripts.reindexing.tables import Owner

#: Passages of which it is said how many both models found.
OVERLAP = 10
# The newest of each text, by what was searched for: in a session a question is rephrased.
_LOGGED = """
    SELECT tenant_id, text FROM (
        SELECT DISTINCT ON (tenant_id, text) tenant_id, text, asked_at
        FROM (SELECT tenant_id, asked_at,
                     coalesce(record ->> 'rephrased', record ->> 'question') AS text FROM answers) a
        WHERE text <> '' ORDER BY tenant_id, text, asked_at DESC) q
    ORDER BY asked_at DESC LIMIT %s"""


@dataclass(frozen=True)
class Compared:
    """One question: to which tenant, and where its data say that the answer is, if they do."""

    tenant_id: str
    text: str
    asked: Asked | None = None


async def logged_questions(owner: Owner, limit: int) -> list[Compared]:
    """The newest ``limit`` different questions of the query log, of all tenants."""
    rows = await (await owner.execute(_LOGGED, (limit,))).fetchall()
    return [Compared(row["tenant_id"], row["text"]) for row in rows]


async def compare(
    pool: Pool, models: Sequence[Embedder], questions: Sequence[Compared], places: Places
) -> dict[str, Any]:
    """Ask both ``models`` every question; what came of it, as JSON.

    Raises:
        AppError: the database or a model does not answer, or there are no questions' vectors.
    """
    found: dict[str, list[Retrieved]] = {model.name: [] for model in models}
    retrievers = [(found[model.name], Retriever(pool, model)) for model in models]
    with reaching(EVERYTHING):
        for one in questions[:1]:  # plans and models are warm before anything is timed
            for _, retriever in retrievers:
                await retriever.retrieve(f"{one.text} ", Scope(one.tenant_id), top_k=DEPTH)
        for one in questions:  # in turn, so that both meet the same machine
            for of_model, retriever in retrievers:
                scope = Scope(one.tenant_id)
                of_model.append(await retriever.retrieve(one.text, scope, top_k=DEPTH))
    first, second = (
        [[passage.id for passage in one.passages[:OVERLAP]] for one in found[model.name]]
        for model in models
    )
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a or b]
    return {
        "questions": len(questions),
        f"overlap@{OVERLAP}": _mean([len({*a} & {*b}) / max(len(a), len(b)) for a, b in pairs]),
        "same_first": _mean([float(a[:1] == b[:1]) for a, b in pairs]),
        "models": {name: _of_model(all_, questions, places) for name, all_ in found.items()},
    }


def _of_model(
    found: Sequence[Retrieved], questions: Sequence[Compared], places: Places
) -> dict[str, float | None]:
    rows = []
    for one, retrieved in zip(questions, found, strict=True):
        if one.asked is not None:
            ranked = [Found(places[p.document_id, p.page], p.text) for p in retrieved.passages]
            rows.append(judge(one.asked, ranked))
    search = [one.search_ms for one in found]
    return {
        **averaged(rows),
        "embedding_ms": median([one.embedding_ms for one in found]) if found else None,
        "search_ms": median(search) if found else None,
        "search_ms_p95": quantiles(search, n=20)[-1] if len(search) > 1 else None,
    }


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def table_of(name: str, result: Mapping[str, Any]) -> Table:
    """The models side by side, and what they have in common in the caption."""
    models = result["models"]
    title = f"{name}: {result['questions']} questions"
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = ", ".join(
        f"{key} {_shown(result[key])}" for key in (f"overlap@{OVERLAP}", "same_first")
    )
    table.add_column("")
    for model in models:
        table.add_column(model, justify="right")
    for metric in dict.fromkeys(metric for values in models.values() for metric in values):
        table.add_row(metric, *(_shown(values.get(metric)) for values in models.values()))
    return table


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
