"""The search with the reranking model that the settings name."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from app.infra.metrics import Metrics
from app.infra.postgres import Pool
from app.retrieval.cross_encoder import CrossEncoder
from app.retrieval.embedding import Embedder
from app.retrieval.recall import watching_recall
from app.retrieval.rerank_api import RerankApi
from app.retrieval.reranker import RelevanceModel, Reranker
from app.retrieval.search import Retriever
from app.settings import Settings


@asynccontextmanager
async def open_retriever(
    settings: Settings, pool: Pool, embedder: Embedder, metrics: Metrics
) -> AsyncIterator[Retriever]:
    """The search; until the end a reranking model is there, and its index is looked at.

    Raises:
        ConfigurationError: the folder of RERANK_MODEL_PATH holds no such model.
    """
    async with AsyncExitStack() as stack:
        reranker = None
        if model := _relevance_model(settings):
            stack.push_async_callback(model.close)
            reranker = Reranker(
                model,
                candidates=settings.rerank_candidates,
                limit_s=settings.rerank_timeout_s,
                metrics=metrics,
            )
        retriever = Retriever(pool, embedder, metrics=metrics, reranker=reranker)
        await stack.enter_async_context(watching_recall(metrics, retriever.probe))
        yield retriever


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
