"""Which embedding model the index answers with, checked before anything is searched or written."""

import psycopg

from app.errors import ConfigurationError
from app.infra.postgres import Connection, Pool, fetch_all

#: The model of the chunks that are searched when none is named; another's may stand beside them.
CURRENT = "SELECT embedding_model, dimension FROM index_info WHERE chunk_table = 'chunks'::regclass"


class IndexMismatch(ConfigurationError):
    """The index answers with another embedding model."""

    code = "index_mismatch"


class ModelSwitched(IndexMismatch):
    """The embedding model was switched meanwhile; try again shortly."""

    status, code, retryable = 503, "model_switched", True


async def current_model(pool: Pool) -> tuple[str, int]:
    """Name and dimension of the model that the index answers with.

    Raises:
        IndexMismatch: there is no index yet.
        DatabaseUnavailable: when the database does not answer.
    """
    try:
        rows = await fetch_all(pool, CURRENT, {})
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        rows = []
    if not rows:
        raise IndexMismatch("The index has not been set up; run the migrations (`make migrate`).")
    return rows[0]["embedding_model"], rows[0]["dimension"]


def mismatch(made_with: tuple[str, int], named: tuple[str, int]) -> IndexMismatch:
    """The error of settings that name another model than the index's, and what to do."""
    return IndexMismatch(
        f"The index holds vectors of {made_with[0]} ({made_with[1]} dimensions), but the settings"
        f" name {named[0]} ({named[1]}). Set EMBEDDING_MODEL and EMBEDDING_DIMENSION back; to"
        f" change the model while the old one answers, run `NEXT_EMBEDDING_MODEL={named[0]}"
        f" NEXT_EMBEDDING_DIMENSION={named[1]} python -m scripts.reindex prepare` then"
        " (docs/reindex.md)."
    )


async def hold_model(connection: Connection, model: str) -> None:
    """Keep the index ``model``'s until the open transaction ends: its vectors may be written.

    Raises:
        ModelSwitched: it is another's by now.
    """
    await connection.execute("LOCK TABLE chunks IN ROW EXCLUSIVE MODE")  # as writing takes it
    row = await (await connection.execute(CURRENT)).fetchone()
    if row is None or row["embedding_model"] != model:
        raise ModelSwitched
