"""The embedding models that the settings name."""

from app.errors import ConfigurationError
from app.retrieval.embedding import Embedder
from app.retrieval.minilm import MiniLmEmbedder
from app.retrieval.openai_embedding import OpenAiEmbedder
from app.settings import Settings


def build_embedder(settings: Settings, *, threads: int) -> Embedder:
    """The built-in model, run by ``threads`` threads, or a remote one.

    Raises:
        ConfigurationError: a model is named that is neither.
    """
    if settings.embedding_base_url is None:
        embedder = MiniLmEmbedder(settings.embedding_model_dir, threads=threads)
        if (settings.embedding_model, settings.embedding_dimension) != (
            embedder.name,
            embedder.dimension,
        ):
            raise ConfigurationError(
                f"EMBEDDING_MODEL={settings.embedding_model} with {settings.embedding_dimension} "
                f"dimensions needs EMBEDDING_BASE_URL; the built-in model is {embedder.name} with "
                f"{embedder.dimension}."
            )
        return embedder
    key = settings.embedding_api_key
    return OpenAiEmbedder(
        settings.embedding_base_url,
        key.get_secret_value() if key else "",
        settings.embedding_model,
        settings.embedding_dimension,
        timeout_s=settings.embedding_timeout_s,
    )


def next_settings(settings: Settings) -> Settings | None:
    """The settings with the model to change to as the only one, or None when none is named."""
    if settings.next_embedding_model is None:
        return None
    return settings.model_copy(
        update={
            "embedding_model": settings.next_embedding_model,
            "embedding_dimension": settings.next_embedding_dimension,
            "embedding_base_url": settings.next_embedding_base_url,
            "embedding_api_key": settings.next_embedding_api_key,
            "next_embedding_model": None,
        }
    )
