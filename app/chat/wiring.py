"""Assembly of what answers are found by again, for the page of the whole house."""

from app.chat.cache import AnswerCache
from app.chat.neighbours import Neighbours
from app.infra.metrics import Metrics
from app.infra.redis import Guarded
from app.retrieval.embedding import Embedder
from app.settings import Settings


def assemble_cache(
    redis: Guarded, embedder: Embedder, settings: Settings, metrics: Metrics
) -> AnswerCache:
    """The cache, as the settings want it."""
    return AnswerCache(
        redis,
        ttl_s=settings.answer_cache_ttl_s,
        neighbours=Neighbours(embedder) if settings.semantic_cache else None,
        metrics=metrics,
    )
