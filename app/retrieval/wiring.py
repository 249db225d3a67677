"""The search with the reranking model that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.infra.metrics import Metrics
from app.infra.postgres import Pool
from app.retrieval.cross_encoder import CrossEncoder
from app.retrieval.embedding import Embedder
from app.retrieval.rerank_api import RerankApi
from app.retrieval.reranker import RelevanceModel, Reranker
from app.retrieval.search import Retriever
from app.settings import Settings


@asynccontextmanager
async def open_retriever(
    settings: Settings, pool: Pool, embedder: Embedder, metrics: Metrics
) -> AsyncIterator[Retriever]:
    """The search; a reranking model is there until the end.

    Raises:
        ConfigurationError: the folder of RERANK_MODEL_PATH holds no such model.
    """
    model = _relevance_model(settings)
    if model is None:
        yield Retriever(pool, embedder, metrics=metrics)
        return
    reranker = Reranker(
        model,
        candidates=settings.rerank_candidates,
        limit_s=settings.rerank_timeout_s,
        metrics=metrics,
    )
    try:
        yield Retriever(pool, embedder, metrics=metrics, reranker=reranker)
    finally:
        await model.close()


def _relevance_model(settings: Settings) -> RelevanceModel | None:
    if settings.rerank_model_path is not None:
        return CrossEncoder(settings.rerank_model_path)
    if settings.rerank_api_base_url is not None:
        key = settings.rerank_api_key
        return RerankApi(
            settings.rerank_api_base_url,
            key.get_secret_value() if key else "",
            settings.rerank_model or "",
        )
    return None
