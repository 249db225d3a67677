"""Versions to go back to, deletion and restoring, jobs as callers see them, fair queueing."""

from app.infra.migration_sql import run_file, run_sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what 0001 has not; the vector index is built anew."""
    run_file("0002_documents.sql")
    run_file("0002_search.sql")


def downgrade() -> None:
    """Go back to what 0001 knows: a version that was gone back to is forgotten."""
    run_sql("DROP FUNCTION search_chunks, rank_by_text, rank_by_vector, lexeme_query")
    run_file("0002_down.sql")
    run_file("0001_search.sql")
