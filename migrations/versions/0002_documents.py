"""Versions to go back to, deletion and restoring, jobs as callers see them, fair queueing."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def _run(text: str) -> None:
    # The driver's own cursor: these files hold colons and percent signs that are not parameters.
    cursor = op.get_bind().connection.cursor()
    try:
        cursor.execute(text)
    finally:
        cursor.close()


def upgrade() -> None:
    """Add what 0001 has not; the vector index is built anew."""
    _run((SQL / "0002_documents.sql").read_text())
    _run((SQL / "0002_search.sql").read_text())


def downgrade() -> None:
    """Go back to what 0001 knows: a version that was gone back to is forgotten."""
    _run("DROP FUNCTION search_chunks, rank_by_text, rank_by_vector, lexeme_query")
    _run((SQL / "0002_down.sql").read_text())
    _run((SQL / "0001_search.sql").read_text())
