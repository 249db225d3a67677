"""Assembly of what answers are found by again, for the page of the whole house."""

from app.chat.cache import AnswerCache
from app.chat.neighbours import CHOSEN, Neighbours
from app.infra.metrics import Metrics
from app.infra.redis import Guarded
from app.retrieval.embedding import Embedder
from app.settings import Settings


def assemble_cache(
    redis: Guarded, embedder: Embedder, settings: Settings, metrics: Metrics
) -> AnswerCache:
    """The cache; it knows neighbours only by the model their threshold was chosen for."""
    near = settings.semantic_cache and embedder.name == CHOSEN["model"]
    return AnswerCache(
        redis,
        ttl_s=settings.answer_cache_ttl_s,
        neighbours=Neighbours(embedder) if near else None,
        metrics=metrics,
    )
