"""Which embedding model the index was made with, checked before anything is searched or written."""

import psycopg

from app.errors import ConfigurationError
from app.infra.postgres import Pool, fetch_all
from app.retrieval.embedding import Embedder


class IndexMismatch(ConfigurationError):
    """The index was made with another embedding model."""

    code = "index_mismatch"


async def check_index(pool: Pool, embedder: Embedder) -> None:
    """Refuse to go on with a model whose vectors do not belong in this index.

    Raises:
        IndexMismatch: naming both models and what to do.
    """
    try:
        rows = await fetch_all(pool, "SELECT embedding_model, dimension FROM index_info", {})
    except psycopg.errors.UndefinedTable:
        rows = []
    if not rows:
        raise IndexMismatch("The index has not been set up; run the migrations (`make migrate`).")
    made_with, dimension = rows[0]["embedding_model"], rows[0]["dimension"]
    if (made_with, dimension) != (embedder.name, embedder.dimension):
        raise IndexMismatch(
            f"The index holds vectors of {made_with} ({dimension} dimensions), but the settings"
            f" name {embedder.name} ({embedder.dimension}). Set EMBEDDING_MODEL and"
            " EMBEDDING_DIMENSION back, or start an empty corpus with another DOCENT_HOME or"
            " DATABASE_URL and ingest the documents again."
        )
