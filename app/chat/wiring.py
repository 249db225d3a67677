"""Assembly of what answers are found by again, for the page of the whole house."""

from collections.abc import Sequence

from app.chat.cache import AnswerCache
from app.chat.neighbours import Neighbours
from app.infra.metrics import Metrics
from app.infra.redis import Guarded
from app.retrieval.embedding import Embedder
from app.settings import Settings
from app.version import VERSION


def assemble_cache(
    redis: Guarded,
    embedder: Embedder,
    settings: Settings,
    metrics: Metrics,
    *,
    makers: Sequence[str],
) -> AnswerCache:
    """The cache, as the settings want it; what others than ``makers`` answered is not found."""
    ranked_by = (
        settings.rerank_model_path,
        settings.rerank_api_base_url,
        settings.rerank_model,
        settings.rerank_candidates,
    )
    return AnswerCache(
        redis,
        ttl_s=settings.answer_cache_ttl_s,
        neighbours=Neighbours(embedder) if settings.semantic_cache else None,
        metrics=metrics,
        made_by=[VERSION, *makers, *map(str, ranked_by)],
    )
